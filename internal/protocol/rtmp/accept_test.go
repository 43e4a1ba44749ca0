package rtmp

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

// slowToDeny lets those in at once whose query is "good", and takes 3 s to deny the others.
type slowToDeny struct{ asked *atomic.Int32 }

func (a slowToDeny) Authorize(ctx context.Context, _ hub.Action, q hub.Request) (hub.Permit, error) {
	if q.Query == "good" {
		return hub.Permit{}, nil
	}
	a.asked.Add(1)
	select {
	case <-time.After(3 * time.Second):
		return hub.Permit{}, hub.ErrDenied
	case <-ctx.Done():
		return hub.Permit{}, context.Cause(ctx)
	}
}

// Clients whose credentials are bad, and whose denial takes long, do not hold up a good one (card N06).
func TestBadCredentials(t *testing.T) {
	var asked atomic.Int32
	bubble(t, conformance.Options{Auth: slowToDeny{&asked}}, func(t *testing.T, h *conformance.House) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := publishDriver(ctx, visit(h, fmt.Sprint("live/bad", i), nil)); err == nil {
						t.Error("let in with bad credentials")
					}
					<-time.After(50 * time.Millisecond)
				}
			})
		}
		for i := range 10 {
			<-time.After(time.Second) // of the bubble
			begin := time.Now()
			p := newPublisher(t, h, fmt.Sprintf("live/good%d?good", i))
			if took := time.Since(begin); took > time.Second {
				t.Errorf("a good client waited for %v", took)
			}
			_ = p.End()
		}
		if asked.Load() < 100 {
			t.Errorf("the authorizer was asked %d times: this proves little", asked.Load())
		}
		cancel()
		wg.Wait()
	})
}
