package hls

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/watch"
)

// rendition is a stream that is being cut into segments of one format, or that was until a moment ago.
type rendition struct {
	server *server
	renditionKey
	name    hub.Key
	path    string // of the folder that its files are in, as requests name it: "/app/name/"
	token   string
	ctx     context.Context //nolint:containedctx // its life, which look ends
	cancel  context.CancelCauseFunc
	current atomic.Pointer[edition]

	// Under the server's mu.
	viewers int
	idle    time.Time // since when nobody watches
	over    time.Time // when it ended; zero: it has not
}

// edition is what can be played at a moment, and who tells of the next.
type edition struct {
	*segment.Edition
	next  chan struct{} // closed when there is another
	final error         // why there is none to come; nil: there is
}

// errBroken is only seen when a rendition panics.
var errBroken = errors.New("the rendition broke")

// errIdle ends a rendition that nobody watches.
var errIdle = errors.New("nobody watches")

// rendition returns the one of a stream in a format, and begins it if there is none. With watch it gets one more viewer.
func (s *server) rendition(name hub.Key, live *stream.Stream, format segment.Format, watch bool) (*rendition, error) {
	key := renditionKey{live, format}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.renditions[key]
	if n == nil {
		if s.done.Err() != nil {
			return nil, hub.ErrClosing
		}
		n = &rendition{server: s, renditionKey: key, name: name, path: "/" + name.String() + "/", token: strings.ToLower(rand.Text()[:16]), idle: time.Now()}
		n.ctx, n.cancel = context.WithCancelCause(s.done)
		first := segment.Options{First: s.first(seriesKey{name, format}, time.Now()), Breaks: s.breaks}
		n.current.Store(&edition{Edition: segment.Nothing(format), next: make(chan struct{})})
		if err := s.cuts.Go(n.ctx, "hls "+name.String(), func(ctx context.Context) { n.run(ctx, first) }); err != nil {
			n.cancel(err)
			return nil, fmt.Errorf("%w: %w", hub.ErrLimit, err)
		}
		s.renditions[key], s.tokens[n.token] = n, n
	}
	if watch {
		n.viewers++
	}
	return n, nil
}

// run cuts the stream until it ends, or ctx.
func (n *rendition) run(ctx context.Context, first segment.Options) {
	cause := errBroken
	cell := n.server.env.Watch.Claim(watch.Label{
		Class: watch.Cut, Name: nameOf(n.format) + " " + n.name.String(), Heal: func(watch.Finding) { n.end(hub.ErrStuck) },
	})
	defer cell.Free()
	defer func() { n.end(cause) }()
	copies := n.server.dir.open(n.name, n.format, n.token)
	defer func() { copies.close(cause) }()
	c := &cut{rendition: n, copies: copies, reader: n.stream.NewReader(), dst: make([]stream.Entry, batch), cell: cell}
	cause = c.run(ctx, first)
}

// batch is how many units are cut between two editions at most.
const batch = 64

// cut is a rendition at work. One goroutine uses it.
type cut struct {
	*rendition
	reader *stream.Reader
	cutter *segment.Cutter
	dst    []stream.Entry
	tracks []*av.Track // of the stream as of the newest unit
	cell   *watch.Cell
	copies *copying // in hls.dir; nil: none
}

// run cuts until the stream ends, or ctx, and returns why.
func (c *cut) run(ctx context.Context, first segment.Options) error {
	for {
		count, err := c.reader.Read(ctx, c.dst)
		c.cell.Begin()
		if c.cutter == nil {
			c.cutter = segment.New(c.options(c.dst[:count], first))
		}
		c.cutter.Squeeze(c.server.env.Hub.Pressure() > hub.Calm)
		changed := false
		for _, e := range c.dst[:count] {
			changed = c.cutter.Add(segment.Entry{Unit: e.AccessUnit, Tracks: c.outlook(ctx, e), Came: e.Came, Jumped: e.Jumped}) || changed
		}
		clear(c.dst[:count])
		if err != nil {
			c.finish(err)
			c.cell.End()
			return err
		}
		if changed {
			c.show()
		}
		c.cell.End()
	}
}

