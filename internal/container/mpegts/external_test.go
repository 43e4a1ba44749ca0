package mpegts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/asticode/go-astits"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/mpegts"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

var _ stream.Muxer = (*mpegts.Muxer)(nil)

func write(o sim.Options, n int) (b []byte, units []*av.AccessUnit) {
	e := sim.New(o)
	tracks := e.Tracks()
	units = e.Take(n)
	var m mpegts.Muxer
	for _, u := range units {
		b = m.Unit(b, tracks, u)
	}
	return b, units
}

func read(t *testing.T, b []byte) (units []*av.AccessUnit) {
	t.Helper()
	var d mpegts.Demuxer
	emit := func(u *av.AccessUnit) error {
		units = append(units, u)
		return nil
	}
	if err := errors.Join(d.Push(b, emit), d.End(emit)); err != nil {
		t.Fatal(err)
	}
	return units
}

var pairs = []sim.Options{
	{Video: av.H264, Audio: av.AAC, BFrames: 2},
	{Video: av.H265, Audio: av.AC3, BFrames: 3, KeySize: 100_000},
	{Video: av.H264, Audio: av.MP3},
	{Video: av.H265, Audio: av.Opus},
	{Audio: av.PCMA},
}

// TestAstits has an independent reader read what the muxer writes: tables, stamps, payloads, random access, PCR.
func TestAstits(t *testing.T) {
	for _, o := range pairs {
		b, units := write(o, 200)
		d := astits.NewDemuxer(t.Context(), bytes.NewReader(b))
		want := map[uint16][]*av.AccessUnit{}
		for _, u := range units {
			pid := uint16(0x100 + u.Track.ID - 1)
			want[pid] = append(want[pid], u)
		}
		streams := 0
		for {
			data, err := d.NextData()
			if errors.Is(err, astits.ErrNoMorePackets) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if data.PMT != nil {
				streams = len(data.PMT.ElementaryStreams)
				if first := data.PMT.ElementaryStreams[0].ElementaryPID; data.PMT.PCRPID != first {
					t.Errorf("PCR in %#x", data.PMT.PCRPID)
				}
			}
			if data.PES == nil {
				continue
			}
			left := want[data.PID]
			if len(left) == 0 {
				t.Fatalf("PID %#x has too many units", data.PID)
			}
			u, h := left[0], data.PES.Header.OptionalHeader
			want[data.PID] = left[1:]
			dts := h.PTS
			if h.DTS != nil {
				dts = h.DTS
			}
			if h.PTS.Base != av.Ticks(u.PTS, mpegts.Rate)+mpegts.Origin || dts.Base != av.Ticks(u.DTS, mpegts.Rate)+mpegts.Origin {
				t.Fatalf("PID %#x: PTS %d, DTS %d of a unit at %v, %v", data.PID, h.PTS.Base, dts.Base, u.PTS, u.DTS)
			}
			if last := u.Data[len(u.Data)-1]; !bytes.HasSuffix(data.PES.Data, last) {
				t.Fatalf("PID %#x: payload of %d bytes ends otherwise", data.PID, len(data.PES.Data))
			}
			field := data.FirstPacket.AdaptationField
			video := u.Track.Kind() == av.Video
			if random := field != nil && field.RandomAccessIndicator; random != (u.Key && (video || o.Video == 0)) {
				t.Fatalf("PID %#x: random access %v", data.PID, random)
			}
			if field != nil && field.HasPCR && dts.Base-field.PCR.Base < mpegts.Delay {
				t.Fatalf("PID %#x: PCR %d, DTS %d", data.PID, field.PCR.Base, dts.Base)
			}
		}
		for pid, left := range want {
			if len(left) > 0 {
				t.Errorf("%v+%v: PID %#x lacks %d units", o.Video, o.Audio, pid, len(left))
			}
		}
		if streams != len(want) {
			t.Errorf("%d streams", streams)
		}
	}
}

// probed is a packet as ffprobe sees it.
type probed struct {
	PTS   time.Duration
	DTS   time.Duration
	Size  int
	Codec string
	Key   bool
}

func tool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, errs.Bytes())
	}
	if errs.Len() > 0 {
		t.Errorf("%s says:\n%.2000s", name, errs.Bytes())
	}
	return out
}

