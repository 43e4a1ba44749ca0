package fmp4

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// tool runs FFmpeg or ffprobe. Whatever it says on its standard error fails the test.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, append([]string{"-v", "warning"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	for line := range strings.Lines(errs.String()) {
		if err != nil || !strings.HasPrefix(line, "Guessed Channel Layout") {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const pictures = "testsrc2=size=192x144:rate=30000/1001:duration=4"

// clip has FFmpeg encode four seconds.
func clip(t *testing.T, path string, args ...string) {
	t.Helper()
	all := []string{
		"-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=4",
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append(append(append([]string{"-v", "error"}, all...), args...), "-y", path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

var h264Args = strings.Fields("-c:v libx264 -preset veryfast -bf 3 -g 30 -pix_fmt yuv420p -c:a aac")

// packet is what ffprobe says of one.
type packet struct {
	pts, dts float64
	key      bool
}

// packets of the streams of a file, by the index of the stream.
func packets(t *testing.T, path string) map[int][]packet {
	t.Helper()
	all := map[int][]packet{}
	text := tool(t, "ffprobe", "-of", "csv=p=0", "-show_entries", "packet=stream_index,pts_time,dts_time,flags", path)
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range records {
		i, err := strconv.Atoi(f[0])
		if err != nil {
			t.Fatal(f)
		}
		var p packet
		for j, v := range []*float64{&p.pts, &p.dts} {
			if *v, err = strconv.ParseFloat(f[1+j], 64); err != nil {
				t.Fatal(f)
			}
		}
		p.key = strings.HasPrefix(f[3], "K")
		all[i] = append(all[i], p)
	}
	return all
}

// frames is what is decoded from a file, without its times.
func frames(t *testing.T, path string) string {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(tool(t, "ffmpeg", "-xerror", "-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-")) {
		if line[0] == '#' {
			continue
		}
		f := strings.Split(line, ",")
		text.WriteString(f[0] + f[len(f)-1])
	}
	return text.String()
}

// streamOf is one stream's part of frames.
func streamOf(text, index string) string {
	var one strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, index) {
			one.WriteString(line)
		}
	}
	return one.String()
}

// write makes a file of units, a unit at a time or in parts that begin at a key picture.
func write(t *testing.T, path string, units []*av.AccessUnit, tracks []*av.Track, parts bool) {
	t.Helper()
	b := AppendInit(nil, tracks)
	var f Fragment
	for _, u := range units {
		if !parts {
			b = f.Unit(b, u)
			continue
		}
		if u.Track.Kind() == av.Video && u.Key {
			b = f.Append(b, u.DTS)
		}
		if err := f.Add(u); err != nil {
			t.Fatal(err)
		}
	}
	b = f.Append(b, 0)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// compare holds the packets and pictures of two files against each other, packet by packet.
func compare(t *testing.T, source, path string, tolerance float64) {
	t.Helper()
	got, want := packets(t, path), packets(t, source)
	if len(got) != len(want) {
		t.Fatalf("%d streams of %d", len(got), len(want))
	}
	for i, all := range want {
		if len(got[i]) != len(all) {
			t.Fatalf("stream %d: %d packets of %d", i, len(got[i]), len(all))
		}
		for j, p := range all {
			g := got[i][j]
			if math.Abs(g.pts-p.pts) > tolerance || math.Abs(g.dts-p.dts) > tolerance || g.key != p.key {
				t.Fatalf("stream %d, packet %d: %+v, want %+v", i, j, g, p)
			}
		}
	}
	a, b := frames(t, path), frames(t, source)
	for _, i := range []string{"0", "1"} {
		if streamOf(a, i) != streamOf(b, i) {
			t.Errorf("stream %s: decoded frames differ\n%.300s\n%.300s", i, streamOf(a, i), streamOf(b, i))
		}
	}
	if strings.Count(b, "\n") < 30 {
		t.Errorf("%d frames", strings.Count(b, "\n"))
	}
}

// TestFFmpegOfFLV: what a publisher sends, with pictures that are reordered.
func TestFFmpegOfFLV(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "a.flv")
	clip(t, source, h264Args...)
	file, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	r := flv.NewReader(bytes.NewReader(file), 1<<20)
	var d flv.Demuxer
	var units []*av.AccessUnit
	for {
		tag, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got, err := d.Demux(tag)
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, got...)
	}
	for name, parts := range map[string]bool{"units.mp4": false, "parts.mp4": true} {
		path := filepath.Join(dir, name)
		write(t, path, units, d.Tracks(), parts)
		compare(t, source, path, 0.0001)
		again := filepath.Join(dir, "again.mp4")
		tool(t, "ffmpeg", "-xerror", "-i", path, "-c", "copy", "-y", again)
		if n := tool(t, "ffprobe", "-count_packets", "-of", "csv=p=0", "-show_entries", "stream=nb_read_packets,duration", again); !strings.HasPrefix(n, "4.0") {
			t.Error(n)
		}
	}
}

// TestFFmpegOfCodecs: FFmpeg's fragments, read and written again, of each codec.
func TestFFmpegOfCodecs(t *testing.T) {
	for name, args := range map[string]string{
		"h264": "-map 0 -c:v libx264 -preset veryfast -bf 2 -g 30 -pix_fmt yuv420p",
		"h265": "-map 0 -c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=error:bframes=2:keyint=30 -pix_fmt yuv420p",
		"hev1": "-map 0 -c:v libx265 -preset ultrafast -tag:v hev1 -x265-params log-level=error:keyint=30 -pix_fmt yuv420p",
		"av1":  "-map 0 -c:v libaom-av1 -cpu-used 8 -g 30 -b:v 200k -pix_fmt yuv420p",
		"vp9":  "-map 0 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -b:v 200k -pix_fmt yuv420p",
		"aac":  "-map 1 -c:a aac",
		"opus": "-map 1 -c:a libopus -strict -2",
		"flac": "-map 1 -c:a flac -strict -2",
		"mp3":  "-map 1 -c:a libmp3lame",
		"mp3l": "-map 1 -ar 22050 -c:a libmp3lame",
		"ac3":  "-map 1 -c:a ac3",
		"ac36": "-map 1 -ac 6 -c:a ac3",
		"both": "-c:v libx264 -preset veryfast -bf 2 -g 30 -pix_fmt yuv420p -c:a aac",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source, path := filepath.Join(dir, "a.mp4"), filepath.Join(dir, "b.mp4")
			late, tolerance := "", 0.0001
			if strings.HasPrefix(name, "ac3") {
				late, tolerance = "+delay_moov", 0.006 // FFmpeg must see a frame first, and writes an edit list then
			}
			fragments := strings.Fields(args + " -movflags +frag_keyframe+empty_moov+default_base_moof+skip_trailer" + late + " -frag_duration 500000 -f mp4")
			clip(t, source, fragments...)
			file, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			var d Demuxer
			units := demux(t, &d, file, 1000)
			for _, parts := range []bool{false, true} {
				write(t, path, units, d.Tracks(), parts)
				compare(t, source, path, tolerance)
			}
			t.Log(len(units), d.Tracks(), MIME(d.Tracks()))
		})
	}
}

