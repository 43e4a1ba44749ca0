package fmp4

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// written is an init segment and fragments of an encoder, half of them with a unit each, half in one part.
func written(o sim.Options) []byte {
	e := sim.New(o)
	b := AppendInit(nil, e.Tracks())
	var f Fragment
	for _, u := range e.Take(10) {
		b = f.Unit(b, u)
	}
	for _, u := range e.Take(10) {
		_ = f.Add(u)
	}
	return f.Append(b, 0)
}

// TestDemuxerFraming: what is between the boxes, sizes of all kinds, and sizes that cannot be.
func TestDemuxerFraming(t *testing.T) {
	b := written(sim.Options{Video: av.H264})
	type result struct {
		units int
		err   string
	}
	for _, tc := range []struct {
		name string
		in   []byte
		want result
	}{
		{"as it is", b, result{20, ""}},
		{"boxes of no interest", bytes.ReplaceAll(b, moofMark(b), append([]byte("\x00\x00\x00\x0cfreeabcd\x00\x00\x00\x08skip\x00\x00\x00\x01emsg\x00\x00\x00\x00\x00\x00\x00\x13abc"),
			moofMark(b)...)), result{20, ""}},
		{"media twice", append(bytes.Clone(b), "\x00\x00\x00\x0bmdatabc"...), result{20, ""}},
		{"media without a fragment", append([]byte("\x00\x00\x00\x0bmdatabc"), b...), result{20, ""}},
		{"huge media without a fragment", append([]byte("\x00\x00\x00\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff"), b...), result{0, ""}},
		{"no init segment", b[bytes.Index(b, []byte("moof"))-4:], result{0, "moof: fragment of an unknown track: 1"}},
		{"size too small", append([]byte("\x00\x00\x00\x07free"), b...), result{0, `box "free" of 7 bytes`}},
		{"large size too small", append([]byte("\x00\x00\x00\x01free\x00\x00\x00\x00\x00\x00\x00\x0f"), b...), result{0, `box "free" of 15 bytes`}},
		{"up to the end", append([]byte("\x00\x00\x00\x00free"), b...), result{0, `box "free" of 0 bytes`}},
		{"init segment too large", append([]byte("\x00\x10\x00\x01moov"), b...), result{0, `box "moov" of 1048577 bytes, 1048576 allowed`}},
		{"fragment too large", append([]byte("\xff\xff\xff\xffmoof"), b...), result{0, `box "moof" of 4294967295 bytes, 4194304 allowed`}},
		{"empty", append([]byte("\x00\x00\x00\x08moov\x00\x00\x00\x08moof\x00\x00\x00\x08mdat"), b...), result{20, ""}},
		{"trak cut", append([]byte("\x00\x00\x00\x10moov\x00\x00\x00\x09trak"), b...), result{20, `moov: box "trak" of 9 bytes: cut short`}},
	} {
		for _, piece := range []int{1, 5, 16, 1 << 20} {
			var d Demuxer
			var got result
			for p := range slices.Chunk(tc.in, piece) {
				units, err := d.Demux(p)
				got.units += len(units)
				if err != nil && got.err == "" {
					got.err = err.Error()
				}
			}
			if got != tc.want {
				t.Errorf("%s in pieces of %d: %+v, want %+v", tc.name, piece, got, tc.want)
			}
		}
	}
}

func moofMark(b []byte) []byte {
	at := bytes.Index(b, []byte("moof")) - 4
	return b[at : at+8]
}

// patch changes what follows the n-th mark.
func patch(b []byte, mark string, skip int, with string) []byte {
	b = bytes.Clone(b)
	at := bytes.Index(b, []byte(mark)) + len(mark) + skip
	copy(b[at:], with)
	return b
}

