package fmp4

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// ErrTracksChanged says that the tracks are now of other codecs, or other in number, than the viewers were told by MIME.
var ErrTracksChanged error = tracksChanged{}

type tracksChanged struct{}

// Error implements error.
func (tracksChanged) Error() string { return "tracks changed" }

// Reason is the word for metrics and programs.
func (tracksChanged) Reason() string { return "tracks-changed" }

// spliceWait is how long a publisher that goes on with a stream may take, in its time, to send the tracks that were there before.
const spliceWait = 2 * time.Second

// Muxer makes a stream of bytes for live viewers, as the Media Source Extensions want it (ISO BMFF Byte Stream Format): an init segment,
// then a fragment for each unit. Of the tracks it takes those that Select returns. It has the shape of a stream's muxer: Head, Config and
// Err may be called from any goroutine; Unit keeps state and belongs to one.
//
// Where parameters change and codecs do not, another init segment stands before the next fragment, which a browser takes at this
// place; players of files pass over it. Where codecs change, it could not go on: Err tells, and the viewers are to come again. When another
// publisher goes on with the stream, its tracks come one after the other: what was there before is taken for granted for spliceWait.
//
// The sequence numbers of fragments (mfhd) rise by 2. VLC 3 believes the tfdt of a fragment only where the number is not the one after that of
// the fragment before, and counts by durations otherwise: the sound of who comes late would be at 0 for it, long over, and not heard.
type Muxer struct {
	// Takes says which codecs the viewers can play; nil: all that the format carries.
	Takes func(av.Codec) bool
	// Told is what viewers were told of before, such as by MIME; nil: nothing. The key picture that they begin with may be older than the first
	// sound: it is in their init segment all the same.
	Told []*av.Track

	fragment Fragment
	splice   atomic.Pointer[splice] // the newest
	changed  atomic.Bool
}

// splice is what is to come of a publisher that goes on with a stream. It is immutable.
type splice struct {
	own    []*av.Track   // of the publisher that are known, those too that are not carried: one may be all that has come
	tracks []*av.Track   // those of them that are picked, and for kinds that are still to come, those of the one before
	until  time.Duration // by when they are to have come; 0: they have
}

// Select returns the first video and the first audio track that the format carries and takes returns true for, in this order: a browser plays one
// of each. takes may be nil.
func Select(tracks []*av.Track, takes func(av.Codec) bool) []*av.Track {
	video, audio := pick(tracks, takes)
	var picked []*av.Track
	for _, t := range []*av.Track{video, audio} {
		if t != nil {
			picked = append(picked, t)
		}
	}
	return picked
}

func pick(tracks []*av.Track, takes func(av.Codec) bool) (video, audio *av.Track) {
	for _, t := range tracks {
		if !Carries(t.Codec) || takes != nil && !takes(t.Codec) {
			continue
		}
		switch t.Kind() {
		case av.Video:
			if video == nil {
				video = t
			}
		case av.Audio:
			if audio == nil {
				audio = t
			}
		case av.Data:
		}
	}
	return video, audio
}

// Head appends nothing: all that a viewer needs first is in the init segment.
func (m *Muxer) Head(dst []byte, _ []*av.Track) []byte { return dst }

// Config appends an init segment for a newcomer, who has had none, and where a track that is carried has other parameters than the one
// in prev. If its codec is another, it appends nothing, and Err tells from there on.
func (m *Muxer) Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte {
	now, before := Select(tracks, m.Takes), Select(prev, m.Takes)
	before = m.granted().complete(prev, before) // by what is taken for granted until now
	m.note(tracks, prev, now, before, at)
	s := m.granted()
	now, before = s.complete(tracks, now), s.complete(prev, before)
	if len(before) == 0 {
		return AppendInit(dst, now)
	}
	same := len(now) == len(before)
	for i := 0; same && i < len(now); i++ {
		if now[i].Codec != before[i].Codec {
			m.changed.Store(true)
			return dst
		}
		same = now[i].Equal(before[i])
	}
	switch {
	case len(now) != len(before):
		m.changed.Store(true)
		return dst
	case same:
		return dst
	}
	return AppendInit(dst, now)
}

// granted is what the publisher's tracks are taken to be; nil: what has come.
func (m *Muxer) granted() *splice {
	if s := m.splice.Load(); s != nil || len(m.Told) == 0 {
		return s
	}
	return &splice{own: m.Told, tracks: m.Told}
}

// note notices that another publisher goes on, and that all its tracks have come. Those who come to what lies behind already change nothing.
func (m *Muxer) note(tracks, prev, now, before []*av.Track, at time.Duration) {
	old := m.splice.Load()
	if m.granted().has(tracks) {
		if old != nil && old.until > 0 && len(now) == len(old.tracks) {
			m.splice.CompareAndSwap(old, &splice{own: tracks, tracks: now})
		}
		return
	}
	again := slices.ContainsFunc(tracks, func(t *av.Track) bool { return slices.Contains(prev, t) })
	if len(before) == 0 || again {
		return
	}
	next := &splice{own: tracks, tracks: before}
	next.tracks, next.until = next.fill(now), at+spliceWait
	if len(now) == len(next.tracks) {
		next.until = 0
	}
	m.splice.CompareAndSwap(old, next)
}

// has says whether any of the tracks is the publisher's.
func (s *splice) has(tracks []*av.Track) bool {
	return s != nil && slices.ContainsFunc(tracks, func(t *av.Track) bool { return slices.Contains(s.own, t) })
}

// complete returns what was picked of all the tracks, if they are the publisher's with those that come or came a little later.
func (s *splice) complete(all, picked []*av.Track) []*av.Track {
	if !s.has(all) {
		return picked
	}
	return s.fill(picked)
}

// fill adds the splice's tracks of the kinds that are missing, video first.
func (s *splice) fill(tracks []*av.Track) []*av.Track {
	out := slices.Clone(tracks)
	for _, t := range s.tracks {
		if !slices.ContainsFunc(tracks, func(o *av.Track) bool { return o.Kind() == t.Kind() }) {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *av.Track) int { return int(a.Kind()) - int(b.Kind()) })
	return out
}

// Unit appends a unit as a fragment, if its track is one of those picked from tracks.
func (m *Muxer) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	if s := m.splice.Load(); s != nil && s.until > 0 && u.DTS > s.until {
		m.changed.Store(true)
		return dst
	}
	if video, audio := pick(tracks, m.Takes); u.Track != video && u.Track != audio {
		return dst
	}
	m.fragment.Sequence++ // with that of Unit, every other number
	return m.fragment.Unit(dst, u)
}

// Err is ErrTracksChanged once the tracks no longer fit what the viewers were told.
func (m *Muxer) Err() error {
	if m.changed.Load() {
		return ErrTracksChanged
	}
	return nil
}
