package egress

import (
	"errors"

	"github.com/vigil-media/vigil/internal/task"
)

// Lane takes a viewer's media in place of its connection, on which requests and replies go on: datagrams.
//
// Send and Close are called one at a time, though perhaps by different goroutines, and while the session hears its peer. A Send that
// hangs, or panics, ends its own link, as a session that does.
type Lane interface {
	// Send takes whole pieces from the front of b, which begins where what was taken before ended: at a packet's begin, or at a
	// piece within the packet that was begun. b ends where a packet does, and has all that is left of the first. It is shared: Send
	// does not change it, and keeps nothing of it. Send returns how many bytes it took, and never waits. Less than all without an
	// error means that the lane is full: the rest, or what has taken its place, is tried again after 5 ms, or longer the more
	// often nothing was taken. So a lane may take a large picture in portions. One that completes no packet for the stall
	// timeout ends the link with ErrStalled. Any error ends the link too, with that as its cause; the peer gets its last words.
	Send(b []byte) (n int, err error)
	// Close is called once, after the last words, before the session is told of its end. No Send follows.
	Close()
}

// Divert has the viewer's media given to the lane. What the session says goes by the connection as before, but need not wait for a
// packet's end, and when the link ends nothing that was begun is finished. Whoever owns the link may call it before Play. From then on
// the link closes the lane; one that is never played does not.
func (l *Link) Divert(lane Lane) { l.detour = &detour{lane} }

// detour is where a link's media go.
type detour struct{ lane Lane }

// divert hands b to the lane, which there is. If it takes less, without an error, it is full.
func (l *Link) divert(b []byte) (n int, err error) {
	n, err = l.detour.lane.Send(b)
	if n < 0 || n > len(b) {
		return 0, errLane
	}
	return n, err
}

var errLane = errors.New("the lane took more than there was")

// free says whether something else than media may be sent by the connection.
func (l *Link) free() bool { return l.detour != nil || l.viewer.Between() }

// tell tells the session of its end, once, when nothing is sent any more.
func (e *Egress) tell(l *Link, cause error) {
	if l.told {
		return
	}
	l.told = true
	if d := l.detour; d != nil {
		e.report(task.Guard("egress", func() error { d.lane.Close(); return nil }))
	}
	e.report(task.Guard("egress", func() error { l.session.Ended(cause); return nil }))
}
