package protocol

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/task"
)

// What is read of peers that wait, in bytes.
const (
	overhearEach = 64 << 10 // of one, in any case
	overhearMost = 1 << 20  // of one
	overhearAll  = 32 << 20 // of all of a room together, beyond their overhearEach
)

// overhearGrace is how long an answer may take before the peer is listened to: most answers come at once, and a peer that has sent all
// that it has to say, and its end, is served like others.
const overhearGrace = 100 * time.Millisecond

// Overhearing listens to a peer that waits for the answer of somebody else than the session: the hub. Nothing of what it hears is lost:
// Stop gives it back.
type Overhearing struct {
	setup *Setup
	hub   *hub.Hub
	conn  net.Conn
	group *task.Group
	over  chan struct{}
	heard []byte // as much as room says: the rest waits in the kernel, and so does the peer's end
	may   int    // bytes that it may hear so far
	left  error  // why the wait is over, once the peer has gone
}

// Overhear begins to listen to conn, which nobody else reads until Stop. When the peer goes, it calls end with gone.
func (s *Setup) Overhear(ctx context.Context, h *hub.Hub, conn net.Conn, end context.CancelCauseFunc, gone error) *Overhearing {
	g, _ := task.NewGroup(ctx)
	o := &Overhearing{setup: s, hub: h, conn: conn, group: g, over: make(chan struct{}), may: overhearEach}
	g.Go("overhear", func(ctx context.Context) error {
		grace := time.NewTimer(overhearGrace)
		defer grace.Stop()
		select {
		case <-o.over:
			return nil
		case <-ctx.Done():
			return nil
		case <-grace.C:
		}
		if o.listen(gone); o.left != nil {
			end(o.left)
		}
		return nil
	})
	return o
}

// listen reads until the peer goes, until it is told to stop, or until it has heard enough.
func (o *Overhearing) listen(gone error) {
	b := make([]byte, 4<<10)
	for {
		room := o.room()
		if room == 0 {
			return
		}
		n, err := o.conn.Read(b[:min(len(b), room)])
		o.heard = append(o.heard, b[:n]...)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				o.left = gone
			}
			return
		}
	}
}

// room is how much more may be heard. An encoder that does not wait for the answer says more than overhearEach in the time that a
// challenge takes, and its end comes after that: it is listened to as long as there is some left of what all such peers may have.
func (o *Overhearing) room() int {
	if len(o.heard) == o.may && o.may < overhearMost && o.hub.Pressure() < hub.Shed && o.setup.setups.lend() {
		o.may += overhearEach
	}
	return o.may - len(o.heard)
}

// Stop ends listening, waits for that, and returns what was heard. left is why the peer has gone, or nil. Afterwards a deadline for
// reading stands that has passed.
func (o *Overhearing) Stop() (heard []byte, left error) {
	close(o.over)
	_ = o.conn.SetReadDeadline(time.Unix(1, 0)) // a connection that is closed ends the listener too
	if err := o.group.Wait(); err != nil {
		o.left = err // a panic
	}
	o.setup.setups.lent.Add(-int64(o.may - overhearEach))
	return o.heard, o.left
}

// lend says whether one may hear overhearEach more. They are to be given back.
func (u *Setups) lend() bool {
	if u.lent.Add(overhearEach) > overhearAll {
		u.lent.Add(-overhearEach)
		return false
	}
	return true
}
