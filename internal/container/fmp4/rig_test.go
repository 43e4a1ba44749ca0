package fmp4

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s: is\n%s\nwant\n%s", path, text, want)
	}
}

// before is how many bytes of a box's body are its own fields, of the boxes that have others in them.
var before = map[string]int{
	"moov": 0, "trak": 0, "mdia": 0, "minf": 0, "dinf": 0, "stbl": 0, "mvex": 0, "moof": 0, "traf": 0,
	"dref": 8, "stsd": 8, "avc1": 78, "hvc1": 78, "av01": 78, "vp09": 78,
	"mp4a": 28, "Opus": 28, "fLaC": 28, "ac-3": 28, "alaw": 28, "ulaw": 28,
}

// dump writes boxes as text: a line each, with its size, and the fields in hexadecimal digits.
func dump(b []byte) string {
	var text strings.Builder
	dumpTo(&text, b, "")
	return text.String()
}

func dumpTo(text *strings.Builder, b []byte, indent string) {
	const line = 32
	err := walk(b, func(typ string, body []byte) error {
		fmt.Fprintf(text, "%s%s %d\n", indent, typ, len(body)+boxHeader)
		fields, rest := body, []byte(nil)
		if n, parent := before[typ]; parent {
			fields, rest = body[:n], body[n:]
		}
		if typ == "mdat" && len(fields) > 2*line {
			fields = fields[:2*line]
		}
		for chunk := range slices.Chunk(fields, line) {
			fmt.Fprintf(text, "%s  %x\n", indent, chunk)
		}
		dumpTo(text, rest, indent+"  ")
		return nil
	})
	if err != nil {
		fmt.Fprintf(text, "%s%v\n", indent, err)
	}
}

// carried are the codecs that the format has a place for.
func carried() (all []av.Codec) {
	for _, c := range av.Codecs() {
		if Carries(c) {
			all = append(all, c)
		}
	}
	return all
}

// options of an encoder for one codec.
func options(c av.Codec) sim.Options {
	if c.Kind() == av.Video {
		return sim.Options{Video: c, GOP: 10, BFrames: 2, Slices: 3}
	}
	return sim.Options{Audio: c}
}

// demux reads a stream in pieces of n bytes.
func demux(t *testing.T, d *Demuxer, b []byte, n int) (units []*av.AccessUnit) {
	t.Helper()
	for piece := range slices.Chunk(b, n) {
		got, err := d.Demux(piece)
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, got...)
	}
	return units
}

// near says whether two times are the same to a tick of a track.
func near(a, b time.Duration, rate int64) bool {
	return (a - b).Abs() <= av.Duration(1, rate)
}

// same fails the test if a unit differs from what was written. AV1 key units may have got a sequence header.
func same(t *testing.T, got, want *av.AccessUnit) {
	t.Helper()
	rate := rateOf(want.Track)
	if !near(got.DTS, want.DTS, rate) || !near(got.PTS, want.PTS, rate) || got.Key != want.Key {
		t.Fatalf("%v: DTS %v, PTS %v, key %v; want %v, %v, %v", want.Track, got.DTS, got.PTS, got.Key, want.DTS, want.PTS, want.Key)
	}
	data := got.Data
	if want.Track.Codec == av.AV1 && want.Key {
		if string(data[0]) != string(want.Track.Config) {
			t.Fatalf("key unit begins with % x", data[0])
		}
		data = data[1:]
	}
	if !slices.EqualFunc(data, want.Data, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Fatalf("%v: data differ at %v", want.Track, want.DTS)
	}
	if !got.Track.Equal(want.Track) {
		t.Fatalf("track %v %x, want %v %x", got.Track, got.Track.Config, want.Track, want.Track.Config)
	}
	if got.Held < got.Size() {
		t.Fatalf("keeps %d bytes, has %d", got.Held, got.Size())
	}
}

// moofOf reads the numbers of the first fragment in b.
type moofOf struct {
	sequence  uint32
	time      []uint64   // of each traf
	durations [][]uint32 // of its samples
	flags     [][]uint32
	shifts    [][]int32
}

func readMoofOf(t *testing.T, b []byte) (m moofOf) {
	t.Helper()
	be := binary.BigEndian
	err := walk(b, func(typ string, body []byte) error {
		if typ != "moof" || m.sequence != 0 {
			return nil
		}
		return walk(body, func(typ string, body []byte) error {
			if typ == "mfhd" {
				m.sequence = be.Uint32(body[4:])
				return nil
			}
			return walk(body, func(typ string, body []byte) error {
				switch typ {
				case "tfdt":
					m.time = append(m.time, be.Uint64(body[4:]))
				case "trun":
					m.trun(body)
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *moofOf) trun(b []byte) {
	be := binary.BigEndian
	entry := 8
	if b[2]&0x08 != 0 {
		entry = 16
	}
	var durations, flags []uint32
	var shifts []int32
	for e := range slices.Chunk(b[12:], entry) {
		durations = append(durations, be.Uint32(e))
		if entry == 16 {
			flags = append(flags, be.Uint32(e[8:]))
			shifts = append(shifts, int32(be.Uint32(e[12:])))
		}
	}
	m.durations, m.flags, m.shifts = append(m.durations, durations), append(m.flags, flags), append(m.shifts, shifts)
}
