package m3u8

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/vigil-media/vigil/internal/av"
)

// keep holds a part for the segment that it is of.
func (c *checker) keep(p *Piece) {
	if len(c.parts) > 0 && c.parts[0].MSN != p.MSN {
		c.parts = nil
	}
	if p.Part == len(c.parts) {
		c.parts = append(c.parts, p)
	}
}

func (c *checker) forget() { c.parts = nil }

// complete returns the segment whose parts were all kept, once it is closed.
func (c *checker) complete(m *Media) *Segment {
	if len(c.parts) == 0 {
		return nil
	}
	s := m.Segment(c.parts[0].MSN)
	if s == nil || s.URI == "" || len(s.Parts) != len(c.parts) {
		return nil
	}
	return s
}

// parent holds a segment against its parts, which have the same samples (3.2).
func (c *checker) parent(f *findings, s *Segment, data []byte) {
	var joined []byte
	for _, p := range c.parts {
		joined = append(joined, p.Data...)
	}
	c.forget()
	a, err := demuxMP4(c.init, joined)
	b, err2 := demuxMP4(c.init, data)
	if err = errors.Join(err, err2); err != nil {
		f.add("media-parent", 0, "%s: %v", s.URI, err)
		return
	}
	if len(a) != len(b) {
		f.add("media-parent", 0, "%s has %d samples, its parts have %d", s.URI, len(b), len(a))
		return
	}
	order := func(x, y *av.AccessUnit) int {
		return cmp.Or(cmp.Compare(x.Track.ID, y.Track.ID), cmp.Compare(x.DTS, y.DTS))
	}
	slices.SortStableFunc(a, order)
	slices.SortStableFunc(b, order)
	for i := range a {
		x, y := a[i], b[i]
		if x.Track.ID != y.Track.ID || x.DTS != y.DTS || x.PTS != y.PTS || x.Key != y.Key || !slices.EqualFunc(x.Data, y.Data, bytes.Equal) {
			f.add("media-parent", 0, "%s: sample %d, of track %d at %v, is another than in the parts", s.URI, i, y.Track.ID, y.DTS)
			return
		}
	}
}
