package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sample is a unit as an independent program reports it.
type sample struct {
	dts, pts int64 // milliseconds
	key      bool
	md5      string // of the bytes; "" if the program does not tell
}

// recording is what a program found in a stream.
type recording struct {
	codec   map[string]string // by kind: video, audio
	samples map[string][]sample
	early   int // units of sound before the first picture
}

func newRecording() *recording {
	return &recording{codec: map[string]string{}, samples: map[string][]sample{}}
}

// probe has ffprobe read a file to its end.
func probe(t testing.TB, path string) *recording {
	t.Helper()
	return parseProbe(t, run(t, "ffprobe", probeArgs(path)...))
}

func probeArgs(path string) []string {
	return []string{
		"-v", "error", "-show_streams", "-show_packets", "-show_data_hash", "md5", "-of", "json", "-show_entries",
		"stream=index,codec_type,codec_name,width,height,sample_rate,channels:packet=stream_index,dts_time,pts_time,flags,data_hash",
		path,
	}
}

func parseProbe(t testing.TB, text string) *recording {
	t.Helper()
	var found struct {
		Streams []struct {
			Index int
			Type  string `json:"codec_type"`
			Codec string `json:"codec_name"`
		}
		Packets []struct {
			Stream int    `json:"stream_index"`
			DTS    string `json:"dts_time"`
			PTS    string `json:"pts_time"`
			Flags  string
			Hash   string `json:"data_hash"`
		}
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatalf("ffprobe: %v\n%.500s", err, text)
	}
	r := newRecording()
	kinds := map[int]string{}
	for _, s := range found.Streams {
		if _, twice := r.codec[s.Type]; twice {
			t.Errorf("ffprobe sees a second stream of %s", s.Type)
		}
		kinds[s.Index], r.codec[s.Type] = s.Type, s.Codec
	}
	for _, p := range found.Packets {
		if kinds[p.Stream] == "video" && len(r.samples["video"]) == 0 {
			r.early = len(r.samples["audio"])
		}
		r.add(kinds[p.Stream], sample{
			millis(t, p.DTS), millis(t, p.PTS), strings.HasPrefix(p.Flags, "K"), strings.TrimPrefix(p.Hash, "MD5:"),
		})
	}
	return r
}

func millis(t testing.TB, seconds string) int64 {
	t.Helper()
	f, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		t.Errorf("ffprobe says the time %q", seconds)
	}
	if f < 0 {
		return int64(f*1000 - 0.5)
	}
	return int64(f*1000 + 0.5)
}

func (r *recording) add(kind string, s sample) { r.samples[kind] = append(r.samples[kind], s) }

// parseReader reads what reader.mjs has printed.
func parseReader(t testing.TB, text string) *recording {
	t.Helper()
	r := newRecording()
	ended := false
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		var l struct {
			Type, Kind, Codec, MD5, Message string
			DTS, PTS                        int64
			Key                             bool
			Bytes                           int
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("mpegts.js: %v: %s", err, lines.Text())
		}
		switch l.Type {
		case "track":
			r.codec[l.Kind] = l.Codec
		case "sample":
			r.add(l.Kind, sample{l.DTS, l.PTS, l.Key, l.MD5})
		case "error":
			t.Errorf("mpegts.js: %s", l.Message)
		case "end":
			ended = true
			if l.Bytes == 0 {
				t.Error("mpegts.js made no MP4 of it")
			}
		}
	}
	if !ended {
		t.Error("mpegts.js has not seen the end")
	}
	return r
}

// codecName says which names of a codec mean the same: those of ffprobe and those of MIME types.
func codecName(name string) string {
	head, _, _ := strings.Cut(name, ".")
	switch head {
	case "avc1":
		return "h264"
	case "hvc1", "hev1":
		return "hevc"
	case "av01":
		return "av1"
	case "mp4a":
		return "aac"
	}
	return name
}

// span is the time from the first unit to the last, in milliseconds.
func span(s []sample) int64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].dts - s[0].dts
}

// ordered fails when the decoding times of a track go back, or stand still.
func (r *recording) ordered(t testing.TB) {
	t.Helper()
	for kind, s := range r.samples {
		for i := 1; i < len(s); i++ {
			if s[i].dts <= s[i-1].dts {
				t.Errorf("%s: DTS %d after %d at unit %d", kind, s[i].dts, s[i-1].dts, i)
				break
			}
			if s[i].pts < s[i].dts {
				t.Errorf("%s: PTS %d before DTS %d at unit %d", kind, s[i].pts, s[i].dts, i)
				break
			}
		}
	}
}

// joinLoss is how many units of sound a viewer may miss that waited for the publisher: it begins at the first key picture or,
// where there is no picture, at the newest unit. An encoder on a busy machine may send more sound than that before its first picture.
const joinLoss = 10

// same fails unless r is all of source, but for what a viewer misses who joins: codecs, every unit and, where both tell, its
// bytes, distances in time. tail is how many units at the end of each track may be missing.
func (r *recording) same(t testing.TB, source *recording, tail int) {
	t.Helper()
	r.ordered(t)
	if len(r.samples) != len(source.samples) {
		t.Errorf("%d tracks, the source has %d", len(r.samples), len(source.samples))
	}
	for kind, want := range source.samples {
		got := r.samples[kind]
		if a, b := codecName(r.codec[kind]), codecName(source.codec[kind]); a != b {
			t.Errorf("%s: codec %s, the source has %s", kind, a, b)
		}
		if len(got) == 0 {
			t.Errorf("%s: nothing", kind)
			continue
		}
		head := max(0, slices.IndexFunc(want, func(s sample) bool { return s.md5 == got[0].md5 }))
		if kind != "video" && head <= max(joinLoss, source.early) {
			want = want[head:]
		}
		if missing := len(want) - len(got); missing < 0 || missing > tail {
			t.Errorf("%s: %d units, the source has %d; they begin at its unit %d", kind, len(got), len(want), head)
			continue
		}
		if err := compare(got, want[:len(got)]); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// compare compares units with those of the source.
func compare(got, want []sample) error {
	for i, w := range want {
		g := got[i]
		if g.md5 != "" && w.md5 != "" && g.md5 != w.md5 {
			return fmt.Errorf("unit %d has other bytes than the source's", i)
		}
		if a, b := g.dts-got[0].dts, w.dts-want[0].dts; a-b < -2 || a-b > 2 {
			return fmt.Errorf("unit %d comes %d ms after the first, in the source %d ms", i, a, b)
		}
		if a, b := g.pts-g.dts, w.pts-w.dts; a-b < -1 || a-b > 1 {
			return fmt.Errorf("unit %d is shown %d ms after its DTS, in the source %d ms", i, a, b)
		}
		if g.key != w.key {
			return fmt.Errorf("unit %d: key is %v, in the source %v", i, g.key, w.key)
		}
	}
	return nil
}

func (r *recording) String() string {
	var b strings.Builder
	for _, kind := range []string{"video", "audio"} {
		if s := r.samples[kind]; len(s) > 0 {
			fmt.Fprintf(&b, "%s %s: %d units in %d ms; ", kind, r.codec[kind], len(s), span(s))
		}
	}
	return b.String()
}
