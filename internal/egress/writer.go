package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/stream"
)

const (
	batchBytes   = 64 << 10 // handed to the connection at once; each such piece has a deadline of its own
	repliesBytes = 4 << 10  // replies that wait for a packet's end
)

// Errors of a Writer.
var (
	// ErrStalled means that the peer accepted nothing for the stall timeout.
	ErrStalled = errors.New("stalled: the peer accepts no data")
	// ErrReplies means that the peer asks faster than it takes answers.
	ErrReplies = errors.New("too many unanswered requests")
)

// Options are the settings of a Writer, and the section "egress".
type Options struct {
	StallTimeout time.Duration `yaml:"stall_timeout" doc:"a viewer that accepts no data for so long is ended"`
}

// Default returns the settings that hold when nothing is configured.
func Default() Options { return Options{StallTimeout: 10 * time.Second} }

// Validate refuses settings that cannot work.
func (o *Options) Validate() error {
	if o.StallTimeout < time.Second || o.StallTimeout > 10*time.Minute {
		return fmt.Errorf("stall_timeout: %v is not between 1s and 10m", o.StallTimeout)
	}
	return nil
}

// Writer writes what a viewer reads to the viewer's connection. One goroutine calls Run; the other methods may be called by
// any.
type Writer struct {
	conn   net.Conn
	viewer *stream.Viewer
	stall  time.Duration
	paused atomic.Bool

	mu      sync.Mutex // guards replies; memory only
	replies []byte
}

// NewWriter returns a writer. It does not close the connection, nor the viewer. Options that are zero mean Default.
func NewWriter(conn net.Conn, v *stream.Viewer, o Options) *Writer {
	if o == (Options{}) {
		o = Default()
	}
	return &Writer{conn: conn, viewer: v, stall: o.StallTimeout}
}

// Run writes until the viewer ends, and returns why: the stream's end cause after the last packet has been written,
// stream.ErrTooSlow, ErrStalled, the context's cause, or the connection's error.
func (w *Writer) Run(ctx context.Context) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = w.conn.SetWriteDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	err := w.loop(ctx)
	if !stop() {
		<-interrupted // the caller may set deadlines of its own now
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause // whatever error the interrupted write had
	}
	return err
}

func (w *Writer) loop(ctx context.Context) error {
	wasPaused := false
	for {
		b, err := w.viewer.Next(ctx, batchBytes)
		if err != nil {
			return err
		}
		if err := w.write(ctx, w.takeReplies()); err != nil {
			return err
		}
		if w.paused.Load() {
			wasPaused = true
			w.viewer.Discard() // what is live passes by
			continue
		}
		if wasPaused {
			wasPaused = false
			w.viewer.Discard()
			w.viewer.Rejoin()
			continue
		}
		if err := w.write(ctx, b); err != nil {
			return err
		}
		w.viewer.CountSent(len(b))
	}
}

// write hands b to the connection, piece by piece.
func (w *Writer) write(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), batchBytes)
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.stall)); err != nil {
			return err
		}
		if ctx.Err() != nil { // the deadline above may have undone the one that ends a write
			return context.Cause(ctx)
		}
		if _, err := w.conn.Write(b[:n]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("%w for %v", ErrStalled, w.stall)
			}
			return err
		}
		b = b[n:]
	}
	return nil
}

// Reply queues bytes that are sent at the end of the current packet. It fails with ErrReplies when too many wait.
func (w *Writer) Reply(b []byte) error {
	w.mu.Lock()
	full := len(w.replies)+len(b) > repliesBytes
	if !full {
		w.replies = append(w.replies, b...)
	}
	w.mu.Unlock()
	if full {
		return ErrReplies
	}
	w.viewer.Nudge()
	return nil
}

func (w *Writer) takeReplies() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.replies
	w.replies = nil
	return b
}

// Pause stops the media, or lets it go on at the newest key unit.
func (w *Writer) Pause(on bool) {
	w.paused.Store(on)
	w.viewer.Nudge()
}
