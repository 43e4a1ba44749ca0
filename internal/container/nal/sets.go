package nal

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/vigil-media/vigil/internal/av"
)

// MaxSetSize is how many bytes one parameter set may have: real ones, even with scaling lists, stay under 1 KiB.
const MaxSetSize = 4096

// Lists are parameter sets by kind: VPS, SPS, PPS. The others have none.
type Lists [PPS + 1][][]byte

// Sort sorts parameter sets by kind, in their order, without copies. What is none is left out.
func Sort(c av.Codec, sets [][]byte) (l Lists) {
	for _, b := range sets {
		if kind := KindOf(c, b); kind.IsSet() {
			l[kind] = append(l[kind], b)
		}
	}
	return l
}

// Track makes a track, which keeps the sets; nil without an error if SPS or PPS are missing.
func (l *Lists) Track(id int, c av.Codec) (*av.Track, error) {
	switch {
	case len(l[SPS]) == 0 || len(l[PPS]) == 0:
		return nil, nil
	case c == av.H264:
		return av.NewH264(id, l[SPS], l[PPS])
	default:
		return av.NewH265(id, l[VPS], l[SPS], l[PPS])
	}
}

// Sets are the parameter sets of a track of one codec, each with the number by which slices or other sets refer to it; a kind
// has a number once. They stay within [MaxSetSize] and the limits of [av.Track]. The zero value has none. It belongs to one
// goroutine, and so do all that were shared from it; the sets themselves are never changed.
type Sets struct {
	lists   Lists
	numbers [PPS + 1][]int // beside lists
	size    int            // bytes of all
	shared  bool           // the lists are another's, too
}

// Put enters a copy of a parameter set in place of the one with the same number, and says whether that is news. One that is too
// large or cannot be read, or with which there would be more than a track may have, is refused with an error and changes nothing.
// What is no parameter set is ignored.
func (s *Sets) Put(c av.Codec, b []byte) (changed bool, err error) {
	kind := KindOf(c, b)
	if !kind.IsSet() {
		return false, nil
	}
	if len(b) > MaxSetSize {
		return false, fmt.Errorf("parameter set of %d bytes, %d allowed", len(b), MaxSetSize)
	}
	n := number(c, kind, b)
	if n < 0 {
		return false, fmt.Errorf("parameter set % x… of %d bytes cannot be read", b[:min(len(b), 8)], len(b))
	}
	at, size := slices.Index(s.numbers[kind], n), s.size+len(b)
	if at >= 0 {
		if bytes.Equal(s.lists[kind][at], b) {
			return false, nil
		}
		size -= len(s.lists[kind][at])
	}
	if at < 0 && s.count() >= av.MaxSets || size > av.MaxSetsSize {
		return false, fmt.Errorf("more than %d parameter sets or %d bytes of them", av.MaxSets, av.MaxSetsSize)
	}
	s.own()
	s.size = size
	b = bytes.Clone(b)
	if at >= 0 {
		s.lists[kind][at] = b
		return true, nil
	}
	s.lists[kind] = append(s.lists[kind], b)
	s.numbers[kind] = append(s.numbers[kind], n)
	return true, nil
}

// Share returns the same sets, to be changed without s. Nothing is copied until either changes.
func (s *Sets) Share() Sets {
	s.shared = true
	return *s
}

// own makes the lists those of s alone.
func (s *Sets) own() {
	if !s.shared {
		return
	}
	for kind := range s.lists {
		s.lists[kind] = slices.Clone(s.lists[kind])
		s.numbers[kind] = slices.Clone(s.numbers[kind])
	}
	s.shared = false
}

func (s *Sets) count() int { return len(s.lists[VPS]) + len(s.lists[SPS]) + len(s.lists[PPS]) }

// Equal says whether both have the same sets in the same order.
func (s *Sets) Equal(o *Sets) bool {
	for kind, list := range s.lists {
		if !slices.EqualFunc(list, o.lists[kind], bytes.Equal) {
			return false
		}
	}
	return true
}

// Track makes the track; nil without an error as long as SPS or PPS are missing.
func (s *Sets) Track(id int, c av.Codec) (*av.Track, error) { return s.lists.Track(id, c) }
