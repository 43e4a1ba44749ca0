package rtmp

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/task"
)

// What is read of peers that wait to publish, in bytes, beyond the claimBytes that each may send.
const (
	claimMost = 1 << 20  // of one
	claimAll  = 32 << 20 // of all together, beyond their claimBytes
)

// claimGrace is how long the hub may take before the peer is listened to: most answers come at once, and a peer that has sent all that
// it has to say, and its end, is served like others.
const claimGrace = 100 * time.Millisecond

// watcher listens to a peer that waits to publish. Nothing of what it hears is lost: stop gives it back to the session's reader.
type watcher struct {
	session *session
	group   *task.Group
	over    chan struct{}
	heard   []byte // as much as room says: the rest waits in the kernel, and so does the peer's end
	may     int    // bytes that it may hear so far
	left    error  // why the wait is over: errPeer, once the peer has gone
}

// watch begins to listen. When the peer goes, it calls end. Call stop.
func (s *session) watch(ctx context.Context, end context.CancelCauseFunc) *watcher {
	g, _ := task.NewGroup(ctx)
	w := &watcher{session: s, group: g, over: make(chan struct{}), may: claimBytes}
	g.Go("rtmp claim", func(ctx context.Context) error {
		grace := time.NewTimer(claimGrace)
		defer grace.Stop()
		select {
		case <-w.over:
			return nil
		case <-ctx.Done():
			return nil
		case <-grace.C:
		}
		if w.listen(); w.left != nil {
			end(w.left)
		}
		return nil
	})
	return w
}

// listen reads until the peer goes, until it is told to stop, or until it has heard enough.
func (w *watcher) listen() {
	b := make([]byte, 4<<10)
	for {
		room := w.room()
		if room == 0 {
			return
		}
		n, err := w.session.conn.Read(b[:min(len(b), room)])
		w.heard = append(w.heard, b[:n]...)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				w.left = errPeer
			}
			return
		}
	}
}

// room is how much more may be heard. An encoder that does not wait for the answer says more than claimBytes in the time that a challenge
// takes, and its end comes after that: it is listened to as long as there is some left of what all such peers may have.
func (w *watcher) room() int {
	s := w.session
	if len(w.heard) == w.may && w.may < claimMost && s.env.Hub.Pressure() < hub.Shed && s.setups.lend() {
		w.may += claimBytes
	}
	return w.may - len(w.heard)
}

// stop ends listening, waits for that, and gives what was heard to the session's reader. It returns errPeer if the peer has gone.
// Afterwards a deadline for reading stands that has passed.
func (w *watcher) stop() error {
	close(w.over)
	_ = w.session.conn.SetReadDeadline(past()) // a connection that is closed ends the listener too
	if err := w.group.Wait(); err != nil {
		w.left = err // a panic
	}
	s := w.session
	s.setups.giveBack(w.may - claimBytes)
	if len(w.heard) > 0 {
		p, rest := s.in.Detach()
		s.in = chunk.Resume(s.conn, p, slices.Concat(rest, w.heard), setupLimits())
	}
	return w.left
}
