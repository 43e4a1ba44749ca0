package stream

import (
	"errors"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Publisher is the write end of a stream. One goroutine uses it.
type Publisher struct {
	stream  *Stream
	epoch   uint64
	came    time.Time // when its first unit came, whether that was dropped or not
	wrote   bool      // a unit
	started bool      // a video key unit
	skipped uint64
	own     map[*av.Track]*av.Track // the tracks of the publisher before, and their copies where p writes the same

	window  time.Time // start of the span in which changes of tracks are counted
	changes int
}

// Epoch is the publisher's fencing token: it grows with every publisher of the stream.
func (p *Publisher) Epoch() uint64 { return p.epoch }

// Stream is the stream that the publisher writes to.
func (p *Publisher) Stream() *Stream { return p.stream }

// Skipped counts the units that were dropped: pictures before the first key picture, and, when the stream had a publisher before, all
// that came before a first key picture that was worth waiting for.
func (p *Publisher) Skipped() uint64 { return p.skipped }

// Declare says which kinds of tracks the publisher has announced, so that the stream need not guess when it is complete.
func (p *Publisher) Declare(video, audio bool) {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	if p.check() == nil {
		p.stream.adopt(p)
		p.stream.declared = declaration{known: true, video: video, audio: audio}
	}
}

// Write appends a unit and muxes it into the active shares. It takes the unit over and restamps it onto the stream's
// clock. It never waits for a reader. It fails with ErrFenced when another publisher owns the stream, with ErrUnstable when the tracks
// change too often, and with the stream's end cause when that has ended.
//
// Video before the first key unit is dropped. A publisher that goes on with a stream begins with a key picture, and drops the sound
// before that, for two seconds at the most: unless it has declared that it has no pictures, or has declared nothing and the
// publisher before had none. Skipped counts what is dropped.
func (p *Publisher) Write(u *av.AccessUnit) error {
	s, now := p.stream, time.Now()
	if u.Track == nil || len(u.Data) == 0 {
		return errors.New("stream: unit without track or data")
	}
	failed, err := s.write(p, u, now)
	if err != nil {
		return err
	}
	s.units.flush()
	for _, sh := range *s.active.Load() {
		sh.wake(now, u.Track.Kind() == av.Video)
	}
	for _, sh := range failed {
		sh.wake(now, true)
	}
	return nil
}

// write does the part of Write that needs the lock. It returns the shares whose muxer failed.
func (s *Stream) write(p *Publisher, u *av.AccessUnit, now time.Time) (failed []*Share, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = p.check(); err != nil {
		return nil, err
	}
	s.adopt(p)
	if !p.admit(u, now) {
		p.skipped++
		return nil, nil
	}
	if !p.wrote {
		s.begin(p, u, now)
	}
	if u.Track, err = s.setTrack(p, u.Track, now); err != nil {
		return nil, err
	}
	at := now.Sub(s.made)
	corrected := s.time.place(u, at)
	it := item[*av.AccessUnit]{value: u, tracks: s.Tracks(), dts: u.DTS, at: now, size: u.Cost(), key: s.isKey(u)}
	s.units.append(it)
	s.count(u, now, at, corrected)
	failed = s.writeShares(&it)
	s.checkReady(now)
	return failed, nil
}

// begin prepares the stream for the first unit that it takes from p: nothing of the tracks of the publisher before is left. Under mu.
func (s *Stream) begin(p *Publisher, u *av.AccessUnit, now time.Time) {
	p.wrote = true
	s.first = now
	s.complete.Store(false)
	gone := s.Tracks()
	if len(gone) == 0 {
		return
	}
	if u.Track.Kind() != av.Video {
		s.first = p.came // pictures have been waited for already
	}
	p.own = map[*av.Track]*av.Track{}
	for _, t := range gone {
		p.own[t] = nil
	}
	s.resetStats(gone, now)
	s.since.Store(int64(s.time.out.floor))
	s.tracks.Store(&[]*av.Track{})
	s.splices.Add(1)
}

// ownTrack returns t, or a copy where it was the publisher's before too: by the tracks readers know whose units are whose.
func (p *Publisher) ownTrack(t *av.Track) *av.Track {
	own, shared := p.own[t]
	if !shared {
		return t
	}
	if own == nil {
		c := *t
		own = &c
		p.own[t] = own
	}
	return own
}

// check refuses a publisher that is not the owner, and all when the stream has ended. Under mu.
func (p *Publisher) check() error {
	if p.epoch != p.stream.epoch.Load() {
		return ErrFenced
	}
	return p.stream.Ended()
}

// How often the tracks of a publisher may change within a while: each change sends all viewers the whole configuration.
// An encoder that goes to and fro between two parameter sets does so with its key pictures, a few times a second.
const (
	changesMax  = 50
	changesSpan = 10 * time.Second
)

// change notes that a track has replaced one with the same ID, and refuses it when there were too many.
func (p *Publisher) change(now time.Time) error {
	if now.Sub(p.window) >= changesSpan {
		p.window, p.changes = now, 0
	}
	if p.changes++; p.changes > changesMax {
		return ErrUnstable
	}
	return nil
}

// spliceWait is how long a publisher that goes on with a stream may take, from its first unit, to its first key picture.
const spliceWait = 2 * time.Second

// admit drops what no decoder can use: video before the publisher's first key unit, and at a splice, what comes before that. Under mu.
func (p *Publisher) admit(u *av.AccessUnit, now time.Time) bool {
	if p.came.IsZero() {
		p.came = now
	}
	if u.Track.Kind() == av.Video {
		p.started = p.started || u.Key
		return p.started
	}
	return p.wrote || !p.stream.expectsPictures() || now.Sub(p.came) >= spliceWait
}

// expectsPictures says whether a publisher that has written nothing yet goes on with a stream of another, with pictures. Under mu.
func (s *Stream) expectsPictures() bool {
	switch {
	case len(s.Tracks()) == 0:
		return false
	case s.declared.known:
		return s.declared.video
	}
	return s.has(av.Video)
}

// isKey says whether a reader may start at u: at a key unit of the first video track, or anywhere when there is no video,
// nor any announced that may still come. Under mu.
func (s *Stream) isKey(u *av.AccessUnit) bool {
	for _, t := range s.Tracks() {
		if t.Kind() == av.Video {
			return u.Key && u.Track.ID == t.ID
		}
	}
	return !s.declared.video || s.complete.Load()
}
