package flv

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// TestParameterChange: what is the same keeps the track's pointer, what differs makes a new track of the same ID.
func TestParameterChange(t *testing.T) {
	var d Demuxer
	const frame = "27 01 000000 00000002 419a"
	key := func(sets ...string) string {
		body := "17 01 000000"
		for _, s := range append(sets, "6588") {
			body += fmt.Sprintf("%08x", len(s)/2) + s
		}
		return body
	}
	const seqBase = "17 00 000000 01 42c00a ff e1 0017" + hexSPSBase + "01 0005 68cb83cb20"
	const seq444 = "17 00 000000 01 f4000a ff e1 0018" + hexSPS444 + "01 0006 68ebc3c44844 ff f8 f8 00"
	const pps1 = "6853" // pic_parameter_set_id 1
	var before *av.Track
	for i, tc := range []struct {
		name, body string
		same       bool
		sets       int
	}{
		{"first", hexSeqAVC, false, 2},
		{"frame", frame, true, 2},
		{"identical header", hexSeqAVC, true, 2},
		{"identical sets in band", key(hexSPS, hexPPS), true, 2},
		{"another SPS in band", key(hexSPSBase, hexPPS), false, 2},
		{"again", key(hexSPSBase, hexPPS), true, 2},
		{"another PPS in band", key("68cb83cb20"), false, 2},
		{"a PPS with another number", key(pps1), false, 3},
		{"header that lacks it", seqBase, false, 2},
		{"4:4:4", seq444, false, 2},
		{"SPS in band that cannot be read", key("67ff"), true, 2},
		{"header with the old content", hexSeqAVC, false, 2},
	} {
		units, err := feed(&d, VideoTag, uint32(40*i), tc.body)
		if bad := strings.Contains(tc.name, "cannot"); (err != nil) != bad {
			t.Fatalf("%s: %v", tc.name, err)
		}
		now := d.Tracks()[0]
		if (now == before) != tc.same || len(now.Sets) != tc.sets || now.ID != 1 {
			t.Errorf("%s: same %v, %d sets", tc.name, now == before, len(now.Sets))
		}
		for _, u := range units {
			if u.Track != now {
				t.Errorf("%s: unit of another track", tc.name)
			}
		}
		before = now
	}
}

// TestHEVCParameterChange is the same for H.265, where the three kinds of sets are found by their numbers.
func TestHEVCParameterChange(t *testing.T) {
	var d Demuxer
	set(t, &d, VideoTag, hexSeqHEVC)
	for _, tc := range []struct {
		name, set string
		changes   bool
		sets      int
		err       string
	}{
		{"the same VPS", hexVPS, false, 3, ""},
		{"another VPS", "40010c01ffff02200000030090000003000003001e959809", true, 3, ""},
		{"SPS of 10 bits", hexSPS26510, true, 3, ""},
		{"a PPS with number 1", "4401 53d089", true, 4, ""},
		{"another PPS with number 0", "4401 c173d08a", true, 4, ""},
		{"SPS that cannot be read", "4201 0101", false, 4, "malformed"},
		{"VPS that cannot be read", "4001", false, 4, "malformed"},
		{"PPS that cannot be read", "4401", false, 4, "malformed"},
		{"SPS too long", "4201" + strings.Repeat("00", nal.MaxSetSize), false, 4, "malformed"},
	} {
		before := d.Tracks()[0]
		s := strings.ReplaceAll(tc.set, " ", "")
		units, err := feed(&d, VideoTag, 0, fmt.Sprintf("93"+fourHVC1+"%08x%s 00000004 2801af1d", len(s)/2, s))
		now := d.Tracks()[0]
		if cause(err) != tc.err || len(units) != 1 || units[0].Track != now {
			t.Errorf("%s: %d units, error %v", tc.name, len(units), err)
		}
		if (now != before) != tc.changes || len(now.Sets) != tc.sets {
			t.Errorf("%s: changed %v, %d sets", tc.name, now != before, len(now.Sets))
		}
	}
	// As many more as there are numbers: the limit holds, and the stream goes on.
	var failed bool
	for id := range 100 {
		ue := uint32(id+1) << (33 - 2*bits.Len(uint(id+1))) // H.265, 9.2: zeros, as many as digits follow the first
		units, err := feed(&d, VideoTag, 0, fmt.Sprintf("93"+fourHVC1+"00000006 4401 %08x 00000004 2801af1d", ue))
		failed = failed || err != nil
		if len(units) != 1 || len(d.Tracks()[0].Sets) > av.MaxSets {
			t.Fatalf("%d units, %d sets", len(units), len(d.Tracks()[0].Sets))
		}
	}
	if !failed {
		t.Error("no limit")
	}
}

