package nal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/vigil-media/vigil/internal/av"
)

// Parameter sets of libx264 and libx265, 64x48 at 25 fps.
const (
	hexSPS    = "6764000aacb208f60220000003002000000641e244c9"
	hexPPS    = "68ebc3cb22c0"
	hexVPS265 = "40010c01ffff01600000030090000003000003001e959809"
	hexSPS265 = "42010101600000030090000003000003001ea02083165959ae4caf016808000003000800000300c840"
	hexPPS265 = "4401c173d089"
)

// TestNumber: H.264, 7.4.2.1.1 and 7.4.2.2; H.265, 7.4.3.2.1 and 7.4.3.3.1.
func TestNumber(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codec av.Codec
		set   string
		want  int
	}{
		{"H264 SPS", av.H264, "6764000a 041020", 31},
		{"H264 SPS beyond the end", av.H264, "6764000a 043020", -1},
		{"H264 SPS cut", av.H264, "676400", -1},
		{"H264 SPS without end", av.H264, "6764000a 00000000 0000", -1},
		{"H264 PPS", av.H264, "68 00804080", 255},
		{"H264 PPS beyond the end", av.H264, "68 0080c080", -1},
		{"H265 VPS", av.H265, "4001 fc", 15},
		{"H265 VPS cut", av.H265, "4001", -1},
		{"H265 SPS", av.H265, hexSPS265, 0},
		{"H265 SPS 15", av.H265, "4201 010160000003009000000300000300 1e 0820 2083", 15},
		{"H265 SPS beyond the end", av.H265, "4201 010160000003009000000300000300 1e 08a0 2083", -1},
		{"H265 SPS cut", av.H265, hexSPS265[:34], -1},
		{"H265 SPS, sub-layer cut", av.H265, "4201 03 01604000009000001000001e c000 00 1502", -1},
		{"H265 SPS, level of a sub-layer", av.H265, "4201 03 01604000009000001000001e 4000 1e 1502", 9},
		{"H265 SPS, sub-layers without more", av.H265, "4201 0d 01604000009000001000001e 0000 1502", 9},
		{"H265 SPS, all of 6 sub-layers", av.H265, "4201 0d 01604000009000001000001e fff0" + strings.Repeat("11", 72) + "1502", 9},
		{"H265 SPS, 7 sub-layers", av.H265, "4201 0f 01604000009000001000001e 0000 1502", -1},
		{"H265 PPS", av.H265, "4401 020408", 63},
		{"H265 PPS beyond the end", av.H265, "4401 020c08", -1},
		{"H265 PPS cut", av.H265, "44", -1},
	} {
		set := unhex(tc.set)
		if got := number(tc.codec, KindOf(tc.codec, set), set); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// texts are the sets of a kind, for comparing.
func (s *Sets) texts(kind Kind) string {
	var all []string
	for _, b := range s.lists[kind] {
		all = append(all, fmt.Sprintf("%x", b))
	}
	return strings.Join(all, " ")
}

// TestPut: one takes the place of the one with its number, what is no news changes nothing, and neither does what is refused.
func TestPut(t *testing.T) {
	var s Sets
	for _, step := range []struct {
		put     string
		changed bool
		err     string // "": none
		pps     string
	}{
		{"6880", true, "", "6880"},                              // number 0
		{"6840", true, "", "6880 6840"},                         // number 1
		{"6881", true, "", "6881 6840"},                         // number 0, another
		{"6881", false, "", "6881 6840"},                        // the same
		{"68", false, "cannot be read", "6881 6840"},            // no number
		{"6588", false, "", "6881 6840"},                        // no set
		{"", false, "", "6881 6840"},                            // nothing
		{"6864", true, "", "6881 6840 6864"},                    // number 2
		{"6844", true, "", "6881 6844 6864"},                    // number 1, another
		{"68000000", false, "cannot be read", "6881 6844 6864"}, // endless
	} {
		b := unhex(step.put)
		changed, err := s.Put(av.H264, b)
		clear(b) // it was copied
		if changed != step.changed || (err != nil) != (step.err != "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%s: changed %v, error %v", step.put, changed, err)
		}
		if got := s.texts(PPS); got != step.pps {
			t.Errorf("%s: %s, want %s", step.put, got, step.pps)
		}
	}
}

// pps is a picture parameter set of H.265 with a number and a size.
func pps(n, size int) []byte {
	zeros := bits.Len(uint(n+1)) - 1
	b := binary.BigEndian.AppendUint16(unhex("4401"), uint16(n+1)<<(15-2*zeros))
	return append(b, make([]byte, size-len(b))...)
}

// vps is a video parameter set with a number, a byte behind it, and a size.
func vps(n int, tail byte, size int) []byte {
	b := []byte{0x40, 1, byte(n << 4), tail}
	return append(b, make([]byte, size-len(b))...)
}

