package rtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// muxer is what a share wants of a packer.
type muxer interface {
	Head(dst []byte, tracks []*av.Track) []byte
	Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte
	Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte
	Err() error
}

var _ muxer = (*Packer)(nil)

// TestFragmentsHaveOneSize: all packets of a NAL unit but the last are as long as may be, which segmentation offload needs.
func TestFragmentsHaveOneSize(t *testing.T) {
	for _, c := range []av.Codec{av.H264, av.H265} {
		tr, units := video(c, 1, sim.Options{KeySize: 50_000})
		_, packets := packetsOf(t, tr, units)
		for i, b := range packets[1:] { // the first has the parameter sets
			if last := i == len(packets)-2; len(b) != sizeDefault && !last || last && len(b) > sizeDefault {
				t.Errorf("%v: packet %d has %d bytes", c, i, len(b))
			}
			if marker := b[1]&0x80 != 0; marker != (i == len(packets)-2) {
				t.Errorf("%v: packet %d: marker %v", c, i, marker)
			}
		}
	}
}

// TestReports: a newcomer gets a sender report of each lane, all get them every five seconds, with true counts.
func TestReports(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
	start := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	p := NewPacker(lanesOf(t, e.Tracks()), PackerOptions{Start: start, Random: counting()})
	var packets, octets [2]uint32
	reports := 0
	var end time.Duration
	for end < 21*time.Second {
		u := e.Next()
		end = u.DTS
		rtp, control := frames(t, p.Unit(nil, e.Tracks(), u))
		for ch, all := range control {
			for _, b := range all {
				reports++
				checkReport(t, b, packets[ch/2], octets[ch/2], start.Add(u.DTS))
			}
		}
		for ch, all := range rtp {
			for _, b := range all {
				packets[ch/2]++
				octets[ch/2] += uint32(len(b) - headerSize)
			}
		}
	}
	if reports != 2*5 {
		t.Errorf("%d reports in 21 s", reports)
	}
	back := e.Next()
	back.DTS, back.PTS = end-time.Second, end-time.Second // tracks are not quite in order of each other
	if _, control := frames(t, p.Unit(nil, e.Tracks(), back)); len(control) > 0 {
		t.Errorf("a report for a unit that is a little late")
	}
	packets[back.Track.ID-1], octets[back.Track.ID-1] = p.lanes[back.Track.ID-1].packets.Load(), p.lanes[back.Track.ID-1].octets.Load()
	rtp, control := frames(t, p.Config(nil, e.Tracks(), nil, end))
	if len(rtp) != 0 || len(control) != 2 {
		t.Errorf("a newcomer gets %v %v", rtp, control)
	}
	for ch, all := range control {
		checkReport(t, all[0], packets[ch/2], octets[ch/2], start.Add(end))
	}
	if b := p.Config(nil, e.Tracks(), e.Tracks(), end); len(b) != 0 {
		t.Errorf("% x for one who is not new", b)
	}
	_, control = frames(t, p.AppendBye(nil, end))
	for _, all := range control {
		c, err := rtcp.Unmarshal(all[0])
		if err != nil || len(c) != 3 || len(c[2].(*rtcp.Goodbye).Sources) != 1 {
			t.Errorf("farewell %v %v", c, err)
		}
	}
}

func checkReport(t *testing.T, b []byte, packets, octets uint32, wall time.Time) {
	t.Helper()
	c, err := rtcp.Unmarshal(b)
	if err != nil || len(c) != 2 {
		t.Fatalf("%v %v", c, err)
	}
	s := c[0].(*rtcp.SenderReport)
	if s.PacketCount != packets || s.OctetCount != octets || s.NTPTime != ntpTime(wall) {
		t.Errorf("%+v, want %d packets, %d octets", s, packets, octets)
	}
	if d := c[1].(*rtcp.SourceDescription); d.Chunks[0].Source != s.SSRC || d.Chunks[0].Items[0].Type != rtcp.SDESCNAME {
		t.Errorf("%+v", d)
	}
}

