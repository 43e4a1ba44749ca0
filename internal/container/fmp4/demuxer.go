package fmp4

import (
	"errors"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// Limits of what is read, in bytes.
const (
	mediaUsual = 64 << 20 // an mdat, unless the Demuxer says otherwise
	initMax    = 1 << 20  // a moov
	moofMax    = 4 << 20
	keptMax    = 1 << 20 // of a buffer, from one box to the next
)

// ErrNoTrack says that a fragment is of a track that no init segment described, or not well enough.
var ErrNoTrack = errors.New("fragment of an unknown track")

// Demuxer reads fragmented MP4: init segments and fragments, in the order of the stream. The zero value is ready for use. Its memory
// grows with what has really arrived, up to one box and its limit. One goroutine uses it.
type Demuxer struct {
	// MediaMax is how many bytes an mdat may have; 0: 64 MiB.
	MediaMax int

	pos    uint64 // of the next byte, in the stream
	begin  uint64 // where the box under way began
	buf    []byte // of that box, header included
	header int    // its size, once it is known
	typ    string
	size   uint64 // of the box
	skip   uint64 // bytes that remain of a box of no interest

	tracks []*input
	moof   []run // of the newest moof, for the mdat that follows
	units  []*av.AccessUnit
	err    error // the end
}

// Demux takes the next piece of the stream and returns the units that are complete with it, in the order of their DTS within a fragment. Both
// results may be set: an error may be about one box, or one track. The units do not refer to b. Once a box has a size that it cannot have, each
// call returns that error.
func (d *Demuxer) Demux(b []byte) ([]*av.AccessUnit, error) {
	if d.err != nil {
		return nil, d.err
	}
	d.units = nil
	var first error
	for len(b) > 0 && d.err == nil {
		n, err := d.step(b)
		b = b[n:]
		d.pos += uint64(n) //nolint:gosec // not negative
		if first == nil {
			first = err
		}
	}
	if d.err != nil {
		first = d.err
		d.buf, d.moof = nil, nil
	}
	units := d.units
	d.units = nil
	return units, first
}

// Tracks returns the tracks as they are now, in the order of the init segment. Those of VP9, MP3 and AC-3 are described by their
// units and missing before the first.
func (d *Demuxer) Tracks() []*av.Track {
	var all []*av.Track
	for _, in := range d.tracks {
		if in.cur != nil {
			all = append(all, in.cur)
		}
	}
	return all
}

// step takes some bytes, at least one: those to be skipped, those of a header, those of a body.
func (d *Demuxer) step(b []byte) (int, error) {
	if d.skip > 0 {
		n := min(d.skip, uint64(len(b)))
		d.skip -= n
		return int(n), nil //nolint:gosec // up to len(b)
	}
	if d.header == 0 {
		return d.readHeader(b), nil
	}
	n := int(min(d.size-uint64(len(d.buf)), uint64(len(b)))) //nolint:gosec // both small
	d.buf = append(d.buf, b[:n]...)
	if uint64(len(d.buf)) < d.size {
		return n, nil
	}
	return n, d.finish()
}

// readHeader takes what is missing of a header, 8 or 16 bytes.
func (d *Demuxer) readHeader(b []byte) int {
	if len(d.buf) == 0 {
		d.begin = d.pos
	}
	want := boxHeader
	if len(d.buf) >= boxHeader {
		want += 8
	}
	n := min(want-len(d.buf), len(b))
	d.buf = append(d.buf, b[:n]...)
	if len(d.buf) < want {
		return n
	}
	c := cursor{b: d.buf}
	size := c.uint(4)
	d.typ = string(c.take(4))
	if size == 1 {
		if want == boxHeader {
			return n
		}
		size = c.uint(8)
	}
	if size < uint64(want) {
		d.err = fmt.Errorf("box %q of %d bytes", d.typ, size)
		return n
	}
	d.enter(size, want)
	return n
}

// enter decides what is to be done with a box.
func (d *Demuxer) enter(size uint64, header int) {
	limit := 0
	switch d.typ {
	case "moov":
		limit = initMax
	case "moof":
		limit = moofMax
	case "mdat":
		if len(d.moof) > 0 {
			limit = d.MediaMax
			if limit <= 0 {
				limit = mediaUsual
			}
		}
	}
	switch {
	case limit == 0:
		d.skip = size - uint64(header) //nolint:gosec // 8 or 16
		d.buf = d.buf[:0]
	case size > uint64(limit):
		d.err = fmt.Errorf("box %q of %d bytes, %d allowed", d.typ, size, limit)
	case size == uint64(header): //nolint:gosec // 8 or 16
		d.buf = d.buf[:0] // nothing in it
	default:
		d.size, d.header = size, header
	}
}

// finish takes a box that is complete.
func (d *Demuxer) finish() (err error) {
	body := d.buf[d.header:]
	switch d.typ {
	case "moov":
		d.moof = nil
		err = d.readInit(body)
	case "moof":
		d.moof, err = d.readMoof(body)
	default:
		err = d.readMedia(body, d.begin+uint64(d.header)) //nolint:gosec // 8 or 16
		d.moof = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", d.typ, err)
	}
	d.header = 0
	d.buf = d.buf[:0]
	if cap(d.buf) > keptMax {
		d.buf = nil
	}
	return err
}
