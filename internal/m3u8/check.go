package m3u8

import (
	"errors"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/container/mpegts"
)

// checker holds media against the playlist that listed them. It knows what came before.
type checker struct {
	tracks   []*mp4Track
	init     []byte
	sequence uint64 // of the newest fragment
	counted  bool

	ts struct { // the segment before
		any bool
		end time.Duration
	}

	parts []*Piece // of the segment under way, for parents
}

// piece looks at the next one.
func (c *checker) piece(f *findings, p *Piece) {
	if p.Discontinuity || p.Missed > 0 {
		c.leap()
		c.counted = c.counted && !p.Discontinuity
	}
	var units []*av.AccessUnit
	switch {
	case len(p.Data) == 0:
		f.add("media-syntax", 0, "%s is empty", p.URI)
		return
	case p.Data[0] == 0x47:
		units = c.transport(f, p)
	default:
		units = c.fragmented(f, p)
	}
	f.keyPictures(p, units)
}

// leap forgets the times: what comes next need not follow.
func (c *checker) leap() {
	c.ts.any = false
	for _, t := range c.tracks {
		t.any = false
	}
}

// keyPictures looks for those in the first track of video.
func (f *findings) keyPictures(p *Piece, units []*av.AccessUnit) {
	var video []*av.AccessUnit
	for _, u := range units {
		if u.Track.Kind() == av.Video && (len(video) == 0 || video[0].Track.ID == u.Track.ID) {
			video = append(video, u)
		}
	}
	if len(video) == 0 {
		return
	}
	key := slices.ContainsFunc(video, func(u *av.AccessUnit) bool { return u.Key })
	switch {
	case p.Independent && !key:
		f.add("media-key", 0, "%s is independent, there is no key picture in it", p.URI)
	case p.Part < 0 && !video[0].Key:
		f.add("media-key-missing", 0, "%s begins with a picture that is no key picture", p.URI)
	case p.Part >= 0 && !p.Independent && key:
		f.add("media-key-unmarked", 0, "%s has a key picture and no INDEPENDENT=YES", p.URI)
	}
}

// fragmented looks at a segment or part of fragmented MP4.
func (c *checker) fragmented(f *findings, p *Piece) []*av.AccessUnit {
	if p.Init != nil {
		c.begin(f, p)
	}
	if c.init == nil {
		f.add("media-init", 0, "%s has no initialization section", p.URI)
		return nil
	}
	if len(c.tracks) == 0 {
		return nil // that was said of the initialization section
	}
	fragments, err := readFragments(p.Data, c.tracks)
	if err != nil || len(fragments) == 0 {
		f.add("media-syntax", 0, "%s: %d fragments, error %v", p.URI, len(fragments), err)
		c.leap()
		return nil
	}
	var main mp4Run
	var of *mp4Track
	for i := range fragments {
		m := &fragments[i]
		if c.counted && m.sequence <= c.sequence {
			f.add("media-sequence", 0, "%s: fragment %d behind %d", p.URI, m.sequence, c.sequence)
		}
		c.sequence, c.counted = m.sequence, true
		for j := range m.runs {
			t := c.run(f, p, &m.runs[j])
			if t == nil || of != nil && of != t && (of.video || !t.video) {
				continue
			}
			if of != t {
				of, main = t, mp4Run{}
			}
			main.duration += m.runs[j].duration
			main.longest = max(main.longest, m.runs[j].longest)
		}
	}
	if of != nil {
		c.duration(f, p, of.time(main.duration), of.time(main.longest))
	}
	units, err := demuxMP4(c.init, p.Data)
	if err != nil {
		f.add("media-syntax", 0, "%s: %v", p.URI, err)
	}
	return units
}

// begin takes an initialization section. The times of tracks that stay go on.
func (c *checker) begin(f *findings, p *Piece) {
	tracks, err := readInit(p.Init)
	if err != nil || len(tracks) == 0 {
		f.add("media-init", 0, "the initialization section of %s has %d tracks, error %v", p.URI, len(tracks), err)
	}
	for _, t := range tracks {
		for _, old := range c.tracks {
			if old.id == t.id && old.rate == t.rate {
				t.any, t.next, t.last = old.any, old.next, old.last
			}
		}
	}
	c.init, c.tracks = p.Init, tracks
}

