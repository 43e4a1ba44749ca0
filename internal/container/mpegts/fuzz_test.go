package mpegts

import (
	"bytes"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/asticode/go-astits"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// FuzzDemuxer: whatever comes in, and in whatever pieces: no panic, the same units, which are well formed and no larger than what came
// in; and what is muxed from them is demuxed as the same.
func FuzzDemuxer(f *testing.F) {
	for _, o := range []sim.Options{
		{Video: av.H264, Audio: av.AAC, BFrames: 1, KeySize: 400, Size: 100},
		{Video: av.H265, Audio: av.Opus, KeySize: 400, Size: 100},
		{Audio: av.MP3},
		{Audio: av.AC3},
		{Audio: av.PCMU},
		{Audio: av.AAC},
	} {
		tracks, units := take(o, 12)
		b := mux(new(Muxer), tracks, units)
		f.Add(b, uint16(188))
		f.Add(b[200:], uint16(7))
		f.Add(bytes.Join(split(b), make([]byte, 4)), uint16(1316))
		f.Add(bytes.Join(split(b)[3:], make([]byte, 16)), uint16(500))
	}
	f.Add(mux(new(Muxer), []*av.Track{av.NewKLV(33)}, nil), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		var one, two Demuxer
		units, _ := demux(t, &one, b, 1<<30)
		again, _ := demux(t, &two, b, int(size)+1)
		if len(units) != len(again) || one.packets != two.packets {
			t.Fatalf("%d units of %d packets; in pieces of %d: %d of %d", len(units), one.packets, size+1, len(again), two.packets)
		}
		total := 0
		for i, u := range units {
			if !reflect.DeepEqual(u, again[i]) {
				t.Fatalf("unit %d: %+v, in pieces %+v", i, u, again[i])
			}
			total += u.Size()
			checkUnit(t, u)
			remux(t, u)
		}
		if total > len(b) || one.total != 0 {
			t.Fatalf("%d bytes of units from %d, %d left", total, len(b), one.total)
		}
		if n := len(one.Tracks()); n > one.Streams() || one.Streams() > av.MaxTracks {
			t.Fatalf("%d tracks of %d streams", n, one.Streams())
		}
	})
}

func checkUnit(t *testing.T, u *av.AccessUnit) {
	t.Helper()
	if u.Track == nil || u.Track.ID == 0 || u.PTS < u.DTS || len(u.Data) == 0 || u.Size() == 0 || len(u.Data) > elementsMax ||
		u.Held < u.Size() || u.Track.Kind() != av.Video && !u.Key {
		t.Fatalf("unit %+v", u)
	}
	for _, b := range u.Data {
		if len(b) == 0 {
			t.Fatalf("empty element in %+v", u)
		}
	}
}

// remux writes a unit and reads it again, unless it is none to begin with.
func remux(t *testing.T, u *av.AccessUnit) {
	t.Helper()
	var m Muxer
	b := m.Unit(nil, []*av.Track{u.Track}, u)
	check(t, b)
	if len(b) == 0 || !u.Key {
		return
	}
	got, errs := demux(t, new(Demuxer), b, 188)
	if len(got) != 1 || !reflect.DeepEqual(got[0].Data, u.Data) || !got[0].Key || got[0].PTS-got[0].DTS != u.PTS-u.DTS {
		t.Fatalf("%v: %d units, errors %v\nof %+v", u.Track, len(got), errs, u)
	}
}

// FuzzUnits feeds the payloads of two PES packets to a stream of each codec: what a checksum and a mutator would never get through.
func FuzzUnits(f *testing.F) {
	codecs := []av.Codec{av.H264, av.H265, av.AAC, av.MP3, av.AC3, av.Opus, av.PCMA, av.KLV}
	for i, c := range codecs[:len(codecs)-2] {
		o := sim.Options{Audio: c}
		if c.Kind() == av.Video {
			o = sim.Options{Video: c, KeySize: 200, Size: 80}
		}
		tracks, units := take(o, 4)
		var m Muxer
		var b []byte
		m.arrange(tracks)
		for _, u := range units {
			n := m.payload(m.main, u)
			p := bytes.Join(m.pes(m.main, n, 0, 0), nil)
			b = append(b, p[pesHead+3+int(p[pesHead+2]):]...)
		}
		f.Add(byte(i), uint16(len(b)/2), b)
	}
	f.Fuzz(func(t *testing.T, i byte, cut uint16, b []byte) {
		var units []*av.AccessUnit
		d := Demuxer{emit: func(u *av.AccessUnit) error { units = append(units, u); return nil }}
		c := codecs[int(i)%len(codecs)]
		e := &elementary{codec: c, id: 2, detail: i >> 4, need: c.Kind() == av.Video}
		at := min(int(cut), len(b))
		for i, p := range [][]byte{b[:at], b[at:]} {
			if len(p) == 0 {
				continue
			}
			if err := d.units(e, p, stamps{pts: int64(i) * Rate, dts: int64(i) * Rate, ok: true}); err != nil {
				d.lose(e)
			}
		}
		total := 0
		for _, u := range units {
			total += u.Size()
			checkUnit(t, u)
			remux(t, u)
		}
		if total > len(b) || len(e.rest) > adtsMost {
			t.Fatalf("%d bytes of units from %d, rest %d", total, len(b), len(e.rest))
		}
	})
}

