package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// writer serves one link with two goroutines, which may wait: where no shard can.
type writer struct {
	link   *Link
	pace   pace
	grown  chan struct{} // the share has
	heard  chan struct{} // there are replies, or a pause
	broken bool          // the connection is
	reply  []byte        // that is being written

	fullSince instant       // since when the lane has been full without a packet's end having been sent; 0: it is not full
	backoff   time.Duration // between tries
}

// playPortable begins to serve a link.
func (e *Egress) playPortable(l *Link) {
	w := &writer{link: l, grown: make(chan struct{}, 1), heard: make(chan struct{}, 1)}
	err := ErrClosed
	e.mu.Lock()
	if !e.closed {
		err = e.writers.Go(l.ctx, "egress writer", func(ctx context.Context) { w.run(ctx) })
	}
	e.mu.Unlock()
	if err != nil {
		w.end(err)
		_ = l.conn.Close()
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Wake implements stream.Waker.
func (w *writer) Wake(at time.Time, prompt bool) {
	w.pace.note(w.link.egress.instant(at), prompt)
	signal(w.grown)
}

// run serves until the link ends.
func (w *writer) run(ctx context.Context) { //nolint:contextcheck // the link's context, and below that of the Egress
	l := w.link
	defer l.conn.Close() //nolint:errcheck // nothing can be done about it
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := l.egress.ended
	defer context.AfterFunc(ended, func() { cancel(context.Cause(ended)) })() //nolint:contextcheck // it ends with both
	defer l.viewer.Subscribe(w)()

	var heard error // what ended the listener
	peer, _ := task.NewGroup(context.WithoutCancel(ctx))
	peer.Go("egress listen", func(context.Context) error {
		heard = task.Guard("egress", func() error {
			return l.read(func(b []byte) error {
				defer signal(w.heard)
				return l.session.Hear(b)
			})
		})
		cancel(heard)
		return nil
	})
	err := task.Guard("egress", func() error { return w.play(ctx) })
	_ = l.conn.SetReadDeadline(past()) // ends the listener, so that the session is called by one goroutine
	_ = peer.Wait()                    // it has no error
	l.egress.report(heard)
	if err != heard { //nolint:errorlint // the same panic is not logged twice
		l.egress.report(err)
	}
	polite := w.part(ctx, err)
	w.end(err)
	if polite {
		w.linger()
	}
	cut(l.conn)
}

// play sends until something ends it.
func (w *writer) play(ctx context.Context) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = w.link.conn.SetWriteDeadline(past())
		close(interrupted)
	})
	err := w.loop(ctx)
	if !stop() {
		<-interrupted // from here on other deadlines are set
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // whatever error the interrupted write had
	}
	return err
}

func (w *writer) loop(ctx context.Context) error {
	l, idle := w.link, false
	var b stream.Batch
	for {
		if l.free() {
			if err := w.answer(ctx); err != nil {
				return err
			}
		}
		if l.viewer.Between() {
			switch paused := l.isPaused(); {
			case paused:
				idle = true
				w.calm()
				if cause := l.viewer.Ended(); cause != nil {
					return cause
				}
				if err := w.waitPaused(ctx); err != nil {
					return err
				}
				continue
			case idle:
				idle = false
				l.viewer.Rejoin()
			}
		}
		w.pace.sent(l.egress.now())
		if err := l.viewer.Peek(&b, batchBytes); err != nil {
			return err
		}
		if len(b.Bytes) == 0 {
			if err := w.wait(ctx); err != nil {
				return err
			}
			continue
		}
		n, err := w.pass(ctx, b.Bytes)
		moved := n > 0 && l.viewer.Advance(&b, n)
		switch {
		case errors.Is(err, errFull):
			if err = w.hold(ctx, n > 0, moved); err != nil {
				return err
			}
		case moved && errors.Is(err, ErrStalled): // one that gets on is not stalled
		case err != nil:
			return err
		default:
			w.calm()
		}
	}
}

// wait waits until it is time to send, or the session wants something.
func (w *writer) wait(ctx context.Context) error {
	e := w.link.egress
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var tick <-chan time.Time
		if at := w.pace.due(e.opt.MergeWindow, e.opt.AudioHold); at != 0 {
			pause := at.until(e.now())
			if pause == 0 {
				return nil
			}
			timer.Reset(pause)
			tick = timer.C
		}
		select {
		case <-w.grown:
		case <-w.heard:
			return nil
		case <-tick:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// waitPaused waits until the session wants something, or the stream may have ended.
func (w *writer) waitPaused(ctx context.Context) error {
	select {
	case <-w.heard:
	case <-w.grown: // or ended
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// answer writes the session's replies.
func (w *writer) answer(ctx context.Context) error {
	w.reply = append(w.reply, w.link.takeReplies()...)
	if len(w.reply) == 0 {
		return nil
	}
	n, err := w.writeSome(ctx, w.reply)
	if w.reply = w.reply[n:]; len(w.reply) == 0 {
		w.reply = nil
	}
	return err
}

// writeSome hands b to the connection.
func (w *writer) writeSome(ctx context.Context, b []byte) (int, error) {
	stall := w.link.egress.opt.StallTimeout
	if err := w.link.conn.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, gone(err)
	}
	if ctx.Err() != nil { // the deadline above may have undone the one that ends a write
		return 0, context.Cause(ctx)
	}
	n, err := w.link.conn.Write(b)
	if isTimeout(err) {
		return n, fmt.Errorf("%w for %v", ErrStalled, stall)
	}
	w.broken = w.broken || err != nil
	return n, gone(err)
}

// part sends what has been begun and the session's last words, if the peer can hear them, and says whether it could.
func (w *writer) part(ctx context.Context, cause error) bool {
	l, limit := w.link, farewellTime
	if ctx.Err() != nil {
		limit = dismissTime
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(limit)) // a connection that is closed needs none
	var p *task.PanicError
	if w.broken || errors.Is(cause, ErrStalled) || errors.Is(cause, ErrLeft) || errors.As(cause, &p) {
		return false
	}
	err := task.Guard("egress", func() error {
		var b stream.Batch
		for !l.free() {
			if err := l.viewer.Peek(&b, batchBytes); err != nil {
				return err
			}
			n, err := l.conn.Write(b.Bytes)
			l.viewer.Advance(&b, n)
			if err != nil {
				return err
			}
		}
		words := append(append(w.reply, l.takeReplies()...), l.session.Farewell(cause)...)
		if len(words) == 0 {
			return nil
		}
		_, err := l.conn.Write(words)
		return err
	})
	l.egress.report(err)
	return err == nil
}

// end tells the session.
func (w *writer) end(cause error) { w.link.egress.tell(w.link, cause) }

// linger tells the peer that nothing more comes, where that is possible, and gives it time to read and to close.
func (w *writer) linger() {
	conn := w.link.conn
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return
	}
	limit := time.AfterFunc(dismissTime, func() { cut(conn) }) // TLS has a farewell, and waits for it to be taken
	err := half.CloseWrite()
	limit.Stop()
	if err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerTime)) // a connection that is closed needs none
	defer context.AfterFunc(w.link.egress.ended, func() { _ = conn.SetReadDeadline(past()) })()
	_ = w.link.read(func([]byte) error { return nil })
}

// cut closes a connection without the farewell that TLS has, and which waits for a peer that does not read.
func cut(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}