// TestFFmpegG711: the house writes it, FFmpeg reads it.
func TestFFmpegG711(t *testing.T) {
	for _, codec := range []av.Codec{av.PCMA, av.PCMU} {
		dir := t.TempDir()
		raw, path, name := filepath.Join(dir, "a.raw"), filepath.Join(dir, "a.mp4"), "alaw"
		if codec == av.PCMU {
			name = "mulaw"
		}
		clip(t, raw, "-map", "1", "-ar", "8000", "-f", name)
		b, err := os.ReadFile(raw)
		if err != nil {
			t.Fatal(err)
		}
		track, err := av.NewG711(1, codec, 8000, 1)
		if err != nil {
			t.Fatal(err)
		}
		var units []*av.AccessUnit
		for i := 0; i+160 <= len(b); i += 160 {
			at := time.Duration(i) * time.Second / 8000
			units = append(units, &av.AccessUnit{Track: track, DTS: at, PTS: at, Key: true, Data: [][]byte{b[i : i+160]}})
		}
		write(t, path, units, []*av.Track{track}, false)
		if got := tool(t, "ffmpeg", "-xerror", "-i", path, "-c", "copy", "-f", name, "-"); got != string(b[:len(b)/160*160]) {
			t.Errorf("%v: %d bytes of %d", codec, len(got), len(b))
		}
		if got := packets(t, path)[0]; len(got) != len(units) || math.Abs(got[100].pts-2) > 0.0001 {
			t.Errorf("%v: %d packets, of %d", codec, len(got), len(units))
		}
	}
}
