package egress

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// Session is the protocol's side of a peer that is played to. Its methods are called one at a time, and must not wait.
type Session interface {
	// Hear takes what the peer has sent. The bytes are lent for the call. An error ends the link; if it is ErrLeft, without a farewell.
	Hear(b []byte) error
	// Farewell returns the last words to the peer, which are sent at a packet's end before the connection is closed. It is not asked
	// when the peer cannot hear them.
	Farewell(cause error) []byte
	// Ended says that the last byte has been handed to the peer, or never will be, and why the link has ended. It is called
	// once. The connection may stay open for a little while, so that the peer can read its last words.
	Ended(cause error)
}

// Link is the connection to one peer. Make it with Egress.Link, listen to the peer while it waits, then Play.
type Link struct {
	berth  // the shard's, if one has the link; first, because a walk looks at it and little else
	viewer *stream.Viewer

	mu      sync.Mutex // guards what follows; memory only
	paused  bool
	replies []byte // to be sent at a packet's end

	egress  *Egress
	session Session
	conn    net.Conn        // nil once a shard has its socket
	shell   io.Closer       // closed with the socket; may be nil
	ctx     context.Context //nolint:containedctx // the link's life is what the context stands for
}

// Link returns the link to a peer. Whoever calls it owns the connection until Play.
func (e *Egress) Link(conn net.Conn, s Session) *Link {
	return &Link{egress: e, conn: conn, session: s}
}

// Reply queues bytes that are sent at the end of the current packet. It fails with ErrReplies when too many wait. Only
// the session's Hear may call it.
func (l *Link) Reply(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.replies)+len(b) > repliesBytes {
		return ErrReplies
	}
	l.replies = append(l.replies, b...)
	return nil
}

// Pause stops the media at the end of the current packet, or lets them go on at the newest key unit. Only the session's Hear
// may call it, or whoever owns the link before Play.
func (l *Link) Pause(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = on
}

func (l *Link) isPaused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

// takeReplies takes the answers that wait.
func (l *Link) takeReplies() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.replies
	l.replies = nil
	return b
}

// Listen calls wait, and meanwhile hands what the peer sends to the session, whose replies it writes at once. The context
// that wait is called with ends when ctx does, when the peer leaves and when Hear fails. Listen returns wait's error, or else the
// listener's: then the link is of no more use. The peer's bytes are lost to nobody: the session has them.
func (l *Link) Listen(ctx context.Context, wait func(ctx context.Context) error) error {
	g, ctx := task.NewGroup(ctx)
	var over atomic.Bool
	g.Go("egress listen", func(context.Context) error {
		if err := l.writeReplies(&over); err != nil {
			return err
		}
		err := l.read(func(b []byte) error {
			if err := l.session.Hear(b); err != nil {
				return err
			}
			return l.writeReplies(&over)
		})
		if over.Load() && isTimeout(err) {
			return nil // it was told to stop
		}
		return err
	})
	err := wait(ctx)
	over.Store(true)
	_ = l.conn.SetReadDeadline(past()) // a connection that is closed ends the listener too
	if err != nil {
		_ = l.conn.SetWriteDeadline(past())
	} else {
		_ = l.conn.SetWriteDeadline(time.Now().Add(dismissTime))
	}
	heard := g.Wait()
	_ = l.conn.SetReadDeadline(time.Time{})
	if err == nil {
		err = heard
	}
	return err
}

// writeReplies writes the session's replies, if it is not over yet.
func (l *Link) writeReplies(over *atomic.Bool) error {
	b := l.takeReplies()
	if len(b) == 0 {
		return nil
	}
	stall := l.egress.opt.StallTimeout
	if err := l.conn.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return gone(err)
	}
	if over.Load() { // the deadline above may have undone the one that ends a write
		return l.Reply(b)
	}
	_, err := l.conn.Write(b)
	if isTimeout(err) { // a part may have been written: nothing can follow it
		return ErrStalled
	}
	return gone(err)
}

// read gives what the peer sends to take, piece by piece, until something fails.
func (l *Link) read(take func([]byte) error) error {
	buf := make([]byte, listenBytes)
	for {
		n, err := l.conn.Read(buf)
		if n > 0 {
			if end := take(buf[:n]); end != nil {
				return end
			}
		}
		if err != nil {
			return gone(err)
		}
	}
}

// listenBytes is how much the goroutine of one peer reads at a time.
const listenBytes = 1 << 10

// past is a deadline that makes whoever waits give up.
func past() time.Time { return time.Unix(1, 0) }
