package fmp4

import (
	"testing"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// BenchmarkUnit muxes a stream of 2 Mbit/s, pictures and sound, a unit at a time.
func BenchmarkUnit(b *testing.B) {
	for _, video := range []av.Codec{av.H264, av.AV1} {
		b.Run(video.String(), func(b *testing.B) {
			e := sim.New(sim.Options{Video: video, Audio: av.AAC, GOP: 50, BFrames: 2, KeySize: 60_000, Size: 9000})
			tracks, units := e.Tracks(), e.Take(1000)
			size := 0
			for _, u := range units {
				size += u.Size()
			}
			var m Muxer
			dst := make([]byte, 0, 1<<18)
			b.SetBytes(int64(size / len(units)))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				dst = m.Unit(dst[:0], tracks, units[i%len(units)])
				i++
			}
		})
	}
}

// BenchmarkDemux reads the same.
func BenchmarkDemux(b *testing.B) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 50, BFrames: 2, KeySize: 60_000, Size: 9000})
	var f Fragment
	var stream []byte
	for _, u := range e.Take(1000) {
		stream = f.Unit(stream, u)
	}
	var d Demuxer
	if _, err := d.Demux(AppendInit(nil, e.Tracks())); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if units, err := d.Demux(stream); err != nil || len(units) != 1000 {
			b.Fatal(len(units), err)
		}
	}
}
