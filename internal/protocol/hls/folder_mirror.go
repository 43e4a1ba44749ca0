package hls

import (
	"errors"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// Limits of a mirror, which are no settings.
const (
	behindMost  = 3        // segments that wait for the disk: older ones are given up
	behindBytes = 32 << 20 // of them, unless it is one

	againAfter = time.Second      // after a failure
	tidyAfter  = 10 * time.Second // after a failure to remove
	tidyMost   = 64               // files that one operation removes
	keptMost   = 512              // files that are remembered to be removed; others are found again
	giveUp     = 10 * time.Minute // that it is tried to remove what a stream has left
)

// mirror copies a stream in one format into a folder: complete segments, then the playlist that names them. All that waits is the newest edition, which is in
// memory anyhow, and one operation at a time: so the order is kept, and a disk that hangs holds one segment of each stream. What
// the disk is too slow for is left out: then the playlist begins after the gap.
//
// A playlist in the folder names what is there only. A file goes when the time is over for which a player may ask for it, since no
// playlist names it. All go a while after the stream's end, and what another process has left goes when the stream is cut again.
type mirror struct {
	*mirrors
	name   hub.Key
	path   string // of its folder
	format segment.Format

	mu     sync.Mutex       // guards what follows; memory only
	token  string           // of the rendition that is copied
	newest *segment.Edition // nil: none yet, or no more
	begin  uint64           // segments from here to next are in the folder, and there is a gap before, or nothing
	next   uint64           // segment to write
	shown  shown            // by the playlist in the folder
	files  []kept           // that are there
	busy   bool             // an operation is under way
	pause  time.Time        // nothing is begun before
	tidy   time.Time        // nothing is removed before
	swept  bool             // nothing is there that is not known
	failed bool             // something was not written
	lost   int              // segments given up, that have yet to be told of
	until  time.Time        // when all goes, as the rendition is over; zero: it is not
	gone   bool             // all has gone
}

// shown is what a playlist shows. The zero value stands for none.
type shown struct {
	token string
	to    uint64 // segments below
	ended bool
	span  time.Duration
}

// kept is a file in the folder.
type kept struct {
	name string
	due  time.Time // when it is to go; zero: a playlist names it, or will
}

// operation is what is asked of the folder.
type operation struct {
	begin  func(done func(error)) error
	done   func(now time.Time) // it has ended well; under mu
	failed func(now time.Time) // it has not, or was refused; under mu
}

// claim keeps a mirror from being forgotten.
func (m *mirror) claim() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone, m.until = false, time.Time{}
}

// adopt has the rendition with a token copied from now on.
func (m *mirror) adopt(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token, m.newest, m.begin, m.next = token, nil, 0, 0
	m.swept, m.failed, m.pause, m.tidy = false, false, time.Time{}, time.Time{}
	m.gone, m.until = false, time.Time{}
}

// offer has an edition copied. It does not wait.
func (c *copying) offer(e *segment.Edition) {
	if c == nil {
		return
	}
	m := c.mirror
	m.mu.Lock()
	old := m.newest
	if m.token != c.token || old != nil && old.Next() == e.Next() && old.Ended == e.Ended {
		m.mu.Unlock()
		return
	}
	if m.newest = e; old == nil {
		m.begin = e.Next() - uint64(len(e.Segments)) //nolint:gosec // a length
		m.next = m.begin
	}
	m.mu.Unlock()
	m.advance(time.Now())
}

// close says that the rendition is over, and why: a while later all goes. When only the server ends, all stays as it is: the next one goes on.
func (c *copying) close(cause error) {
	if c == nil || errors.Is(cause, hub.ErrClosing) {
		return
	}
	m := c.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.token != c.token {
		return
	}
	m.until = time.Now()
	if e := m.newest; e != nil {
		m.until = m.until.Add(cacheFactor * max(e.Span(), m.shown.span, e.Target))
	}
}

// over says whether there is nothing left of a mirror.
func (m *mirror) over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone && !m.busy
}

// advance begins what is to be done next, unless something is under way.
func (m *mirror) advance(now time.Time) {
	if m.stopping() {
		return
	}
	m.mu.Lock()
	if !m.until.IsZero() && now.After(m.until) {
		m.newest = nil // what hangs is not to keep it in memory
	}
	var op *operation
	if !m.busy && !now.Before(m.pause) {
		op = m.choose(now)
		m.busy = op != nil
	}
	lost := m.lost
	m.lost = 0
	m.mu.Unlock()
	if lost > 0 {
		m.trouble.note(m.name, nil, lost)
	}
	if op == nil {
		return
	}
	if err := op.begin(func(err error) { m.finish(op, err) }); err != nil {
		m.finish(op, err)
	}
}

// finish takes the outcome of an operation, and goes on.
func (m *mirror) finish(op *operation, err error) {
	now := time.Now()
	m.mu.Lock()
	m.busy = false
	if err == nil {
		op.done(now)
	} else {
		op.failed(now)
	}
	m.mu.Unlock()
	m.trouble.note(m.name, err, 0)
	if err == nil {
		m.advance(now)
	}
}

// hold is for how long a file may be asked for that no playlist names any more (6.2.2): as long as the playlist lasts that named it, and a segment.
// Under mu.
func (m *mirror) hold(e *segment.Edition) time.Duration {
	return max(m.shown.span, e.Span()) + e.Target
}
