package protocol

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/vigil-media/vigil/internal/task"
)

// dead is a listener that fails for good.
type dead struct{ net.Listener }

var errDead = errors.New("dead")

func (dead) Accept() (net.Conn, error) { return nil, errDead }

// A listener that fails for good, although nobody wanted it to, ends the room: it must not seem to live. (Passing troubles are the
// listener's own business.)
func TestAcceptEnds(t *testing.T) {
	pool := task.NewPool(1, nil)
	if err := Accept(t.Context(), dead{}, pool, "test", nil); !errors.Is(err, errDead) {
		t.Errorf("ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Accept(ctx, dead{}, pool, "test", nil); err != nil {
		t.Errorf("ended with %v", err)
	}
}