// TestPublisherAndViewerAgree: what a packer reports tells a receiver's clock how the medias lie.
func TestPublisherAndViewerAgree(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
	lanes := lanesOf(t, e.Tracks())
	p := NewPacker(lanes, PackerOptions{Start: time.Unix(1_800_000_000, 0)})
	var c Clock
	r := []*Receiver{NewReceiver(1, reread(t, lanes[0].Format), &c, Options{}), NewReceiver(2, reread(t, lanes[1].Format), &c, Options{})}
	var got [2]collector
	for range 1000 {
		u := e.Next()
		rtp, control := frames(t, p.Unit(nil, e.Tracks(), u))
		for ch, all := range rtp {
			late := u.DTS
			if ch == 2 {
				late += 300 * time.Millisecond // sound takes another way
			}
			for _, b := range all {
				if err := r[ch/2].Packet(b, late, got[ch/2].emit); err != nil {
					t.Fatal(err)
				}
			}
		}
		for ch, all := range control {
			if bye, err := r[ch/2].Control(all[0], u.DTS); bye || err != nil {
				t.Fatal(bye, err)
			}
		}
	}
	v, a := got[0].units[len(got[0].units)-1], got[1].units[len(got[1].units)-1]
	if d := (v.PTS - a.PTS).Abs(); d > 60*time.Millisecond {
		t.Errorf("at the end apart by %v", v.PTS-a.PTS)
	}
}