// TestCodecChange: the same track may go on with another codec once its configuration has come.
func TestCodecChange(t *testing.T) {
	var d Demuxer
	set(t, &d, VideoTag, hexSeqAVC, "90"+fourHVC1+hexHVCC)
	if got := d.Tracks(); len(got) != 1 || got[0].Codec != av.H265 || got[0].ID != 1 {
		t.Errorf("tracks %v", got)
	}
	set(t, &d, AudioTag, hexSeqAAC)
	for _, tc := range []struct{ body, want string }{
		{"72 d5", "PCMA 8 kHz mono"},
		{"73 d5", "PCMA 8 kHz stereo"},
		{"2e" + hexMP3, "MP3 44.1 kHz mono"},
		{"2f fffb50040000", "MP3 44.1 kHz stereo"},
		{"91" + fourAC3 + hexAC3, "AC3 48 kHz stereo"},
	} {
		units, err := feed(&d, AudioTag, 0, tc.body)
		if err != nil || len(units) != 1 || units[0].Track.String() != tc.want || units[0].Track.ID != 2 {
			t.Errorf("%s: %v, error %v", tc.want, d.Tracks(), err)
		}
	}
	if _, err := feed(&d, AudioTag, 0, "2f ffffffff0000"); err == nil {
		t.Error("a broken MP3 frame passed")
	}
}

// TestBadConfig: after a sequence header that cannot be read, units wait for one that can.
func TestBadConfig(t *testing.T) {
	for _, tc := range []struct {
		typ              TagType
		good, bad, frame string
	}{
		{VideoTag, hexSeqAVC, "17 00 000000 01", "27 01 000000 00000002 419a"},
		{VideoTag, hexSeqHEVC, "1c 00 000000 01", "2c 01 000000 00000003 0201d0"},
		{VideoTag, hexSeqAV1, "1d 00 000000 81", "2d 01 000000 3202 1400"},
		{VideoTag, hexSeqAV1, "1d 00 000000 81000c00 0a02 0000", "2d 01 000000 3202 1400"},
		{AudioTag, hexSeqAAC, "af 00 ff", "af 01 2111"},
		{AudioTag, "90" + fourFLAC + hexFLAC, "90" + fourFLAC + "00", "91" + fourFLAC + "fff8"},
	} {
		var d Demuxer
		set(t, &d, tc.typ, tc.good)
		if _, err := feed(&d, tc.typ, 0, tc.bad); cause(err) != "malformed" {
			t.Errorf("%s: %v", tc.bad, err)
		}
		if units, err := feed(&d, tc.typ, 0, tc.frame); cause(err) != "no config" || len(units) != 0 {
			t.Errorf("%s after %s: %v", tc.frame, tc.bad, err)
		}
		set(t, &d, tc.typ, tc.good)
		if units, err := feed(&d, tc.typ, 0, tc.frame); err != nil || len(units) != 1 {
			t.Errorf("%s: %v", tc.frame, err)
		}
	}
}

// TestOwnership: data lie in the tag's body, parameter sets do not.
func TestOwnership(t *testing.T) {
	var d Demuxer
	header := unhex(hexSeqAVC)
	if _, err := d.Demux(Tag{Type: VideoTag, Body: header}); err != nil {
		t.Fatal(err)
	}
	clear(header)
	body := unhex("17 01 000000 00000016" + hexSPS444[:44] + "00000002 6588")
	units, _ := d.Demux(Tag{Type: VideoTag, Body: body})
	if len(units) != 1 || &units[0].Data[1][0] != &body[len(body)-2] {
		t.Fatalf("%d units", len(units))
	}
	if got := units[0].Track.Sets[0]; !bytes.Equal(got, unhex(hexSPS)) {
		t.Errorf("SPS % x", got)
	}
	if cap(units[0].Data[0]) != len(units[0].Data[0]) {
		t.Error("appending to one NAL unit would overwrite the next")
	}
}

