package fmp4

import (
	"testing"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
	"github.com/vigil-media/vigil/internal/sim"
)

// FuzzTrack: whatever parameters a publisher sends, a track that is one has a name that is one word, and an init segment.
func FuzzTrack(f *testing.F) {
	codecs := []av.Codec{av.H264, av.H265, av.AV1, av.VP9, av.AAC, av.Opus, av.FLAC, av.MP3, av.AC3}
	for i, c := range codecs {
		for variant := range 2 {
			t := sim.NewTrack(1, c, variant)
			var vps, sps, pps []byte
			if n := len(t.Sets); n > 0 {
				sps, pps = t.Sets[n-2], t.Sets[n-1]
				if n == 3 {
					vps = t.Sets[0]
				}
			} else {
				sps = t.Config
			}
			f.Add(byte(i), vps, sps, pps)
		}
	}
	f.Add(byte(7), []byte{}, []byte{0xff, 0xf3, 0x90, 0x64}, []byte{})
	f.Add(byte(8), []byte{}, []byte{0x0b, 0x77, 1, 2, 0x1e, 0x40, 0xe1, 0xdf}, []byte{})
	f.Fuzz(func(t *testing.T, kind byte, vps, sps, pps []byte) {
		codec := codecs[int(kind)%len(codecs)]
		if codec == av.H265 && nal.KindOf(codec, vps) != nal.VPS || len(pps) > 0 && nal.KindOf(codec, pps) != nal.PPS {
			return // nal.Sets sees to that
		}
		var track *av.Track
		var err error
		switch codec { //nolint:exhaustive // codecs
		case av.H264:
			track, err = av.NewH264(1, [][]byte{sps}, [][]byte{pps})
		case av.H265:
			track, err = av.NewH265(1, [][]byte{vps}, [][]byte{sps}, [][]byte{pps})
		case av.AV1:
			track, err = av.NewAV1(1, sps)
		case av.VP9:
			track, err = av.NewVP9(1, sps)
		case av.AAC:
			track, err = av.NewAAC(1, sps)
		case av.Opus:
			track, err = av.NewOpus(1, sps)
		case av.FLAC:
			track, err = av.NewFLAC(1, sps)
		case av.MP3:
			track, err = av.NewMP3(1, sps)
		case av.AC3:
			track, err = av.NewAC3(1, sps)
		}
		if err != nil {
			return
		}
		name := CodecString(track)
		for _, c := range []byte(name) {
			if c <= ' ' || c == '"' || c == ',' || c == ';' || c >= 0x7f {
				t.Fatalf("%v is called %q", track, name)
			}
		}
		b := AppendInit(nil, []*av.Track{track})
		if name == "" || len(b) == 0 {
			t.Fatalf("%v: %q, %d bytes", track, name, len(b))
		}
		var g Fragment
		for _, data := range [][]byte{nil, {}, {0}, {0x65, 1}, {0xff, 0xf8, 0xc9}} {
			g.Unit(nil, &av.AccessUnit{Track: track, Key: true, Data: [][]byte{data}})
		}
	})
}
