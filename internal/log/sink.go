package log

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

const (
	queueLines = 8192
	queueBytes = 1 << 20

	// retryTime is how soon a sink that failed is tried again although nothing is logged. One that was given up has hung for longer: it is
	// told at once what it missed.
	retryTime = time.Second

	// DrainTime is how long Run goes on writing what is queued.
	DrainTime = time.Second
)

// Stats is the state of a sink.
type Stats struct {
	Name         string    // "console" or "file"
	Lines        int       // queued, with those that are being written
	Bytes        int       // of those lines
	Dropped      uint64    // lines that never reached the sink: the queue was full, a write failed or hung
	WritingSince time.Time // begin of the write that is under way, with its monotonic clock; zero for none
	Stuck        bool      // that write has taken too long: lines are dropped until it returns
}

// sink is a bounded queue of lines and the writer behind it. mu guards memory only.
type sink struct {
	name     string
	w        io.Writer
	json     bool
	linesMax int
	bytesMax int
	wake     chan struct{} // of capacity 1

	stuck   atomic.Bool   // the writer hangs: what is pushed is dropped; changed under mu
	skipped atomic.Uint64 // lines that were dropped therefore, and not queued before

	mu      sync.Mutex
	pending []byte // lines that wait
	waiting int    // their number
	spare   []byte // the buffer that was written last, to be used again
	lines   int    // waiting and those being written
	bytes   int
	dropped uint64        // besides those that were skipped
	silent  time.Duration // for how long writes were stuck that the sink was not told of
	told    uint64        // of dropped and skipped, how many the sink was told of
	since   time.Time
	closed  bool
}

func newSink(name string, w io.Writer, o Options) *sink {
	s := &sink{name: name, w: w, json: o.Config.Format == FormatJSON, wake: make(chan struct{}, 1)}
	if s.linesMax = o.QueueLines; s.linesMax <= 0 {
		s.linesMax = queueLines
	}
	if s.bytesMax = o.QueueBytes; s.bytesMax <= 0 {
		s.bytesMax = queueBytes
	}
	return s
}

// push queues a copy of line, or drops and counts it. It never blocks.
func (s *sink) push(line []byte) {
	if s.stuck.Load() {
		s.skipped.Add(1)
		return
	}
	s.mu.Lock()
	if s.closed || s.stuck.Load() || s.lines >= s.linesMax || s.bytes+len(line) > s.bytesMax {
		s.dropped++
		s.mu.Unlock()
		return
	}
	s.pending = append(s.pending, line...)
	s.waiting++
	s.lines++
	s.bytes += len(line)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// giveUp drops what is queued, and what comes, until the write that hangs returns. It does nothing when that has returned already.
func (s *sink) giveUp(f watch.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() || time.Since(s.since) < f.Age || s.stuck.Load() {
		return
	}
	s.stuck.Store(true)
	s.dropped += uint64(s.waiting) //nolint:gosec // not negative
	s.lines -= s.waiting
	s.bytes -= len(s.pending)
	s.pending, s.waiting = nil, 0
}

// run writes until ctx ends and then drains. The writing goroutine is another one, since it may be stuck for ever: then it keeps the cell.
func (s *sink) run(ctx context.Context, cell *watch.Cell) error {
	stop, done := make(chan struct{}), make(chan struct{})
	g, _ := task.NewGroup(context.WithoutCancel(ctx))
	g.Go("log writer "+s.name, func(context.Context) error {
		defer close(done)
		defer cell.Free()
		s.pump(stop, cell)
		return nil
	})
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(stop)
	limit := time.NewTimer(DrainTime)
	defer limit.Stop()
	select {
	case <-done:
		return g.Wait()
	case <-limit.C:
		cell.Abandon()
		return fmt.Errorf("log: %s is blocked, %d messages lost", s.name, s.stats().Lines)
	}
}

// pump is the loop of the writing goroutine.
func (s *sink) pump(stop <-chan struct{}, cell *watch.Cell) {
	retry := time.NewTicker(retryTime)
	defer retry.Stop()
	for {
		s.flush(cell)
		select {
		case <-s.wake:
		case <-retry.C:
		case <-stop:
			s.flush(cell)
			if c, ok := s.w.(io.Closer); ok && s.name == "file" { // the console is not ours
				_ = c.Close()
			}
			return
		}
	}
}

// flush writes all that waits, in one piece, and the number of lines that were dropped before.
func (s *sink) flush(cell *watch.Cell) {
	s.mu.Lock()
	batch, lines, silent := s.pending, s.waiting, s.silent
	owed := s.dropped + s.skipped.Load() - s.told
	if lines == 0 && owed == 0 {
		s.silent = 0
		s.mu.Unlock()
		return
	}
	s.pending, s.waiting, s.spare = s.spare[:0], 0, nil
	s.since = time.Now()
	s.mu.Unlock()

	size := len(batch)
	if owed > 0 {
		batch = s.notice(batch, owed, silent)
	}
	n, err := s.write(batch, cell)
	lost := 0
	if err != nil {
		lost = max(0, lines-bytes.Count(batch[:min(max(n, 0), len(batch))], []byte{'\n'}))
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines -= lines
	s.bytes -= size
	s.dropped += uint64(lost) //nolint:gosec // not negative
	if err == nil {
		s.told += owed
		s.silent -= silent
	}
	if s.stuck.Swap(false) {
		s.silent += time.Since(s.since)
	}
	s.since = time.Time{}
	if cap(batch) <= queueBytes/4 { // memory of a flood is not kept
		s.spare = batch[:0]
	}
}

// write is one Write of the sink. A panic there is an error.
func (s *sink) write(batch []byte, cell *watch.Cell) (n int, err error) {
	cell.Begin()
	defer cell.End()
	err = task.Guard("log writer "+s.name, func() (err error) {
		n, err = s.w.Write(batch)
		return err
	})
	return n, err
}

// notice appends the line that says how many there are not, and for how long there could be none.
func (s *sink) notice(b []byte, n uint64, silent time.Duration) []byte {
	msg := fmt.Sprintf("%d log messages dropped", n)
	if silent > 0 {
		msg = fmt.Sprintf("the %s took nothing for %.0f s: %s", s.name, silent.Seconds(), msg)
	}
	if !s.json {
		b = appendTime(b, time.Now())
		return append(append(append(b, " WRN "...), msg...), '\n')
	}
	var line bytes.Buffer
	slog.New(slog.NewJSONHandler(&line, nil)).Warn(msg) //nolint:sloglint // the same words in both formats
	return append(b, line.Bytes()...)
}

func (s *sink) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Name: s.name, Lines: s.lines, Bytes: s.bytes, Dropped: s.dropped + s.skipped.Load(), WritingSince: s.since, Stuck: s.stuck.Load(),
	}
}
