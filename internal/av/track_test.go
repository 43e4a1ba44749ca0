package av

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
)

// Parameter sets and beginnings of frames, made by FFmpeg 5.1 with libx264, libx265, libaom, libvpx and libmp3lame of
// testsrc at 25 fps and sine.
const (
	spsHigh   = "6764000aacb208f60220000003002000000641e244c9"
	spsBase   = "6742c00ad9047b011000000300100000030320f1226480"
	ppsHigh   = "68ebc3cb22c0"
	vps265    = "40010c01ffff01600000030090000003000003001e959809"
	sps265    = "42010101600000030090000003000003001ea02083165959ae4caf016808000003000800000300c840"
	sps265x10 = "42010102200000030090000003000003001ea020831365959ae4caf0168080000003008000000c84"
	pps265    = "4401c173d089"
	seqAV1    = "080000000337fbe6d7c802"
	keyVP8    = "501a009d012a400030000047"
	keyVP9    = "824983420003f002f606"
	ascLC     = "1210"
	ascSBR    = "2b11880 0" // HE-AAC: LC of 24 kHz, extension 48 kHz
	opusHead  = "4f707573486561640102380180bb0000000000"
	flacInfo  = "120012000000780005110bb802f0000012c0ba43705036a3bb057849a9f54f6928a3"
	frameMP3  = "fffb50c4"
	frameAC3  = "0b77fe95144043e106f46370"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func sets(hex ...string) (s [][]byte) {
	for _, h := range hex {
		s = append(s, unhex(h))
	}
	return s
}

// TestNew makes a track of every codec and looks at its description, which shows the figures that were read.
func TestNew(t *testing.T) {
	h264 := func(sps string) func() (*Track, error) {
		return func() (*Track, error) { return NewH264(3, sets(sps), sets(ppsHigh)) }
	}
	for _, tc := range []struct {
		want  string
		kind  Kind
		depth int
		make  func() (*Track, error)
	}{
		{"H264 64x48 25 fps", Video, 0, h264(spsHigh)},
		{"H264 64x48 25 fps", Video, 0, h264(spsBase)},
		{"H265 64x48 25 fps", Video, 0, func() (*Track, error) {
			return NewH265(3, sets(vps265), sets(sps265), sets(pps265))
		}},
		{"H265 64x48 25 fps", Video, 0, func() (*Track, error) { return NewH265(3, nil, sets(sps265x10), sets(pps265)) }},
		{"AV1 128x96", Video, 0, func() (*Track, error) { return NewAV1(3, unhex(seqAV1)) }},
		{"VP8 64x48", Video, 0, func() (*Track, error) { return NewVP8(3, unhex(keyVP8)) }},
		{"VP9 64x48", Video, 8, func() (*Track, error) { return NewVP9(3, unhex(keyVP9)) }},
		{"MJPEG 640x480", Video, 0, func() (*Track, error) { return NewMJPEG(3, 640, 480) }},
		{"MJPEG", Video, 0, func() (*Track, error) { return NewMJPEG(3, 0, 0) }},
		{"AAC 44.1 kHz stereo", Audio, 0, func() (*Track, error) { return NewAAC(3, unhex(ascLC)) }},
		{"AAC 48 kHz stereo", Audio, 0, func() (*Track, error) { return NewAAC(3, unhex(ascSBR)) }},
		{"AAC 44.1 kHz 8 channels", Audio, 0, func() (*Track, error) { return NewAAC(3, unhex("1238")) }},
		{"AAC 44.1 kHz", Audio, 0, func() (*Track, error) { return NewAAC(3, unhex("1200")) }}, // channels by PCE
		{"Opus 48 kHz stereo", Audio, 0, func() (*Track, error) { return NewOpus(3, unhex(opusHead)) }},
		{"Opus 48 kHz mono", Audio, 0, func() (*Track, error) { return NewOpusChannels(3, 1) }},
		{"PCMA 8 kHz mono", Audio, 16, func() (*Track, error) { return NewG711(3, PCMA, 8000, 1) }},
		{"PCMU 16 kHz stereo", Audio, 16, func() (*Track, error) { return NewG711(3, PCMU, 16000, 2) }},
		{"G722 16 kHz mono", Audio, 0, func() (*Track, error) { return NewG722(3, 1) }},
		{"MP3 44.1 kHz mono", Audio, 0, func() (*Track, error) { return NewMP3(3, unhex(frameMP3)) }},
		{"MP3 22.05 kHz stereo", Audio, 0, func() (*Track, error) { return NewMP3(3, unhex("fff35004")) }},
		{"MP3 8 kHz mono", Audio, 0, func() (*Track, error) { return NewMP3(3, unhex("ffe348c4")) }},
		{"MP3 48 kHz stereo", Audio, 0, func() (*Track, error) { return NewMP3(3, unhex("fffd9404")) }}, // layer II
		{"AC3 48 kHz stereo", Audio, 0, func() (*Track, error) { return NewAC3(3, unhex(frameAC3)) }},
		{"FLAC 48 kHz stereo", Audio, 16, func() (*Track, error) { return NewFLAC(3, unhex(flacInfo)) }},
		{"L16 44.1 kHz 6 channels", Audio, 16, func() (*Track, error) { return NewL16(3, 44100, 6) }},
		{"KLV", Data, 0, func() (*Track, error) { return NewKLV(3), nil }},
		{"Opaque H266", Data, 0, func() (*Track, error) { return NewOpaque(3, "H266", 90000) }},
	} {
		track, err := tc.make()
		if err != nil {
			t.Errorf("%s: %v", tc.want, err)
			continue
		}
		if track.String() != tc.want || track.Kind() != tc.kind || track.ID != 3 || track.BitDepth != tc.depth {
			t.Errorf("%v, %v, ID %d, depth %d; want %s", track, track.Kind(), track.ID, track.BitDepth, tc.want)
		}
		if again, _ := tc.make(); !track.Equal(again) || !track.Equal(track) {
			t.Errorf("%v differs from itself", track)
		}
	}
}

// TestNewRefuses: what cannot be read makes no track.
func TestNewRefuses(t *testing.T) {
	long := [][]byte{append(unhex(spsHigh), make([]byte, MaxSetsSize)...)}
	half := append(unhex(ppsHigh), make([]byte, MaxSetsSize/2)...)
	junk := strings.Repeat("00", MaxConfig)
	many := make([][]byte, MaxSets)
	for i := range many {
		many[i] = unhex(ppsHigh)
	}
	for name, try := range map[string]func() (*Track, error){
		"H264 without SPS":   func() (*Track, error) { return NewH264(1, nil, sets(ppsHigh)) },
		"H264 without PPS":   func() (*Track, error) { return NewH264(1, sets(spsHigh), nil) },
		"H264 empty SPS":     func() (*Track, error) { return NewH264(1, sets(""), sets(ppsHigh)) },
		"H264 PPS as SPS":    func() (*Track, error) { return NewH264(1, sets(ppsHigh), sets(ppsHigh)) },
		"H264 SPS cut":       func() (*Track, error) { return NewH264(1, sets(spsHigh[:8]), sets(ppsHigh)) },
		"H264 SPS too long":  func() (*Track, error) { return NewH264(1, long, sets(ppsHigh)) },
		"H264 sets too long": func() (*Track, error) { return NewH264(1, sets(spsHigh), [][]byte{half, half}) },
		"H264 too many sets": func() (*Track, error) { return NewH264(1, sets(spsHigh), many) },
		"H265 without SPS":   func() (*Track, error) { return NewH265(1, sets(vps265), nil, sets(pps265)) },
		"H265 without PPS":   func() (*Track, error) { return NewH265(1, sets(vps265), sets(sps265), nil) },
		"H265 SPS cut":       func() (*Track, error) { return NewH265(1, nil, sets(sps265[:20]), sets(pps265)) },
		"AV1 cut":            func() (*Track, error) { return NewAV1(1, unhex(seqAV1[:8])) },
		"AV1 too long":       func() (*Track, error) { return NewAV1(1, unhex(seqAV1+junk)) },
		"AAC too long":       func() (*Track, error) { return NewAAC(1, unhex(ascLC+junk)) },
		"Opus too long":      func() (*Track, error) { return NewOpus(1, unhex(opusHead+junk)) },
		"FLAC too long":      func() (*Track, error) { return NewFLAC(1, unhex(flacInfo+junk)) },
		"AV1 empty":          func() (*Track, error) { return NewAV1(1, nil) },
		"VP8 inter frame":    func() (*Track, error) { return NewVP8(1, unhex("51"+keyVP8[2:])) },
		"VP8 cut":            func() (*Track, error) { return NewVP8(1, unhex(keyVP8[:12])) },
		"VP9 inter frame":    func() (*Track, error) { return NewVP9(1, unhex("8600000000")) },
		"VP9 show existing":  func() (*Track, error) { return NewVP9(1, unhex("8800000000")) },
		"VP9 cut":            func() (*Track, error) { return NewVP9(1, unhex(keyVP9[:10])) },
		"MJPEG too wide":     func() (*Track, error) { return NewMJPEG(1, 1<<16, 1) },
		"MJPEG negative":     func() (*Track, error) { return NewMJPEG(1, -1, 1) },
		"AAC cut":            func() (*Track, error) { return NewAAC(1, unhex("12")) },
		"Opus cut":           func() (*Track, error) { return NewOpus(1, unhex(opusHead[:30])) },
		"Opus without channels": func() (*Track, error) {
			return NewOpus(1, unhex("4f707573486561640100380180bb0000000000"))
		},
		"Opus 6 channels":       func() (*Track, error) { return NewOpusChannels(1, 6) },
		"G711 of another codec": func() (*Track, error) { return NewG711(1, AAC, 8000, 1) },
		"G711 without rate":     func() (*Track, error) { return NewG711(1, PCMA, 0, 1) },
		"L16 without channels":  func() (*Track, error) { return NewL16(1, 48000, 0) },
		"L16 at 1 MHz":          func() (*Track, error) { return NewL16(1, 1_000_000, 1) },
		"MP3 no sync":           func() (*Track, error) { return NewMP3(1, unhex("ff1b50c4")) },
		"MP3 version 1":         func() (*Track, error) { return NewMP3(1, unhex("ffeb50c4")) },
		"MP3 layer I":           func() (*Track, error) { return NewMP3(1, unhex("ffff50c4")) },
		"MP3 no bit rate":       func() (*Track, error) { return NewMP3(1, unhex("fffb00c4")) },
		"MP3 rate 3":            func() (*Track, error) { return NewMP3(1, unhex("fffb5cc4")) },
		"MP3 cut":               func() (*Track, error) { return NewMP3(1, unhex("fffb50")) },
		"AC3 cut":               func() (*Track, error) { return NewAC3(1, unhex(frameAC3[:10])) },
		"AC3 no sync":           func() (*Track, error) { return NewAC3(1, make([]byte, 12)) },
		"FLAC cut":              func() (*Track, error) { return NewFLAC(1, unhex(flacInfo[:60])) },
		"FLAC without rate":     func() (*Track, error) { return NewFLAC(1, make([]byte, 34)) },
		"Opaque without name":   func() (*Track, error) { return NewOpaque(1, "", 90000) },
		"Opaque without clock":  func() (*Track, error) { return NewOpaque(1, "H266", 0) },
	} {
		if track, err := try(); err == nil || track != nil {
			t.Errorf("%s: %v, error %v", name, track, err)
		}
	}
}

// TestEqual: each of these is another track for a decoder.
func TestEqual(t *testing.T) {
	base, err := NewH264(1, sets(spsHigh), sets(ppsHigh))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Track){
		"ID":       func(t *Track) { t.ID = 2 },
		"codec":    func(t *Track) { t.Codec = H265 },
		"set":      func(t *Track) { t.Sets = sets(spsHigh, "68ee") },
		"more":     func(t *Track) { t.Sets = sets(spsHigh, ppsHigh, ppsHigh) },
		"config":   func(t *Track) { t.Config = []byte{1} },
		"width":    func(t *Track) { t.Width++ },
		"height":   func(t *Track) { t.Height++ },
		"rate":     func(t *Track) { t.SampleRate = 1 },
		"channels": func(t *Track) { t.Channels = 1 },
		"encoding": func(t *Track) { t.Encoding = "x" },
		"clock":    func(t *Track) { t.ClockRate = 1 },
	} {
		other := *base
		change(&other)
		if base.Equal(&other) || other.Equal(base) {
			t.Errorf("another %s counts as equal", name)
		}
	}
}