// TestLimits: what would exceed a limit changes nothing, and what takes the place of another needs the difference only.
func TestLimits(t *testing.T) {
	put := func(s *Sets, b []byte, want string) {
		t.Helper()
		before := s.Share()
		changed, err := s.Put(av.H265, b)
		if (err == nil) != (want == "") || changed != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("% x of %d bytes: changed %v, error %v", b[:4], len(b), changed, err)
		}
		if err != nil && !s.Equal(&before) {
			t.Error("refused, but changed")
		}
	}
	var s Sets
	put(&s, pps(63, MaxSetSize+1), "4097 bytes")
	for n := range av.MaxSetsSize / MaxSetSize {
		put(&s, vps(n, 0, MaxSetSize), "")
	}
	put(&s, pps(63, 5), "parameter sets")
	put(&s, vps(1, 1, MaxSetSize), "") // another, as large
	put(&s, vps(0, 0, 5), "")
	put(&s, pps(63, 5), "")

	var many Sets
	for n := range av.MaxSets {
		if n < 16 {
			put(&many, vps(n, 0, 5), "")
		} else {
			put(&many, pps(n-16, 5), "")
		}
	}
	put(&many, pps(av.MaxSets-16, 5), "parameter sets")
	put(&many, pps(0, 6), "")
}

// TestShare: neither notices what becomes of the other.
func TestShare(t *testing.T) {
	var a Sets
	put := func(s *Sets, set string) {
		t.Helper()
		if changed, err := s.Put(av.H264, unhex(set)); err != nil || !changed {
			t.Fatalf("%s: changed %v, error %v", set, changed, err)
		}
	}
	put(&a, "6880")
	put(&a, "6840")
	put(&a, "6860") // room behind them, in which both could write
	b := a.Share()
	c := b.Share()
	if !a.Equal(&b) || !b.Equal(&c) {
		t.Error("the same sets are not equal")
	}
	put(&b, "6881")
	put(&b, "6824")
	put(&a, "6841")
	put(&a, "6828")
	put(&c, "6862")
	for i, tc := range []struct {
		s    *Sets
		want string
	}{{&a, "6880 6841 6860 6828"}, {&b, "6881 6840 6860 6824"}, {&c, "6880 6840 6862"}} {
		if got := tc.s.texts(PPS); got != tc.want {
			t.Errorf("%d: %s, want %s", i, got, tc.want)
		}
	}
	if a.Equal(&b) || b.Equal(&c) || c.Equal(&b) {
		t.Error("other sets are equal")
	}

	// Numbers are nobody else's either: both append to what they had in common.
	base := Sets{}
	put(&base, "6880")
	put(&base, "6840")
	put(&base, "6860")
	one := base.Share()
	put(&one, "6828") // number 4
	two := base.Share()
	put(&two, "6824") // number 3
	for _, set := range []string{"6828", "6824"} {
		s := &one
		if set == "6824" {
			s = &two
		}
		if changed, err := s.Put(av.H264, unhex(set)); changed || err != nil {
			t.Errorf("%s is news: %v, error %v", set, changed, err)
		}
	}

	// Who has lists of its own does not copy them for each set.
	n := testing.AllocsPerRun(100, func() {
		next := base.Share()
		put(&next, "6881")
		put(&next, "6841")
		put(&next, "6861")
	})
	if n > 2+3+3 { // lists and numbers, sets, what unhex makes
		t.Errorf("%v allocations", n)
	}
}