// run looks at the time of a track's part of a fragment. Times may be off by half a sample: stamps of milliseconds are rounded.
func (c *checker) run(f *findings, p *Piece, r *mp4Run) *mp4Track {
	i := slices.IndexFunc(c.tracks, func(t *mp4Track) bool { return t.id == r.track })
	if i < 0 {
		f.add("media-init", 0, "%s has a fragment of track %d, which the initialization section does not", p.URI, r.track)
		return nil
	}
	t := c.tracks[i]
	if !r.timed {
		f.add("media-syntax", 0, "%s: no tfdt for track %d", p.URI, r.track)
		return t
	}
	if off := t.time(r.begin) - t.time(t.next); t.any && off.Abs() > max(t.time(t.last)/2, 2*time.Millisecond) {
		f.add("media-time", 0, "%s: track %d goes on at %v, the samples before it end at %v", p.URI, r.track, t.time(r.begin), t.time(t.next))
	}
	t.any, t.next, t.last = true, r.begin+r.duration, r.last
	return t
}

// duration holds what the media last against the playlist, to one and a half frames.
func (c *checker) duration(f *findings, p *Piece, is, frame time.Duration) {
	if off := is - p.Duration; off.Abs() > frame*3/2+time.Millisecond {
		f.add("media-duration", 0, "%s lasts %v, the playlist says %v", p.URI, is, p.Duration)
	}
}

// demuxMP4 takes a piece apart by itself.
func demuxMP4(init, data []byte) ([]*av.AccessUnit, error) {
	var d fmp4.Demuxer
	if _, err := d.Demux(init); err != nil {
		return nil, err
	}
	return d.Demux(data)
}

// transport looks at a segment of MPEG-TS.
func (c *checker) transport(f *findings, p *Piece) []*av.AccessUnit {
	before := len(*f)
	begin, video := f.packets(p)
	if len(*f) > before {
		c.leap()
		return nil
	}
	units, err := demuxTS(p.Data)
	if first := mainTrack(units); video && !begins(first, begin) {
		// No picture comes out before a key picture.
		if p.Independent {
			f.add("media-key", 0, "%s is independent, its first picture is no key picture", p.URI)
		} else {
			f.add("media-key-missing", 0, "%s begins with a picture that is no key picture", p.URI)
		}
		c.leap()
		return nil
	}
	if err != nil {
		f.add("media-syntax", 0, "%s: %v", p.URI, err)
	}
	main := mainTrack(units)
	if len(main) == 0 {
		f.add("media-syntax", 0, "%s has no units", p.URI)
		return units
	}
	first, last := main[0], main[len(main)-1]
	frame := frameOf(main)
	is := p.Duration
	if frame > 0 {
		is = last.DTS - first.DTS + frame
		c.duration(f, p, is, frame)
	}
	if off := first.DTS - c.ts.end; c.ts.any && wrapped(off) > frame*3/2+2*time.Millisecond {
		f.add("media-time", 0, "%s begins at %v, the segment before it ends at %v", p.URI, first.DTS, c.ts.end)
	}
	c.ts.any, c.ts.end = true, first.DTS+is
	return units
}

// mainTrack returns the units of the first track of video, or else of any.
func mainTrack(units []*av.AccessUnit) []*av.AccessUnit {
	if len(units) == 0 {
		return nil
	}
	track := units[0].Track
	for _, u := range units {
		if u.Track.Kind() == av.Video {
			track = u.Track
			break
		}
	}
	return slices.DeleteFunc(slices.Clone(units), func(u *av.AccessUnit) bool { return u.Track.ID != track.ID })
}

// frameOf is how long a unit lasts; 0 if nobody knows.
func frameOf(units []*av.AccessUnit) time.Duration {
	if n := len(units) - 1; n > 0 {
		return (units[n].DTS - units[0].DTS) / time.Duration(n)
	}
	if rate := units[0].Track.FrameRate; rate > 0 {
		return time.Duration(float64(time.Second) / rate)
	}
	return 0
}

// demuxTS takes a segment apart by itself.
func demuxTS(b []byte) ([]*av.AccessUnit, error) {
	var d mpegts.Demuxer
	var units []*av.AccessUnit
	emit := func(u *av.AccessUnit) error {
		units = append(units, u)
		return nil
	}
	err := d.Push(b, emit)
	return units, errors.Join(err, d.End(emit))
}
