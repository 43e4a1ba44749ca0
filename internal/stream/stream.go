package stream

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// How long a stream waits, from its first unit, for a track that the publisher has announced but not sent, or for a
// second kind of track when the publisher has announced nothing, before it counts as ready.
const (
	declaredWait   = 2 * time.Second
	undeclaredWait = time.Second
)

// Stream is one live publication: its tracks, its ring of units, its shares. It outlives its publisher when another
// takes over. All methods are safe for concurrent use and none waits, except WaitReady.
type Stream struct {
	opt   Options
	made  time.Time // its moments are told from here, by the monotonic clock
	units *ring[*av.AccessUnit]

	epoch atomic.Uint64 // of the publisher that owns the stream

	mu       sync.Mutex // guards what follows; memory only, a leaf
	adopted  uint64     // epoch of the publisher that what follows is about
	time     timeline
	shares   map[any]*Share
	declared declaration
	first    time.Time // when the publisher's first unit came
	squeezed int64     // bytes that each ring may keep while memory is short; 0: as many as the options say

	active atomic.Pointer[[]*Share]            // the shares, for the writer
	tracks atomic.Pointer[[]*av.Track]         // sorted by ID; replaced, never changed
	stats  atomic.Pointer[map[int]*trackStats] // by track ID; replaced, never changed
	total  meter

	complete atomic.Bool // the publisher's tracks are known, or have been waited for long enough. It changes under mu

	splices atomic.Uint64 // how often another publisher has gone on
	since   atomic.Int64  // media time from which on all units are the present publisher's; set before its tracks are
}

type declaration struct{ known, video, audio bool }

// New returns a stream without a publisher.
func New(o Options) *Stream {
	o = o.withDefaults()
	s := &Stream{
		opt: o, made: time.Now(), time: timeline{mode: o.Stamps}, units: newRing[*av.AccessUnit](o),
		shares: map[any]*Share{},
	}
	s.active.Store(&[]*Share{})
	s.tracks.Store(&[]*av.Track{})
	s.stats.Store(&map[int]*trackStats{})
	return s
}

// Tracks returns the current tracks, sorted by ID. The slice is shared: do not change it.
func (s *Stream) Tracks() []*av.Track { return *s.tracks.Load() }

// Newest is the decoding time of the newest unit; 0 if there is none.
func (s *Stream) Newest() time.Duration {
	head := s.units.head.Load()
	if head == 0 {
		return 0
	}
	it := s.units.at(head - 1)
	if it == nil { // replaced just now: the next will do as well
		return s.Newest()
	}
	return it.dts
}

// End ends the stream: readers get what the rings still hold, then cause, which is io.EOF if nil. The publisher's next
// write fails.
func (s *Stream) End(cause error) {
	if cause == nil {
		cause = io.EOF
	}
	s.mu.Lock()
	s.units.ended.CompareAndSwap(nil, &cause) // from here on nobody can write, nor get a viewer that would miss the end
	shares := *s.active.Load()
	s.mu.Unlock()
	s.units.flush()
	for _, sh := range shares {
		sh.end(cause)
	}
}

// Ended returns the cause with which the stream ended, or nil.
func (s *Stream) Ended() error {
	if cause := s.units.ended.Load(); cause != nil {
		return *cause
	}
	return nil
}

// Ready says whether the tracks are known of the publisher that has written last: each that was announced has come, or has been waited
// for long enough. So a stream that has lost its publisher is as ready as it was, until another writes.
func (s *Stream) Ready() bool { return s.complete.Load() }

// WaitReady waits until the stream is ready. It returns the end's cause if the stream ends first, and the context's cause
// when that ends.
func (s *Stream) WaitReady(ctx context.Context) error {
	for {
		wake := s.units.waiter()
		if s.Ready() {
			return nil
		}
		if err := s.Ended(); err != nil {
			return err
		}
		select {
		case <-wake: // a unit, which alone makes a stream ready, or the end
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Publish makes the caller the stream's publisher; the one before is fenced: a unit that it is just writing is its last. It
// takes no lock, so that it never waits for that one.
func (s *Stream) Publish() *Publisher {
	return &Publisher{stream: s, epoch: s.epoch.Add(1)}
}

// adopt prepares the stream for what the owner writes or declares first. Under mu.
func (s *Stream) adopt(p *Publisher) {
	if s.adopted == p.epoch {
		return
	}
	s.adopted = p.epoch
	s.time.restart()
	s.declared = declaration{}
}

// Rings is how many rings the stream has: that of units, and one for each format that is being muxed.
func (s *Stream) Rings() int { return 1 + len(*s.active.Load()) }

// Squeeze bounds each of the stream's rings to that many bytes, if that is less than the options say, until it is called again; 0: to what
// the options say. What is beyond the bound is forgotten at once, the oldest first, even if that is a part of the newest GOP; the
// newest unit stays. Readers whose next unit is gone jump. Formats that nobody watches are given up.
func (s *Stream) Squeeze(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.squeezed = bytes
	s.units.squeeze(bytes)
	for key, sh := range s.shares {
		if sh.squeeze(bytes); bytes > 0 && sh.viewers == 0 {
			delete(s.shares, key)
		}
	}
	if len(s.shares) < len(*s.active.Load()) {
		s.publishShares()
	}
}

// NewReader returns a reader that starts at the newest key unit.
func (s *Stream) NewReader() *Reader {
	s.units.read.Store(true)
	r := &Reader{cursor: cursor[*av.AccessUnit]{ring: s.units}, stream: s}
	r.join()
	return r
}

func byID(t *av.Track, id int) int { return t.ID - id }

// setTrack notes a unit's track, in place of the one with the same ID, and returns the one that the unit is to have. Under mu.
func (s *Stream) setTrack(p *Publisher, t *av.Track, now time.Time) (*av.Track, error) {
	old := *s.tracks.Load()
	i, found := slices.BinarySearchFunc(old, t.ID, byID)
	if found && old[i] == t {
		return t, nil
	}
	if t = p.ownTrack(t); found && old[i] == t {
		return t, nil
	}
	tracks := slices.Clone(old)
	switch {
	case found:
		if err := p.change(now); err != nil {
			return nil, err
		}
		tracks[i] = t
	case len(old) == av.MaxTracks:
		return nil, fmt.Errorf("stream: more than %d tracks", av.MaxTracks)
	default:
		tracks = slices.Insert(tracks, i, t)
	}
	s.tracks.Store(&tracks)
	return t, nil
}

// has says whether a track of the kind is known.
func (s *Stream) has(k av.Kind) bool { return hasKind(s.Tracks(), k) }

func hasKind(tracks []*av.Track, k av.Kind) bool {
	return slices.ContainsFunc(tracks, func(t *av.Track) bool { return t.Kind() == k })
}

// checkReady notes when the publisher's tracks are complete: then the stream is ready. Under mu.
func (s *Stream) checkReady(now time.Time) {
	if s.complete.Load() {
		return
	}
	video, audio, wait := true, true, undeclaredWait
	if s.declared.known {
		video, audio, wait = s.declared.video, s.declared.audio, declaredWait
	}
	missing := video && !s.has(av.Video) || audio && !s.has(av.Audio)
	if missing && now.Sub(s.first) < wait {
		return
	}
	s.complete.Store(true)
}