// TestTracks: to which tracks lanes are matched, and when there is an end of it.
func TestTracks(t *testing.T) {
	h264, h264b, aac := sim.NewTrack(1, av.H264, 0), sim.NewTrack(1, av.H264, 1), sim.NewTrack(2, av.AAC, 0)
	other, err := av.NewAAC(2, unhex("1210"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		tracks []*av.Track
		want   []*av.Track // of the lanes
		fits   bool
	}{
		{"same", []*av.Track{h264, aac}, []*av.Track{h264, aac}, true},
		{"other parameter sets", []*av.Track{h264b, aac}, []*av.Track{h264b, aac}, true},
		{"other IDs", []*av.Track{sim.NewTrack(7, av.AAC, 0), sim.NewTrack(9, av.H264, 0)}, nil, true},
		{"IDs changed about", []*av.Track{sim.NewTrack(1, av.AAC, 0), sim.NewTrack(2, av.H264, 0)}, nil, true},
		{"one more", []*av.Track{h264, aac, sim.NewTrack(3, av.H264, 0), sim.NewTrack(4, av.Opus, 0)}, []*av.Track{h264, aac}, true},
		{"sound gone", []*av.Track{h264}, []*av.Track{h264, nil}, true},
		{"another configuration", []*av.Track{h264, other}, nil, false},
		{"another codec", []*av.Track{sim.NewTrack(1, av.H265, 0), aac}, nil, false},
		{"another codec, another ID", []*av.Track{sim.NewTrack(5, av.H265, 0), aac}, nil, false},
		{"all gone", []*av.Track{sim.NewTrack(5, av.FLAC, 0)}, nil, false},
	} {
		p := NewPacker(lanesOf(t, []*av.Track{h264, aac}), PackerOptions{})
		u := &av.AccessUnit{Track: tc.tracks[0], Key: true, Data: [][]byte{{0x65, 0x88, 1, 2, 3}}}
		b := p.Unit(nil, tc.tracks, u)
		if err := p.Err(); (err == nil) != tc.fits || err != nil && !errors.Is(err, ErrTracks) {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if (len(b) > 0) != tc.fits {
			t.Errorf("%s: %d bytes", tc.name, len(b))
		}
		for i, want := range tc.want {
			if got := p.lanes[i].track; got != want {
				t.Errorf("%s: lane %d has %v", tc.name, i, got)
			}
		}
		if tc.fits && tc.want == nil && (p.lanes[0].track.Codec != av.H264 || p.lanes[1].track.Codec != av.AAC) {
			t.Errorf("%s: %v, %v", tc.name, p.lanes[0].track, p.lanes[1].track)
		}
	}
}

// TestTracksToCome: who begins with units that are older than what was described is not ended by them, but by units that still do not
// fit when the description has had its time.
func TestTracksToCome(t *testing.T) {
	h264, aac, old := sim.NewTrack(1, av.H264, 0), sim.NewTrack(2, av.AAC, 0), sim.NewTrack(2, av.Opus, 0)
	for name, tc := range map[string]struct {
		lanes, before, after []*av.Track
		packed               int // units
		fits                 bool
	}{
		"sound only, that joins":            {[]*av.Track{aac}, []*av.Track{h264}, []*av.Track{h264, aac}, 2, true},
		"sound only, that never joins":      {[]*av.Track{aac}, []*av.Track{h264}, []*av.Track{h264}, 0, false},
		"sound that was of another codec":   {[]*av.Track{h264, aac}, []*av.Track{h264, old}, []*av.Track{h264, aac}, 5, true},
		"sound that becomes another":        {[]*av.Track{h264, aac}, []*av.Track{h264, aac}, []*av.Track{h264, old}, 2, false},
		"sound that stays of another codec": {[]*av.Track{h264, aac}, []*av.Track{h264, old}, []*av.Track{h264, old}, 2, false},
	} {
		p := NewPacker(lanesOf(t, tc.lanes), PackerOptions{Settle: time.Second})
		packed := 0
		for i, tracks := range [][]*av.Track{tc.before, tc.after, tc.after} {
			for _, track := range tracks {
				u := &av.AccessUnit{Track: track, Key: true, DTS: time.Duration(i) * 500 * time.Millisecond, Data: [][]byte{{0x65, 0x88, 1, 2, 3}}}
				if len(p.Unit(nil, tracks, u)) > 0 {
					packed++
				}
			}
			if i == 0 && p.Err() != nil {
				t.Errorf("%s: %v before its time", name, p.Err())
			}
		}
		if err := p.Err(); (err == nil) != tc.fits || err != nil && !errors.Is(err, ErrTracks) {
			t.Errorf("%s: %v", name, err)
		}
		if packed != tc.packed {
			t.Errorf("%s: %d units packed, want %d", name, packed, tc.packed)
		}
	}
}

// TestParameterSets stand before each key picture, behind its delimiter, and not twice.
func TestParameterSets(t *testing.T) {
	tr := sim.NewTrack(1, av.H264, 0)
	sps, pps, idr, aud := tr.Sets[0], tr.Sets[1], []byte{0x65, 0x88, 0x80}, []byte{0x09, 0xf0}
	for _, tc := range []struct{ in, want [][]byte }{
		{[][]byte{idr}, [][]byte{sps, pps, idr}},
		{[][]byte{aud, idr}, [][]byte{aud, sps, pps, idr}},
		{[][]byte{sps, pps, idr}, [][]byte{sps, pps, idr}},
		{[][]byte{aud, sps, idr}, [][]byte{aud, sps, pps, sps, idr}},
	} {
		p := NewPacker(lanesOf(t, []*av.Track{tr}), PackerOptions{})
		rtp, _ := frames(t, p.Unit(nil, []*av.Track{tr}, &av.AccessUnit{Track: tr, Key: true, Data: tc.in}))
		if len(rtp[0]) != 1 || rtp[0][0][headerSize]&31 != h264STAPA {
			t.Fatalf("%d packets", len(rtp[0]))
		}
		var got [][]byte
		for b := rtp[0][0][headerSize+1:]; len(b) > 0; {
			n := int(binary.BigEndian.Uint16(b))
			got, b = append(got, b[2:2+n]), b[2+n:]
		}
		if !bytes.Equal(bytes.Join(got, []byte("|")), bytes.Join(tc.want, []byte("|"))) {
			t.Errorf("%x, want %x", got, tc.want)
		}
	}
}

// TestChangeOfParameterSets: a stream that changes them in between comes out as another track.
func TestChangeOfParameterSets(t *testing.T) {
	for _, c := range []av.Codec{av.H264, av.H265, av.VP8, av.VP9, av.AV1} {
		e := sim.New(sim.Options{Video: c, GOP: 5})
		first := e.Tracks()[0]
		units := e.Take(20)
		e.ChangeVideo()
		units = append(units, e.Take(20)...)
		f, packets := packetsOf(t, first, units)
		got := feed(t, NewReceiver(1, f, new(Clock), Options{}), packets)
		if len(got) != 40 || got[19].Track != got[0].Track || got[20].Track == got[0].Track || got[39].Track != got[20].Track {
			t.Errorf("%v: %d units", c, len(got))
			continue
		}
		if !got[20].Track.Equal(units[20].Track) || !got[0].Track.Equal(first) {
			t.Errorf("%v: %v, then %v", c, got[0].Track, got[20].Track)
		}
	}
}

// TestConcurrentConfig: newcomers come while units are packed (run it with the race detector).
func TestConcurrentConfig(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
	p := NewPacker(lanesOf(t, e.Tracks()), PackerOptions{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				p.Config(nil, e.Tracks(), nil, time.Second)
				_ = p.Err()
				p.AppendBye(nil, 0)
			}
		})
	}
	for _, u := range sim.New(sim.Options{Video: av.H264, Audio: av.AAC}).Take(500) {
		p.Unit(nil, []*av.Track{u.Track}, u)
	}
	wg.Wait()
}