// TestVP9Config: VP Codec ISO Media File Format Binding, 2.2.
func TestVP9Config(t *testing.T) {
	for frame, want := range map[string]string{
		keyVP9: "0000820202020000", // profile 0: 8 bits, 4:2:0
		// Profile 1: marker 10, profile bits 1 0, key frame 0 0 1 0; sync code; colour space 001, full range 1, no
		// subsampling 0 0, reserved 0; 16 bits of width - 1, 16 bits of height - 1. It has 4:4:4, full range.
		"a2 498342 30007e005e": "0100870202020000",
	} {
		track, err := NewVP9(1, unhex(frame))
		if err != nil || !bytes.Equal(track.Config, unhex(want)) {
			t.Errorf("%s: %x, error %v", frame, track.Config, err)
		}
	}
}

// TestOpusHeader: RFC 7845, 5.1, little-endian.
func TestOpusHeader(t *testing.T) {
	track, err := NewOpusChannels(1, 2)
	const want = "4f70757348656164 01 02 000f 80bb0000 0000 00"
	if err != nil || !bytes.Equal(track.Config, unhex(want)) {
		t.Errorf("%x, error %v", track.Config, err)
	}
}

func TestCodecs(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Codecs() {
		if c.String() == "" || c.String() == "unknown" || seen[c.String()] || c.Kind() < Video || c.Kind() > Data {
			t.Errorf("codec %d: %v, %v", c, c, c.Kind())
		}
		seen[c.String()] = true
	}
	if len(seen) != int(codecEnd)-1 {
		t.Errorf("%d codecs", len(seen))
	}
	for _, c := range []Codec{0, codecEnd, 255} {
		if c.String() != "unknown" || c.Kind() != 0 {
			t.Errorf("%d: %v, %v", c, c, c.Kind())
		}
	}
	for k, want := range map[Kind]string{Video: "video", Audio: "audio", Data: "data", 0: "unknown", 9: "unknown"} {
		if k.String() != want {
			t.Errorf("kind %d is %v", k, k)
		}
	}
}