// TestMemory: what a tag of 16 MiB makes the demuxer allocate stays far below what its smallest parts could claim.
func TestMemory(t *testing.T) {
	fill := func(head, part string) []byte {
		b, p := unhex(head), unhex(part)
		return append(b, bytes.Repeat(p, (BodyMax-len(b))/len(p))...)
	}
	for name, tag := range map[string]Tag{
		"NAL units":      {Type: VideoTag, Body: fill("27 01 000000", "00000001 41")},
		"parameter sets": {Type: VideoTag, Body: fill("27 01 000000", "00000100 68"+strings.Repeat("88", 255))},
		"OBUs":           {Type: VideoTag, Body: fill("93"+fourAV01, "1a00")},
		"tracks":         {Type: AudioTag, Body: fill("95 11"+fourMP3, "00 000001 ff")},
		"modifiers":      {Type: AudioTag, Body: fill("97", "00 ff 07")},
		"hvcC":           {Type: VideoTag, Body: fill("1c 00 000000"+hexHVCC[:50]+"ff", "21 ffff 0001 42")},
		"av1C":           {Type: VideoTag, Body: fill("1d 00 000000 81000c00", "1a00")},
		"metadata":       {Type: ScriptTag, Body: fill("02 000a 6f6e4d65746144617461 03", "0000 05")},
	} {
		var d Demuxer
		set(t, &d, VideoTag, hexSeqAVC)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		units, _ := d.Demux(tag)
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		// A sequence header is copied once.
		if n := after.TotalAlloc - before.TotalAlloc; n > 2*BodyMax || len(units) > av.MaxTracks || took > 5*time.Second {
			t.Errorf("%s: %d bytes allocated, %d units, %v", name, n, len(units), took)
		} else {
			t.Logf("%s: %d bytes allocated, %v", name, n, took)
		}
	}
}

// TestClock: 32 bits that wrap, and encoders that count in 31 or 24.
func TestClock(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []uint32
		want []int64
	}{
		{"steady", []uint32{0, 40, 23, 80}, []int64{0, 40, 23, 80}},
		{"any beginning", []uint32{5_000_000, 5_000_040}, []int64{5_000_000, 5_000_040}},
		{"beginning below zero", []uint32{math.MaxUint32, 39}, []int64{-1, 39}},
		{
			"32 bits",
			[]uint32{1 << 31, math.MaxUint32 - 9, 30, math.MaxUint32, 70},
			[]int64{-1 << 31, -10, 30, -1, 70},
		},
		{
			"32 bits, later",
			[]uint32{1 << 30, 1 << 31, 3 << 30, math.MaxUint32, 39},
			[]int64{1 << 30, 1 << 31, 3 << 30, math.MaxUint32, 1<<32 + 39},
		},
		{
			"31 bits",
			[]uint32{1 << 30, 1<<31 - 10, 30, 1<<31 - 1, 70, 110},
			[]int64{1 << 30, 1<<31 - 10, 1<<31 + 30, 1<<31 - 1, 1<<31 + 70, 1<<31 + 110},
		},
		{
			"24 bits",
			[]uint32{1<<24 - 10, 30, 1<<24 - 1, 70, 1<<23 + 5, 1<<24 - 5, 3},
			[]int64{1<<24 - 10, 1<<24 + 30, 1<<24 - 1, 1<<24 + 70, 1<<23 + 5, 1<<24 - 5, 1<<24 + 3},
		},
		{"leaps", []uint32{0, 1_000_000, 40, 90_000_000, 80}, []int64{0, 1_000_000, 40, 90_000_000, 80}},
	} {
		var c clock
		for i, v := range tc.in {
			if got := c.millis(v); got != tc.want[i] {
				t.Errorf("%s: %d became %d, want %d", tc.name, v, got, tc.want[i])
			}
		}
	}
}

// TestClockBound: leaps of 24 days, however many, do not make the count overflow.
func TestClockBound(t *testing.T) {
	var c clock
	for i := range uint32(10_000) {
		if n := c.millis(i * (1<<31 - 1)); n > millisMax || n < -millisMax {
			t.Fatalf("%d after %d leaps", n, i)
		}
	}
}

