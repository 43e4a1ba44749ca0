package rtp

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestRoundTrip sends every codec from a packer to a receiver by way of a description: the same units, at the same times.
func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		name string
		opt  sim.Options
		same bool // the times differ: the description does not tell how deep pictures are reordered
	}{
		{"H264", sim.Options{Video: av.H264}, true},
		{"H264 large", sim.Options{Video: av.H264, KeySize: 200_000, Size: 20_000}, true},
		{"H264 slices", sim.Options{Video: av.H264, KeySize: 20_000, Size: 9_000, Slices: 8}, true},
		{"H264 small slices", sim.Options{Video: av.H264, Size: 600, Slices: 6}, true},
		{"H265", sim.Options{Video: av.H265, KeySize: 50_000}, true},
		{"H265 slices", sim.Options{Video: av.H265, KeySize: 9_000, Slices: 5}, true},
		{"AV1", sim.Options{Video: av.AV1, KeySize: 9_000}, true},
		{"VP8", sim.Options{Video: av.VP8}, true},
		{"VP9", sim.Options{Video: av.VP9}, true},
		{"AAC", sim.Options{Audio: av.AAC}, true},
		{"Opus", sim.Options{Audio: av.Opus}, true},
		{"PCMA", sim.Options{Audio: av.PCMA}, true},
		{"PCMU", sim.Options{Audio: av.PCMU}, true},
		{"G722", sim.Options{Audio: av.G722}, true},
		{"MP3", sim.Options{Audio: av.MP3}, true},
		{"AC3", sim.Options{Audio: av.AC3}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opt.Start = time.Second
			e := sim.New(tc.opt)
			tr := e.Tracks()[0]
			units := e.Take(120)
			if tr.Codec == av.AV1 {
				withSequenceHeader(units)
			}
			f, packets := packetsOf(t, tr, units)
			r := NewReceiver(tr.ID, f, new(Clock), Options{})
			got := feed(t, r, packets)
			if s := r.Stats(); s.Bad+s.Dropped+s.Lost > 0 || s.Units != int64(len(got)) {
				t.Errorf("%+v", s)
			}
			compare(t, got, units, f.ClockRate())
			if k := got[0].Track; !k.Equal(tr) {
				t.Errorf("track %v %x %x, want %v %x %x", k, k.Sets, k.Config, tr, tr.Sets, tr.Config)
			}
		})
	}
}

// withSequenceHeader puts the sequence header before the key units, where an encoder has it.
func withSequenceHeader(units []*av.AccessUnit) {
	for _, u := range units {
		if u.Key {
			u.Data = append([][]byte{u.Track.Config}, u.Data...)
		}
	}
}

// compare wants the units of want, with the same distances in time up to a tick.
func compare(t *testing.T, got, want []*av.AccessUnit, rate int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d units, want %d", len(got), len(want))
	}
	tick := time.Second/time.Duration(rate) + 2
	for i, u := range got {
		if !sameData(u, want[i]) {
			t.Fatalf("unit %d: %d elements %d bytes key %v, want %d %d %v",
				i, len(u.Data), u.Size(), u.Key, len(want[i].Data), want[i].Size(), want[i].Key)
		}
		if d := (u.PTS - got[0].PTS) - (want[i].PTS - want[0].PTS); d.Abs() > tick {
			t.Fatalf("unit %d is shown %v late", i, d)
		}
		if u.DTS > u.PTS || i > 0 && u.DTS <= got[i-1].DTS {
			t.Fatalf("unit %d: DTS %v after %v, PTS %v", i, u.DTS, got[max(i, 1)-1].DTS, u.PTS)
		}
		if u.Held < u.Size() || u.Held > u.Size()+16<<10 {
			t.Fatalf("unit %d of %d bytes holds %d", i, u.Size(), u.Held)
		}
	}
}

// TestRoundTripReordered sends pictures out of order, of a stream that does not say how far: after some pictures the decoding
// times are right.
func TestRoundTripReordered(t *testing.T) {
	for b := 1; b <= 4; b++ {
		tr, units := video(av.H264, 100, sim.Options{BFrames: b, GOP: 30})
		f, packets := packetsOf(t, tr, units)
		got := feed(t, NewReceiver(1, f, new(Clock), Options{}), packets)
		if isPartOf(t, got, units) != len(units) {
			t.Fatalf("%d B pictures: %d units", b, len(got))
		}
		for i, u := range got {
			if u.DTS > u.PTS || i > 0 && u.DTS < got[i-1].DTS {
				t.Fatalf("%d B pictures, unit %d: DTS %v after %v, PTS %v", b, i, u.DTS, got[max(i, 1)-1].DTS, u.PTS)
			}
			if i < 2*(b+1) {
				continue
			}
			if u.DTS == got[i-1].DTS {
				t.Fatalf("%d B pictures, unit %d: DTS %v twice", b, i, u.DTS)
			}
			if d := (u.PTS - got[0].PTS) - (units[i].PTS - units[0].PTS); d.Abs() > time.Millisecond {
				t.Fatalf("%d B pictures, unit %d is shown %v late", b, i, d)
			}
		}
	}
}

