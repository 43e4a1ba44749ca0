package fmp4

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// ErrTracksChanged says that the tracks are now of other codecs, or other in number, than the viewers were told by MIME.
var ErrTracksChanged = errors.New("tracks changed")

// Muxer makes a stream of bytes for live viewers, as the Media Source Extensions want it (ISO BMFF Byte Stream Format): an init segment,
// then a fragment for each unit. Of the tracks it takes those that Select returns. It has the shape of a stream's muxer: Head, Config and
// Err may be called from any goroutine; Unit keeps state and belongs to one.
//
// Where parameters change and codecs do not, another init segment stands before the next fragment, which a browser takes at this
// place; players of files pass over it. Where codecs change, it could not go on: Err tells, and the viewers are to come again.
type Muxer struct {
	// Takes says which codecs the viewers can play; nil: all that the format carries.
	Takes func(av.Codec) bool

	fragment Fragment
	changed  atomic.Bool
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
func (m *Muxer) Config(dst []byte, tracks, prev []*av.Track, _ time.Duration) []byte {
	now, before := Select(tracks, m.Takes), Select(prev, m.Takes)
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

// Unit appends a unit as a fragment, if its track is one of those picked from tracks.
func (m *Muxer) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	if video, audio := pick(tracks, m.Takes); u.Track != video && u.Track != audio {
		return dst
	}
	return m.fragment.Unit(dst, u)
}

// Err is ErrTracksChanged once the tracks no longer fit what the viewers were told.
func (m *Muxer) Err() error {
	if m.changed.Load() {
		return ErrTracksChanged
	}
	return nil
}