// FuzzMuxer writes units of any size at any times, of tracks that come and go: 5 bytes each tell. Packets keep the rules, and all
// that was written comes out.
func FuzzMuxer(f *testing.F) {
	f.Add([]byte{0, 0, 1, 10, 0, 1, 1, 0, 10, 0, 0x40, 0, 1, 30, 1, 2, 1, 0, 200, 4})
	f.Add(bytes.Repeat([]byte{3, 2, 100, 30, 0, 0x84, 4, 0, 10, 0}, 10))
	f.Add(bytes.Repeat([]byte{7, 255, 100, 255, 1, 0x80, 0, 0, 0, 255, 0xc0, 0, 0, 0, 4}, 5))
	tracks := []*av.Track{
		sim.NewTrack(1, av.H264, 0), sim.NewTrack(2, av.AAC, 0), sim.NewTrack(3, av.H265, 0), sim.NewTrack(4, av.Opus, 0),
		sim.NewTrack(5, av.AV1, 0), sim.NewTrack(6, av.PCMA, 0), av.NewKLV(7), sim.NewTrack(8, av.H265, 1),
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Muxer
		var out []byte
		set := tracks
		now := make([]time.Duration, len(tracks))
		written := 0
		for ; len(b) >= 5; b = b[5:] {
			if b[0]&0x80 != 0 { // other tracks
				at := int(b[0] >> 3 & 7)
				set = tracks[at:min(at+1+int(b[4]&7), len(tracks))]
			}
			i := int(b[0] & 7)
			if i >= len(set) {
				continue
			}
			u := &av.AccessUnit{Track: set[i], Key: b[0]&0x40 == 0 || set[i].Kind() != av.Video}
			size := 1 + (int(b[1])*int(b[2])+int(b[2]))%70_000
			now[i] += time.Duration(b[3]) * time.Duration(b[3]) * time.Millisecond
			u.DTS, u.PTS = now[i], now[i]+time.Duration(b[4])*time.Millisecond
			u.Data = [][]byte{append([]byte{0x65, 0x01, 0x88}, bytes.Repeat([]byte{b[1] | 1}, size)...)}
			n := len(out)
			out = m.Unit(out, set, u)
			if Carries(u.Track) && len(out) > n {
				written++
			}
			if !Carries(u.Track) && len(out) > n {
				t.Fatalf("%v was written", u.Track)
			}
			if c := m.Config(nil, set, nil, u.DTS); len(c) != 2*PacketSize {
				t.Fatalf("tables of %d bytes", len(c))
			}
		}
		check(t, out)
		n := 0
		pushed := new(Demuxer)
		for _, p := range split(out) {
			if err := pushed.Push(p, func(u *av.AccessUnit) error { checkUnit(t, u); n++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if n > written {
			t.Fatalf("%d units, %d were written", n, written)
		}
	})
}

// benchUnits are some seconds of 5 Mbit/s.
func benchUnits() (tracks []*av.Track, units []*av.AccessUnit, size int) {
	tracks, units = take(sim.Options{Video: av.H264, Audio: av.AAC, KeySize: 100_000, Size: 22_000, GOP: 50}, 400)
	for _, u := range units {
		size += u.Size()
	}
	return tracks, units, size
}

// BenchmarkUnit is the muxer; one operation is 400 units.
func BenchmarkUnit(b *testing.B) {
	tracks, units, size := benchUnits()
	dst := make([]byte, 0, 2<<20)
	var m Muxer
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, u := range units {
			if len(m.Unit(dst, tracks, u)) < u.Size() {
				b.Fatal("a unit was left out")
			}
		}
		later(units, 8*time.Second)
	}
}

// BenchmarkAstits is the same with go-astits' muxer, for the record.
func BenchmarkAstits(b *testing.B) {
	_, units, size := benchUnits()
	var out bytes.Buffer
	out.Grow(4 << 20)
	m := astits.NewMuxer(b.Context(), &out)
	for pid, typ := range map[uint16]astits.StreamType{0x100: astits.StreamTypeH264Video, 0x101: astits.StreamTypeAACAudio} {
		if err := m.AddElementaryStream(astits.PMTElementaryStream{ElementaryPID: pid, StreamType: typ}); err != nil {
			b.Fatal(err)
		}
	}
	m.SetPCRPID(0x100)
	var payload []byte
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, u := range units {
			out.Reset()
			payload = append(payload[:0], aud264...)
			for _, e := range u.Data {
				payload = append(append(payload, startCode...), e...)
			}
			id := uint8(idVideo)
			if u.Track.Kind() == av.Audio {
				id = idAudio
			}
			_, err := m.WriteData(&astits.MuxerData{
				PID: uint16(firstPID + u.Track.ID - 1),
				AdaptationField: &astits.PacketAdaptationField{
					HasPCR: u.Track.ID == 1, RandomAccessIndicator: u.Key, PCR: &astits.ClockReference{Base: ticks(u.DTS) - Delay},
				},
				PES: &astits.PESData{Data: payload, Header: &astits.PESHeader{StreamID: id, OptionalHeader: &astits.PESOptionalHeader{
					MarkerBits: 2, PTSDTSIndicator: astits.PTSDTSIndicatorBothPresent,
					PTS: &astits.ClockReference{Base: ticks(u.PTS)}, DTS: &astits.ClockReference{Base: ticks(u.DTS)},
				}}},
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDemuxer(b *testing.B) {
	tracks, units, _ := benchUnits()
	ts := mux(new(Muxer), tracks, units)
	for _, size := range []int{1316, 64 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.SetBytes(int64(len(ts)))
			b.ReportAllocs()
			for b.Loop() {
				var d Demuxer
				n := 0
				for rest := ts; len(rest) > 0; {
					k := min(size, len(rest))
					if err := d.Push(rest[:k], func(*av.AccessUnit) error { n++; return nil }); err != nil {
						b.Fatal(err)
					}
					rest = rest[k:]
				}
				if n < len(units)-2 {
					b.Fatal(n)
				}
			}
		})
	}
}