// TestRoundTripL16 has units that do not fit into a packet: the same samples come out, in more units.
func TestRoundTripL16(t *testing.T) {
	e := sim.New(sim.Options{Audio: av.L16})
	units := e.Take(20)
	f, packets := packetsOf(t, e.Tracks()[0], units)
	got := feed(t, NewReceiver(2, f, new(Clock), Options{}), packets)
	var sent, came []byte
	for _, u := range units {
		sent = append(sent, u.Data[0]...)
	}
	var end time.Duration
	for i, u := range got {
		came = append(came, u.Data[0]...)
		if d := u.PTS - end; d.Abs() > 30*time.Microsecond {
			t.Fatalf("unit %d is %v late", i, d)
		}
		end = u.PTS + av.Duration(int64(len(u.Data[0])/4), 48_000)
	}
	if !bytes.Equal(sent, came) {
		t.Errorf("%d bytes, want %d", len(came), len(sent))
	}
}

// TestRoundTripJPEG sends pictures of Go's encoder: what comes out has the same quantization and the same data.
func TestRoundTripJPEG(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 320, 240), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = byte(i * i >> 7)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 60}); err != nil {
		t.Fatal(err)
	}
	tr, err := av.NewMJPEG(1, 320, 240)
	if err != nil {
		t.Fatal(err)
	}
	var units []*av.AccessUnit
	for i := range 5 {
		at := time.Duration(i) * 40 * time.Millisecond
		units = append(units, &av.AccessUnit{Track: tr, Key: true, DTS: at, PTS: at, Data: [][]byte{b.Bytes()}})
	}
	f, packets := packetsOf(t, tr, units)
	got := feed(t, NewReceiver(1, f, new(Clock), Options{}), packets)
	if len(got) != len(units) || !got[0].Track.Equal(tr) {
		t.Fatalf("%d units", len(got))
	}
	want, _ := jpeg.Decode(bytes.NewReader(b.Bytes()))
	for _, u := range got {
		m, err := jpeg.Decode(bytes.NewReader(u.Data[0]))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []image.Point{{0, 0}, {100, 100}, {319, 239}} {
			if a, b := color.YCbCrModel.Convert(m.At(at.X, at.Y)), color.YCbCrModel.Convert(want.At(at.X, at.Y)); a != b {
				t.Fatalf("%v: %v, want %v", at, a, b)
			}
		}
	}
}

// TestJPEGThatCannotBe: pictures that RTP has no form for are left out.
func TestJPEGThatCannotBe(t *testing.T) {
	encode := func(m image.Image) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, nil); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	good := encode(image.NewYCbCr(image.Rect(0, 0, 64, 64), image.YCbCrSubsampleRatio420))
	if !jpegFits(good) {
		t.Error("a picture of 64x64 does not fit")
	}
	for name, b := range map[string][]byte{
		"empty": {}, "no picture": []byte("GIF89a"), "grey": encode(image.NewGray(image.Rect(0, 0, 64, 64))),
		"odd size": encode(image.NewYCbCr(image.Rect(0, 0, 60, 61), image.YCbCrSubsampleRatio420)),
		"too wide": encode(image.NewYCbCr(image.Rect(0, 0, 2048, 8), image.YCbCrSubsampleRatio420)),
	} {
		if jpegFits(b) {
			t.Errorf("%s fits", name)
		}
	}
	tr, _ := av.NewMJPEG(1, 64, 64)
	p := NewPacker(lanesOf(t, []*av.Track{tr}), PackerOptions{})
	for n := range good {
		p.Unit(nil, []*av.Track{tr}, &av.AccessUnit{Track: tr, Key: true, Data: [][]byte{good[:n]}}) // does not panic
	}
}

// TestRoundTripData sends metadata, and what only RTP can forward.
func TestRoundTripData(t *testing.T) {
	klv := append(unhex("060e2b34020b01010e01030101000000"), append([]byte{0x82, 0x0b, 0xb8}, bytes.Repeat([]byte{7}, 3000)...)...)
	opaque, err := av.NewOpaque(1, "MP4V-ES/90000", 90_000)
	if err != nil {
		t.Fatal(err)
	}
	opaque.Config = []byte("profile-level-id=1; config=000001b001")
	for _, tc := range []struct {
		track *av.Track
		data  [][]byte
		kind  av.Kind
	}{
		{av.NewKLV(1), [][]byte{klv, klv[:0:0], klv}, av.Data},
		{opaque, [][]byte{{0, 1, 2, 3}, {1, 4, 5}, {0, 9}}, av.Video},
	} {
		var units []*av.AccessUnit
		for i, b := range tc.data {
			if len(b) > 0 {
				at := time.Duration(i) * time.Second
				units = append(units, &av.AccessUnit{Track: tc.track, Key: true, DTS: at, PTS: at, Data: [][]byte{b}})
			}
		}
		f, packets := packetsOf(t, tc.track, units)
		got := feed(t, NewReceiver(1, f, new(Clock), Options{}), packets)
		compare(t, got, units, 90_000)
		if !got[0].Track.Equal(tc.track) {
			t.Errorf("%+v, want %+v", got[0].Track, tc.track)
		}
		if f.Kind() != tc.kind {
			t.Errorf("%v: kind %v", f, f.Kind())
		}
	}
}

// TestLargeAAC has access units that need fragments.
func TestLargeAAC(t *testing.T) {
	tr := sim.NewTrack(2, av.AAC, 0)
	var units []*av.AccessUnit
	for i := range 10 {
		at := av.Duration(int64(i)*1024, 48_000)
		units = append(units, &av.AccessUnit{
			Track: tr, Key: true, DTS: at, PTS: at, Data: [][]byte{bytes.Repeat([]byte{byte(i)}, 700+i*700)},
		})
	}
	f, packets := packetsOf(t, tr, units)
	compare(t, feed(t, NewReceiver(2, f, new(Clock), Options{}), packets), units, 48_000)
}