// TestUnitDoesNotAllocate: what runs for each unit of a stream costs no memory.
func TestUnitDoesNotAllocate(t *testing.T) {
	for _, c := range []av.Codec{av.H264, av.H265, av.AAC, av.Opus, av.PCMA, av.MP3, av.AC3} {
		tr := sim.NewTrack(1, c, 0)
		o := sim.Options{Video: c}
		if c.Kind() == av.Audio {
			o = sim.Options{Audio: c}
		}
		u := sim.New(o).Next()
		u.Track = tr
		tracks := []*av.Track{tr}
		p := NewPacker(lanesOf(t, tracks), PackerOptions{})
		dst := p.Unit(make([]byte, 0, 64<<10), tracks, u)
		if n := testing.AllocsPerRun(100, func() { dst = p.Unit(dst[:0], tracks, u) }); n > 0 {
			t.Errorf("%v: %v allocations", c, n)
		}
	}
}

// TestReceiverAllocates a unit and its memory for a picture, whatever the number of its packets.
func TestReceiverAllocates(t *testing.T) {
	tr, units := video(av.H264, 1, sim.Options{KeySize: 80_000})
	f, packets := packetsOf(t, tr, units)
	r := NewReceiver(1, f, new(Clock), Options{Window: 64})
	n := uint16(0)
	emit := func(*av.AccessUnit) error { return nil }
	if got := testing.AllocsPerRun(100, func() {
		for _, p := range packets {
			setSeq(p, n)
			n++
			p[1] = dynamic
		}
		packets[len(packets)-1][1] |= 0x80
		for _, p := range packets {
			setTime(p, 5000+uint32(n))
			if err := r.Packet(p, 0, emit); err != nil {
				t.Fatal(err)
			}
		}
	}); got > 3 {
		t.Errorf("%v allocations for a picture of %d packets", got, len(packets))
	}
	if s := r.Stats(); s.Units < 100 {
		t.Errorf("%+v", s)
	}
}

// BenchmarkPackerUnit packs a stream of 2 Mbit/s: 25 pictures a second, a key each 2 s.
func BenchmarkPackerUnit(b *testing.B) {
	e := sim.New(sim.Options{Video: av.H264, GOP: 50, KeySize: 80_000, Size: 8_600})
	units := e.Take(500)
	tracks := e.Tracks()
	p := NewPacker(lanesOf(b, tracks), PackerOptions{})
	dst := make([]byte, 0, 1<<20)
	var size int64
	for _, u := range units {
		size += int64(u.Size())
	}
	b.SetBytes(size / int64(len(units)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		dst = p.Unit(dst[:0], tracks, units[i%len(units)])
	}
}

// BenchmarkReceiver is the same stream on its way in.
func BenchmarkReceiver(b *testing.B) {
	tr, units := video(av.H264, 500, sim.Options{GOP: 50, KeySize: 80_000, Size: 8_600})
	f, packets := packetsOf(b, tr, units)
	r := NewReceiver(1, f, new(Clock), Options{Window: 64})
	b.SetBytes(1400)
	b.ReportAllocs()
	seq := uint16(0)
	for i := 0; b.Loop(); i++ {
		p := packets[i%len(packets)]
		setSeq(p, seq)
		seq++
		_ = r.Packet(p, 0, func(*av.AccessUnit) error { return nil })
	}
}