// TestDemuxerFragments: what is wrong in a fragment costs that fragment.
func TestDemuxerFragments(t *testing.T) {
	b := written(sim.Options{Video: av.H264})
	for _, tc := range []struct {
		name  string
		in    []byte
		units int
		err   string
	}{
		{"sample beyond the media", patch(b, "trun", 16, "\x7f\xff\xff\xff"), 19, "cut short"},
		{"offset before the media", patch(b, "trun", 8, "\x00\x00\x00\x01"), 19, "cut short"},
		{"offset before the file", patch(b, "trun", 8, "\x80\x00\x00\x00"), 19, "cut short"},
		{"more samples than there are", patch(b, "trun", 4, "\x00\x00\x00\x02"), 19, "cut short"},
		{"very many samples of nothing", patch(patch(b, "trun", 0, "\x01\x00\x00\x00"), "trun", 4, "\xff\xff\xff\xff"), 19, "more than 65536 samples"},
		{"another track", patch(b, "tfhd", 4, "\x00\x00\x00\x09"), 19, "unknown track: 9"},
		{"no tfhd", patch(b, "tfhd", -4, "nono"), 19, "no tfhd"},
		{"time too large", patch(b, "tfdt", 4, "\x7f"), 19, "ticks"},
		{"time too large for the timescale", patch(patch(b, "mdhd", 12, "\xff\xff\xff\xff"), "tfdt", 4, "\xf0"), 19, "ticks"},
		{"NAL unit too long", patch(b, "mdat", 0, "\xff"), 19, "NAL unit of 42"},
		{"media too large", b, 0, "bytes, 300 allowed"},
	} {
		var d Demuxer
		if tc.name == "media too large" {
			d.MediaMax = 300
		}
		units, err := d.Demux(tc.in)
		if len(units) != tc.units || err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %d units, error %v", tc.name, len(units), err)
		}
		if _, again := d.Demux(nil); (again != nil) != (tc.units == 0) {
			t.Errorf("%s: then %v", tc.name, again)
		}
	}
}

// TestDemuxerTracks: what is wrong with a track costs that track.
func TestDemuxerTracks(t *testing.T) {
	b := written(sim.Options{Video: av.H264, Audio: av.AAC})
	for _, tc := range []struct {
		name   string
		in     []byte
		tracks int
		err    string
	}{
		{"sample entry", patch(b, "avc1", -4, "encv"), 1, "not supported"},
		{"record", patch(b, "avcC", 0, "\x07"), 1, "version 7"},
		{"record cut", patch(b, "avcC", 5, "\xff"), 1, "cut short"},
		{"no record", patch(b, "avcC", -4, "avcX"), 1, "no avcC"},
		{"object type", patch(b, "esds", 11, "\x20"), 1, "object type 0x20"},
		{"descriptor", patch(b, "esds", 4, "\x09"), 1, "cut short"},
		{"timescale", patch(b, "mdhd", 12, "\x00\x00\x00\x00"), 1, "0 ticks a second"},
		{"id", patch(b, "tkhd", 12, "\x00\x00\x00\x00"), 1, "track 0"},
		{"the same id", patch(b, "tkhd", 12, "\x00\x00\x00\x02"), 1, "two tracks 2"},
		{"no stsd", patch(b, "stsd", -4, "stsX"), 1, "no stsd"},
		{"trex", patch(b, "trex", -8, "\x00\x00\x00\x1c"), 2, "cut short"},
	} {
		var d Demuxer
		_, err := d.Demux(tc.in)
		if len(d.Tracks()) != tc.tracks || err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: tracks %v, error %v", tc.name, d.Tracks(), err)
		}
	}
}