func probe(t *testing.T, path string) (kinds map[string]string, packets map[string][]probed) {
	t.Helper()
	out := tool(t, "ffprobe", "-v", "error", "-f", "mpegts", "-show_streams", "-show_packets", "-of", "json", path)
	var doc struct {
		Streams []struct {
			Index int    `json:"index"`
			Type  string `json:"codec_type"`
			Codec string `json:"codec_name"`
		} `json:"streams"`
		Packets []struct {
			Stream int    `json:"stream_index"`
			PTS    int64  `json:"pts"`
			DTS    int64  `json:"dts"`
			Size   string `json:"size"`
			Flags  string `json:"flags"`
		} `json:"packets"`
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	kinds, packets = map[string]string{}, map[string][]probed{}
	byIndex := map[int]string{}
	for _, s := range doc.Streams {
		kinds[s.Type], byIndex[s.Index] = s.Codec, s.Type
	}
	for _, p := range doc.Packets {
		size, _ := strconv.Atoi(p.Size)
		kind := byIndex[p.Stream]
		packets[kind] = append(packets[kind], probed{
			PTS: av.Duration(p.PTS, mpegts.Rate), DTS: av.Duration(p.DTS, mpegts.Rate), Size: size, Key: p.Flags[0] == 'K',
		})
	}
	return kinds, packets
}

// near says whether two times are the same but for rounding.
func near(a, b time.Duration) bool { return (a - b).Abs() <= 2*time.Second/mpegts.Rate }

// encode has ffmpeg make a transport stream of 4 s.
func encode(t *testing.T, path string, args ...string) []byte {
	t.Helper()
	all := append([]string{
		"-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", "4", "-threads", "1",
	}, args...)
	tool(t, "ffmpeg", append(all, "-f", "mpegts", path)...)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var encodings = []struct {
	name         string
	video, audio string
	args         []string
}{
	{"h264-aac", "h264", "aac", []string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-c:a", "aac", "-shortest"}},
	{"hevc-ac3", "hevc", "ac3", []string{
		"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25:pools=none", "-c:a", "ac3",
	}},
	{"h264-mp3", "h264", "mp3", []string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-c:a", "libmp3lame"}},
	{"opus", "", "opus", []string{"-vn", "-c:a", "libopus"}},
	{"mp3", "", "mp3", []string{"-vn", "-c:a", "libmp3lame", "-ar", "22050"}},
	{"h264-ac3-m2ts", "h264", "ac3", []string{"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3", "-mpegts_m2ts_mode", "1"}},
}

// TestFFmpeg reads what ffmpeg writes, and has ffprobe read what becomes of that when it is written again: each time the same units at the
// same times.
func TestFFmpeg(t *testing.T) {
	for _, tc := range encodings {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "in.ts")
			units := read(t, encode(t, path, tc.args...))
			_, packets := probe(t, path)
			sameAs(t, units, packets, 0)

			var m mpegts.Muxer
			var b []byte
			var tracks []*av.Track
			for id := 1; id <= 2; id++ {
				for _, u := range units {
					if u.Track.ID == id {
						tracks = append(tracks, u.Track)
						break
					}
				}
			}
			for _, u := range units {
				b = m.Unit(b, tracks, u)
			}
			path = filepath.Join(dir, "out.ts")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			kinds, packets := probe(t, path)
			if kinds["video"] != tc.video || kinds["audio"] != tc.audio {
				t.Errorf("codecs: %v", kinds)
			}
			sameAs(t, units, packets, av.Duration(mpegts.Origin, mpegts.Rate))
			tool(t, "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "null", "-") // which says nothing if it can decode all
		})
	}
}

// sameAs compares units with the packets that ffprobe saw, which are later by shift.
func sameAs(t *testing.T, units []*av.AccessUnit, packets map[string][]probed, shift time.Duration) {
	t.Helper()
	for kind, seen := range packets {
		i := 0
		for _, u := range units {
			if u.Track.Kind().String() != kind {
				continue
			}
			if i == len(seen) {
				t.Fatalf("%s: more units than %d packets", kind, i)
			}
			p := seen[i]
			if !near(p.PTS, u.PTS+shift) || !near(p.DTS, u.DTS+shift) || p.Key != u.Key {
				t.Fatalf("%s %d: PTS %v, DTS %v, key %v, ffprobe %+v", kind, i, u.PTS+shift, u.DTS+shift, u.Key, p)
			}
			i++
		}
		if i != len(seen) {
			t.Errorf("%s: %d units, ffprobe has %d", kind, i, len(seen))
		}
	}
}