func TestSize(t *testing.T) {
	if n := (&AccessUnit{Data: sets("0102", "", "03")}).Size(); n != 3 {
		t.Error(n)
	}
	if n := (&AccessUnit{}).Size(); n != 0 {
		t.Error(n)
	}
}

func TestCost(t *testing.T) {
	data := sets("0102", "03")
	for held, want := range map[int]int{0: 3, 2: 3, 100: 100} {
		if n := (&AccessUnit{Data: data, Held: held}).Cost(); n != want {
			t.Errorf("%d held: %d", held, n)
		}
	}
}

// FuzzNew: no constructor panics, and what it accepts is within the limits.
func FuzzNew(f *testing.F) {
	for _, s := range []string{
		spsHigh, spsBase, sps265, sps265x10, seqAV1, keyVP8, keyVP9, ascLC, ascSBR, opusHead, flacInfo, frameMP3, frameAC3,
	} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set := [][]byte{b}
		for _, try := range []func() (*Track, error){
			func() (*Track, error) { return NewH264(1, set, set) },
			func() (*Track, error) { return NewH265(1, set, set, set) },
			func() (*Track, error) { return NewAV1(1, b) },
			func() (*Track, error) { return NewVP8(1, b) },
			func() (*Track, error) { return NewVP9(1, b) },
			func() (*Track, error) { return NewAAC(1, b) },
			func() (*Track, error) { return NewOpus(1, b) },
			func() (*Track, error) { return NewMP3(1, b) },
			func() (*Track, error) { return NewAC3(1, b) },
			func() (*Track, error) { return NewFLAC(1, b) },
		} {
			track, err := try()
			if (track == nil) != (err != nil) {
				t.Fatalf("track %v, error %v", track, err)
			}
			if err != nil {
				continue
			}
			if track.String() == "" || track.Width > maxPixels || track.Height > maxPixels || track.SampleRate > maxRate ||
				track.FrameRate != track.FrameRate || track.Width < 0 || track.Height < 0 { //nolint:gocritic // not a number
				t.Fatalf("%+v", track)
			}
			if track.Kind() == Audio && (track.SampleRate <= 0 || track.Channels <= 0 && track.Codec != AAC) {
				t.Fatalf("%+v", track)
			}
		}
	})
}

// TestFrameRate: what cannot be a rate is none.
func TestFrameRate(t *testing.T) {
	for fps, want := range map[float64]float64{
		0: 0, 1e-9: 0, 0.05: 0, 0.1: 0.1, 0.5: 0.5, 29.97: 29.97, 1000: 1000, 1001: 0, math.Inf(1): 0, math.NaN(): 0,
	} {
		if got := frameRate(fps); got != want {
			t.Errorf("%v becomes %v, want %v", fps, got, want)
		}
	}
}