// show has requests, and the folder, get what was cut.
func (c *cut) show() {
	e := c.cutter.Edition()
	c.publish(e, nil)
	c.copies.offer(e)
}

// finish publishes what was in the making. A stream that has ended has a last playlist; if only this server ends, nobody watches, or the cutting
// could not go on, players are not told of an end, and will find what follows.
func (c *cut) finish(cause error) {
	if c.stream.Ended() == nil || errors.Is(cause, hub.ErrClosing) || errors.Is(cause, errIdle) || errors.Is(cause, hub.ErrStuck) {
		return
	}
	c.cutter.End()
	c.show()
}

// outlook returns the tracks of the stream at a unit. Another publisher that goes on with the stream sends its tracks one after the other: its
// first unit waits until they are known, or have been waited for long enough.
func (c *cut) outlook(ctx context.Context, e stream.Entry) []*av.Track {
	ours := func(t *av.Track) bool { return slices.Contains(c.tracks, t) }
	known := slices.ContainsFunc(e.Tracks, ours)
	c.tracks = e.Tracks
	if known {
		return e.Tracks
	}
	c.cell.End() // a wait is no step
	defer c.cell.Begin()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if c.stream.WaitReady(ctx) != nil {
		return e.Tracks
	}
	if now := c.stream.Tracks(); slices.Contains(now, e.Track) {
		return now
	}
	return e.Tracks
}

// readyTimeout is longer than a stream waits for its tracks.
const readyTimeout = 3 * time.Second

// publish has requests get an edition from now on. final is why it is the last, or nil.
func (n *rendition) publish(e *segment.Edition, final error) {
	next := &edition{Edition: e, next: make(chan struct{}), final: final}
	for {
		old := n.current.Load()
		if old.final != nil {
			return // it was given up
		}
		if n.current.CompareAndSwap(old, next) {
			close(old.next)
			return
		}
	}
}

// end is the end of a rendition: what there is may still be asked for, for a while, and its viewers are viewers no longer. Calls after the
// first do nothing.
func (n *rendition) end(cause error) {
	if cause == nil {
		cause = io.EOF
	}
	n.publish(n.current.Load().Edition, cause)
	s := n.server
	s.mu.Lock()
	if !n.over.IsZero() {
		s.mu.Unlock()
		return
	}
	n.over = time.Now()
	n.retire()
	var all []*visitor
	for _, v := range s.visitors {
		if v.rendition == n {
			all = append(all, v)
		}
	}
	s.mu.Unlock()
	n.cancel(cause)
	for _, v := range all {
		v.release(cause)
	}
}

// lasts is how long one that has ended may be asked for.
func (n *rendition) lasts() time.Duration { return cacheFactor*n.current.Load().Span() + renditionIdle }

// retire has who comes from now on get another rendition, which counts on from this one. Under the server's mu.
func (n *rendition) retire() {
	s, last := n.server, n.current.Load()
	s.raise(seriesKey{n.name, n.format}, last.Next()+1, time.Now())
	s.breaks = max(s.breaks, last.Breaks())
	if s.renditions[n.renditionKey] == n {
		delete(s.renditions, n.renditionKey)
	}
}

// await waits until wanted is true of the newest edition, and returns that; no longer than ctx, or limit says, or until no other will
// come. The error is the context's cause, errLate, or why the rendition has ended; the edition is then the newest.
func (n *rendition) await(ctx context.Context, limit time.Duration, wanted func(*edition) bool) (*edition, error) {
	e := n.current.Load()
	if wanted(e) {
		return e, nil
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		if e.final != nil {
			return e, e.final
		}
		select {
		case <-e.next:
		case <-ctx.Done():
			return e, context.Cause(ctx)
		case <-timeout.C:
			return e, errLate
		}
		if e = n.current.Load(); wanted(e) {
			return e, nil
		}
	}
}

// errLate means that what a request waits for has not come in time.
var errLate = errors.New("what was waited for has not come in time")