// TestDemuxerStyles: fragments as others write them: defaults in tfhd, flags of the first sample alone, several runs, tfdt of 32 bits, offsets
// from the beginning of the file, no offset at all.
func TestDemuxerStyles(t *testing.T) {
	track := sim.NewTrack(1, av.VP9, 0)
	start := AppendInit(nil, []*av.Track{track})
	keyFrame := sim.New(sim.Options{Video: av.VP9, KeySize: 40}).Next().Data[0]
	media := append(bytes.Clone(keyFrame), "aaaabbbbcccc"...)
	size := byte(len(keyFrame))
	fragment := func(tfhd, tfdt []byte, truns ...[]byte) []byte {
		return box(box(bytes.Clone(start), "moof", func(b []byte) []byte {
			b = full(b, "mfhd", 0, bytesOf(0, 0, 0, 1))
			return box(b, "traf", func(b []byte) []byte {
				b = box(b, "tfhd", bytesOf(tfhd...))
				b = box(b, "tfdt", bytesOf(tfdt...))
				for _, r := range truns {
					b = box(b, "trun", bytesOf(r...))
				}
				return b
			})
		}), "mdat", bytesOf(media...))
	}
	const moof = 8 + 16 + 8 // bytes before tfhd
	base := append([]byte{0, 0, 0, 0x01 | 0x08 | 0x10 | 0x20, 0, 0, 0, 1}, 0, 0, 0, 0, 0, 0, 0, byte(0))
	defaults := []byte{0, 0, 0x07, 0x08, 0, 0, 0, 4, 0x01, 0x01, 0, 0} // 1800 ticks, 4 bytes, no key
	atMoof := append([]byte{0, 2, 0, 0x08 | 0x10 | 0x20, 0, 0, 0, 1}, defaults...)
	old := append([]byte{0, 0, 0, 0x08 | 0x10 | 0x20, 0, 0, 0, 1}, defaults...)
	short := []byte{0, 0, 0, 0, 0, 1, 0x5f, 0x90}
	tfhd, tfdt := 8+len(atMoof), 8+len(short)
	first := []byte{0, 0, 2, 5, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, size, 0, 0, 0, 4} // flags of the first, sizes
	rest := []byte{0, 0, 0, 0, 0, 0, 0, 2}
	at := moof + tfhd + tfdt + 8 + len(first) + 8 + len(rest) + 8
	first[11] = byte(at)
	for name, b := range map[string][]byte{
		"from the moof":              fragment(atMoof, short, first, rest),
		"from the moof, by old rule": fragment(old, short, first, rest),
		"from the file": func() []byte {
			base := append(base, defaults...)
			base[14], base[15] = byte((len(start)+8)>>8), byte(len(start)+8)
			return fragment(base, short, first, rest)
		}(),
	} {
		var d Demuxer
		units, err := d.Demux(b)
		if err != nil || len(units) != 4 {
			t.Fatalf("%s: %d units, error %v", name, len(units), err)
		}
		for i, u := range units {
			want := []string{string(keyFrame), "aaaa", "bbbb", "cccc"}[i]
			if string(u.Data[0]) != want || u.Key != (i == 0) || av.Ticks(u.DTS, 90_000) != 90_000+int64(i)*1800 {
				t.Errorf("%s: unit %d: %q, key %v, at %v", name, i, u.Data[0], u.Key, u.DTS)
			}
		}
	}
}

// TestDemuxerDamage: whatever bytes are wrong, nothing panics, and units of a track are whole.
func TestDemuxerDamage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range carried() {
		b := written(options(c))
		for range 300 {
			bad := bytes.Clone(b)
			for range 1 + random.IntN(4) {
				bad[random.IntN(len(bad))] = byte(random.IntN(256))
			}
			checkDemux(t, bad, 1+random.IntN(len(bad)))
		}
	}
}

// checkDemux holds what is true of any input.
func checkDemux(t *testing.T, b []byte, piece int) {
	t.Helper()
	d := Demuxer{MediaMax: 1 << 16}
	size := 0
	for p := range slices.Chunk(b, max(piece, 1)) {
		units, err := d.Demux(p)
		if d.err != nil && !errors.Is(err, d.err) {
			t.Fatalf("error %v, but ended with %v", err, d.err)
		}
		for _, u := range units {
			if u.Track == nil || len(u.Data) == 0 || u.PTS < u.DTS || u.DTS < 0 || u.Track.Kind() == av.Audio && !u.Key {
				t.Fatalf("%+v", u)
			}
			size += u.Size()
		}
		if cap(d.buf) > 2*len(b)+1024 {
			t.Fatalf("buffer of %d bytes for %d", cap(d.buf), len(b))
		}
	}
	if size > len(b) {
		t.Fatalf("units of %d bytes, of %d", size, len(b))
	}
}

// FuzzDemuxer: any bytes in pieces of any length. What is read can be written and read again.
func FuzzDemuxer(f *testing.F) {
	for _, c := range carried() {
		o := options(c)
		o.KeySize, o.Size = 100, 50
		f.Add(written(o), 100)
	}
	f.Add(written(sim.Options{Video: av.H264, Audio: av.Opus, KeySize: 100, Size: 50}), 7)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		checkDemux(t, b, piece)
		var d Demuxer
		units, _ := d.Demux(b)
		for _, u := range units {
			var w Fragment
			var again Demuxer
			got, err := again.Demux(w.Unit(AppendInit(nil, []*av.Track{u.Track}), u))
			if !(&input{codec: u.Track.Codec}).fixed() {
				continue // described by another unit perhaps
			}
			if len(got) != 1 || got[0].Key != u.Key {
				t.Fatalf("%v: %d units, error %v", u.Track, len(got), err)
			}
		}
	})
}