// TestSharedClock: audio and video cross the wrap together; headers, stamped with anything, do not move the clock.
func TestSharedClock(t *testing.T) {
	var d Demuxer
	set(t, &d, VideoTag, hexSeqAVC)
	set(t, &d, AudioTag, hexSeqAAC)
	const frame, sound = "27 01 000000 00000002 419a", "af 01 2111"
	for _, tc := range []struct {
		typ  TagType
		ms   uint32
		body string
		want time.Duration
	}{
		{VideoTag, 3 << 30, frame, -1 << 30 * ms},
		{AudioTag, math.MaxUint32 - 9, sound, -10 * ms},
		{VideoTag, 1 << 30, hexSeqAVC, 0},
		{VideoTag, 20, frame, 20 * ms},
		{AudioTag, math.MaxUint32 - 4, sound, -5 * ms},
		{VideoTag, 60, frame, 60 * ms},
	} {
		units, err := feed(&d, tc.typ, tc.ms, tc.body)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			if u.DTS != tc.want {
				t.Errorf("%d became %v, want %v", tc.ms, u.DTS, tc.want)
			}
		}
	}
}

// TestMetadata: FLV 10.1, E.4.4.2 and E.5: "onMetaData" and an ECMA array or object, which RTMP publishers put behind
// "@setDataFrame".
func TestMetadata(t *testing.T) {
	const name = "02 000a 6f6e4d65746144617461" // "onMetaData"
	const frame = "02 000d 40736574446174614672616d65"
	const video7 = "000c 766964656f636f6465636964 00 401c000000000000" // videocodecid 7
	const audio10 = "000c 617564696f636f6465636964 00 4024000000000000"
	const hasVideo, hasAudio = "0008 686173566964656f 01", "0008 686173417564696f 01"
	const end = "000009"
	for _, tc := range []struct {
		name, body          string
		video, audio, known bool
		fields              int
	}{
		{"ECMA array", name + "08 00000002" + video7 + audio10 + end, true, true, true, 2},
		{"object behind @setDataFrame", frame + name + "03" + video7 + end, true, false, true, 1},
		{"flags win", name + "03" + video7 + hasVideo + "00" + hasAudio + "01" + end, false, true, true, 3},
		{"codec as a name", name + "03 000c 766964656f636f6465636964 02 0004 61766331" + end, true, false, true, 1},
		{"nothing of use", name + "03 0001 61 05" + end, false, false, false, 1},
		{"another event", "02 000a 6f6e5465787444617461 05", false, false, false, 0},
		{"without value", name, false, false, false, 0},
	} {
		var d Demuxer
		units, err := feed(&d, ScriptTag, 0, tc.body)
		if err != nil || len(units) != 0 {
			t.Errorf("%s: %d units, error %v", tc.name, len(units), err)
		}
		video, audio, known := d.Declared()
		if video != tc.video || audio != tc.audio || known != tc.known || len(d.Metadata()) != tc.fields {
			t.Errorf("%s: %v %v %v %v", tc.name, video, audio, known, d.Metadata())
		}
	}
	var d Demuxer
	if _, err := feed(&d, ScriptTag, 0, "02 00ff 61"); cause(err) != "malformed" {
		t.Errorf("broken script: %v", err)
	}
}

// TestCapture demuxes a clip and compares it with what FFmpeg says of it; see testdata/bframes.md.
func TestCapture(t *testing.T) {
	file, err := os.ReadFile("testdata/bframes.flv")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/bframes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var d Demuxer
	var got strings.Builder
	for r := NewReader(bytes.NewReader(file), BodyMax); ; {
		tag, err := r.Read()
		if err == io.EOF { //nolint:errorlint // documented
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		units, err := d.Demux(tag)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			size, flags := u.Size(), "__"
			if u.Track.Codec == av.H264 {
				size += 4 * len(u.Data)
			}
			if u.Key {
				flags = "K_"
			}
			fmt.Fprintf(&got, "%v,%d,%d,%d,%s\n", u.Track.Kind(), u.PTS/ms, u.DTS/ms, size, flags)
		}
	}
	if got.String() != string(golden) {
		t.Errorf("got\n%s", got.String())
	}
	if tracks := fmt.Sprint(d.Tracks()); tracks != "[H264 160x120 25 fps AAC 44.1 kHz stereo]" {
		t.Error(tracks)
	}
	if v, a, known := d.Declared(); !v || !a || !known {
		t.Error("metadata not understood")
	}
}