// TestShareAllocates: looking at the sets of each key picture costs nothing as long as they are the same.
func TestShareAllocates(t *testing.T) {
	var s Sets
	sets := [][]byte{unhex(hexVPS265), unhex(hexSPS265), unhex(hexPPS265)}
	look := func() {
		next := s.Share()
		changed := false
		for _, b := range sets {
			news, err := next.Put(av.H265, b)
			if err != nil {
				t.Fatal(err)
			}
			changed = changed || news
		}
		if changed {
			s = next
		}
	}
	look()
	if n := testing.AllocsPerRun(100, look); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTrack: there is one as soon as there are enough sets, in the order that a decoder wants.
func TestTrack(t *testing.T) {
	for _, tc := range []struct {
		codec av.Codec
		sets  []string
		from  int // sets with which there is a track
		order []int
	}{
		{av.H264, []string{hexPPS, hexSPS}, 2, []int{1, 0}},
		{av.H265, []string{hexPPS265, hexSPS265, hexVPS265}, 2, []int{2, 1, 0}},
	} {
		var s Sets
		for i, set := range tc.sets {
			if _, err := s.Put(tc.codec, unhex(set)); err != nil {
				t.Fatal(err)
			}
			if tr, err := s.Track(7, tc.codec); err != nil || (tr != nil) != (i+1 >= tc.from) {
				t.Errorf("%v, %d sets: %v, error %v", tc.codec, i+1, tr, err)
			}
		}
		tr, _ := s.Track(7, tc.codec)
		if tr.ID != 7 || tr.Codec != tc.codec || len(tr.Sets) != len(tc.order) || tr.Width != 64 {
			t.Fatalf("%+v", tr)
		}
		for i, at := range tc.order {
			if !bytes.Equal(tr.Sets[i], unhex(tc.sets[at])) {
				t.Errorf("%v, set %d: % x", tc.codec, i, tr.Sets[i])
			}
		}
		if l := Sort(tc.codec, append(tr.Sets, unhex("0c01ff"), nil)); !reflect.DeepEqual(l, s.lists) {
			t.Errorf("%v sorted: %x", tc.codec, l)
		}
	}
	var s Sets
	_, _ = s.Put(av.H264, unhex("67ff00ff80"))
	_, _ = s.Put(av.H264, unhex(hexPPS))
	if tr, err := s.Track(1, av.H264); tr != nil || err == nil {
		t.Errorf("of an SPS that cannot be: %v, error %v", tr, err)
	}
}

// FuzzSets puts any NAL units, each behind 16 bits of length. Whatever comes in: no panic; limits hold; a number is there once, and
// is what an independent reader finds; what is refused changes nothing, and what was shared before stays as it was.
func FuzzSets(f *testing.F) {
	script := func(sets ...string) (b []byte) {
		for _, s := range sets {
			b = binary.BigEndian.AppendUint16(b, uint16(len(unhex(s))))
			b = append(b, unhex(s)...)
		}
		return b
	}
	f.Add(true, script(hexSPS, hexPPS, "0606 01c480", "65 8884", hexSPS, "68ebc3cb20"))
	f.Add(false, script(hexVPS265, hexSPS265, hexPPS265, "4601 50", "2801 af1d", hexPPS265+"00"))
	f.Add(false, script("4201 0d 01604000009000001000001e fff0"+strings.Repeat("11", 72)+"1502", "42010f", "4401 020c08"))
	f.Fuzz(func(t *testing.T, isH264 bool, b []byte) {
		c := av.H265
		if isH264 {
			c = av.H264
		}
		var s Sets
		for len(b) >= 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			unit := bytes.Clone(b[2 : 2+n])
			b = b[2+n:]
			Starts(c, unit)
			Recovers(c, unit)
			before, text := s.Share(), fmt.Sprint(s.lists)
			changed, err := s.Put(c, unit)
			if changed == s.Equal(&before) || changed && err != nil || fmt.Sprint(before.lists) != text {
				t.Fatalf("% x: changed %v, error %v", unit, changed, err)
			}
			if again, e := s.Put(c, unit); again || (e == nil) != (err == nil) {
				t.Fatalf("% x again: changed %v, error %v, before %v", unit, again, e, err)
			}
			checkSets(t, &s, c)
		}
		if tr, err := s.Track(1, c); err == nil && tr != nil && !reflect.DeepEqual(Sort(c, tr.Sets), s.lists) {
			t.Fatalf("%v has other sets", tr)
		}
	})
}

func checkSets(t *testing.T, s *Sets, c av.Codec) {
	t.Helper()
	size := 0
	for kind, list := range s.lists {
		numbers := s.numbers[kind]
		for i, set := range list {
			size += len(set)
			if slices.Index(numbers, numbers[i]) != i || len(set) > MaxSetSize || KindOf(c, set) != Kind(kind) {
				t.Fatalf("kind %d: %v, % x", kind, numbers, set)
			}
			if n, ok := independent(c, set); ok && n != numbers[i] {
				t.Fatalf("SPS % x: %d, want %d", set, numbers[i], n)
			}
		}
		if len(numbers) != len(list) {
			t.Fatalf("kind %d: %d numbers of %d sets", kind, len(numbers), len(list))
		}
	}
	if size != s.size || size > av.MaxSetsSize || s.count() > av.MaxSets {
		t.Fatalf("%d sets of %d bytes, counted %d", s.count(), size, s.size)
	}
}

// independent is the number of an SPS as mediacommon reads it. H.264 ones with emulation prevention at their front have a level
// that does not exist.
func independent(c av.Codec, set []byte) (n int, ok bool) {
	if KindOf(c, set) != SPS {
		return 0, false
	}
	if c == av.H264 {
		var s h264.SPS
		err := s.Unmarshal(set)
		return int(s.ID), err == nil && !bytes.Contains(set, []byte{0, 0, 3})
	}
	var s h265.SPS
	err := s.Unmarshal(set)
	return int(s.ID), err == nil
}
