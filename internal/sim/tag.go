package sim

import (
	"errors"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// Tag says which unit of which encoder a unit is. It stands at the unit's end.
type Tag struct {
	Origin   byte   // the encoder
	Track    byte   // the track's id at the encoder
	Seq      uint64 // number among all units of the encoder
	TrackSeq uint64 // number among those of the track
}

const (
	tagMark   = 0xc5
	tagDigits = 5 // of 7 bits, for each number
	tagSize   = 3 + 2*tagDigits
)

// append appends the tag. No byte of it is 0, and all but the mark have their high bit set.
func (t Tag) append(b []byte) []byte {
	b = append(b, tagMark, t.Origin|0x80, t.Track|0x80)
	for _, n := range [...]uint64{t.Seq, t.TrackSeq} {
		for range tagDigits {
			b = append(b, byte(n)|0x80)
			n >>= 7
		}
	}
	return b
}

// fill appends n bytes that depend on the tag. None is 0, so that no start code can arise.
func fill(b []byte, n int, t Tag) []byte {
	for i := range n {
		b = append(b, filler(t, i))
	}
	return b
}

func filler(t Tag, i int) byte {
	return byte(t.TrackSeq*31+uint64(i)*7+uint64(t.Track)*13+uint64(t.Origin)) | 0x80 //nolint:gosec // any byte will do
}

// Read returns the tag of a unit, and an error if the unit is not byte by byte what the encoder made.
func Read(u *av.AccessUnit) (Tag, error) {
	if len(u.Data) == 0 {
		return Tag{}, errors.New("unit without data")
	}
	last := u.Data[len(u.Data)-1]
	if len(last) < tagSize || last[len(last)-tagSize] != tagMark {
		return Tag{}, fmt.Errorf("%v unit of %d bytes has no tag: it was cut, grown or changed", u.Track.Codec, u.Size())
	}
	b := last[len(last)-tagSize+1:]
	t := Tag{Origin: b[0] & 0x7f, Track: b[1] & 0x7f}
	for i := range tagDigits {
		t.Seq |= uint64(b[2+i]&0x7f) << (7 * i)
		t.TrackSeq |= uint64(b[2+tagDigits+i]&0x7f) << (7 * i)
	}
	for i, e := range u.Data {
		head := header(u.Track, u.Key, i)
		end := len(e)
		if i == len(u.Data)-1 {
			end -= tagSize
		}
		if end < len(head) || string(e[:len(head)]) != string(head) {
			return t, fmt.Errorf("%v unit %d: element %d begins with % x, want % x", u.Track.Codec, t.Seq, i, e[:min(len(e), 16)], head)
		}
		for at, c := range e[len(head):end] {
			if c != filler(t, at) {
				return t, fmt.Errorf("%v unit %d: element %d differs at byte %d", u.Track.Codec, t.Seq, i, len(head)+at)
			}
		}
	}
	return t, nil
}
