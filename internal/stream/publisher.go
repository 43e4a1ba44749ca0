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
	wrote   bool // a unit
	started bool // a video key unit
	waiting uint64

	window  time.Time // start of the span in which changes of tracks are counted
	changes int
}

// Epoch is the publisher's fencing token: it grows with every publisher of the stream.
func (p *Publisher) Epoch() uint64 { return p.epoch }

// Stream is the stream that the publisher writes to.
func (p *Publisher) Stream() *Stream { return p.stream }

// Skipped counts the video units that came before the first key unit and were dropped.
func (p *Publisher) Skipped() uint64 { return p.waiting }

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
// clock. It never waits for a reader. Video before the first key unit is dropped, and counted by Skipped. It fails with
// ErrFenced when another publisher owns the stream, with ErrUnstable when the tracks change too often, and with the stream's
// end cause when that has ended.
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
	if err := p.check(); err != nil {
		return nil, err
	}
	s.adopt(p)
	if !p.admit(u) {
		return nil, nil
	}
	if !p.wrote {
		p.wrote = true
		s.tracks.Store(&[]*av.Track{}) // the tracks of the publisher before are gone
		s.first, s.complete = now, false
	}
	if err := s.setTrack(p, u.Track, now); err != nil {
		return nil, err
	}
	s.time.place(u)
	it := item[*av.AccessUnit]{value: u, tracks: s.Tracks(), dts: u.DTS, at: now, size: u.Cost(), key: s.isKey(u)}
	s.units.append(it)
	s.count(u, u.Size(), now)
	failed = s.writeShares(&it)
	s.checkReady(now)
	return failed, nil
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

// admit drops the video that no decoder can use: what comes before the publisher's first key unit. Under mu.
func (p *Publisher) admit(u *av.AccessUnit) bool {
	if p.started || u.Track.Kind() != av.Video {
		return true
	}
	if !u.Key {
		p.waiting++
		return false
	}
	p.started = true
	return true
}

// isKey says whether a reader may start at u: at a key unit of the first video track, or anywhere when there is no video,
// nor any announced that may still come. Under mu.
func (s *Stream) isKey(u *av.AccessUnit) bool {
	for _, t := range s.Tracks() {
		if t.Kind() == av.Video {
			return u.Key && u.Track.ID == t.ID
		}
	}
	return !s.declared.video || s.complete
}
