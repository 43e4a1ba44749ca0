package rtp

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestReceiverReport counts as RFC 3550, A.3 does.
func TestReceiverReport(t *testing.T) {
	e := sim.New(sim.Options{Audio: av.PCMU})
	f, packets := packetsOf(t, e.Tracks()[0], e.Take(300))
	r := NewReceiver(2, f, new(Clock), Options{SSRC: 5, CNAME: "me"})
	report := func(at time.Duration) (*rtcp.ReceiverReport, *rtcp.SourceDescription) {
		t.Helper()
		c, err := rtcp.Unmarshal(r.AppendReport(nil, at))
		if err != nil || len(c) != 2 {
			t.Fatalf("%v, %v", c, err)
		}
		return c[0].(*rtcp.ReceiverReport), c[1].(*rtcp.SourceDescription)
	}
	if rr, _ := report(0); len(rr.Reports) != 0 || rr.SSRC != 5 {
		t.Errorf("before the first packet: %+v", rr)
	}
	var got collector
	for i, b := range packets[:100] {
		if i%4 != 3 { // a quarter is lost
			if err := r.Packet(b, time.Duration(i)*20*time.Millisecond, got.emit); err != nil {
				t.Fatal(err)
			}
		}
	}
	source := uint32(0xfffffff1)
	sr := rtcp.SenderReport{SSRC: source, NTPTime: 0x1122334455667788, RTPTime: timeOf(packets[0])}
	b, _ := sr.Marshal()
	if bye, err := r.Control(b, 2*time.Second); bye || err != nil {
		t.Fatal(bye, err)
	}
	rr, sdes := report(2500 * time.Millisecond)
	// the last packet was lost too, but nobody knows it yet: 74 of 99
	want := rtcp.ReceptionReport{
		SSRC: source, FractionLost: 24 * 256 / 99, TotalLost: 24, LastSequenceNumber: uint32(seqOf(packets[0])) + 98,
		Jitter: rr.Reports[0].Jitter, LastSenderReport: 0x33445566, Delay: 32768,
	}
	if len(rr.Reports) != 1 || rr.Reports[0] != want || want.Jitter > 2 {
		t.Errorf("%+v, want %+v", rr.Reports, want)
	}
	if sdes.Chunks[0].Items[0].Text != "me" {
		t.Errorf("%+v", sdes)
	}
	for i, b := range packets[100:200] {
		_ = r.Packet(b, time.Duration(100+i)*20*time.Millisecond, got.emit)
	}
	if rr, _ = report(4 * time.Second); rr.Reports[0].FractionLost != 1*256/101 || rr.Reports[0].TotalLost != 25 {
		t.Errorf("%+v", rr.Reports)
	}
	for i, b := range packets[200:] { // packets are late by turns
		_ = r.Packet(b, time.Duration(200+i)*20*time.Millisecond+time.Duration(i%2)*10*time.Millisecond, got.emit)
	}
	if j := r.Stats().Jitter; j < 8*time.Millisecond || j > 11*time.Millisecond {
		t.Errorf("jitter %v", j)
	}
}

func TestControl(t *testing.T) {
	e := sim.New(sim.Options{Audio: av.Opus})
	f, packets := packetsOf(t, e.Tracks()[0], e.Take(1))
	r := NewReceiver(2, f, new(Clock), Options{})
	if err := r.Packet(packets[0], 0, new(collector).emit); err != nil {
		t.Fatal(err)
	}
	bye := func(sources ...uint32) []byte {
		b, _ := (&rtcp.Goodbye{Sources: sources, Reason: "enough"}).Marshal()
		return b
	}
	rr, _ := (&rtcp.ReceiverReport{SSRC: 3}).Marshal()
	for name, tc := range map[string]struct {
		b   []byte
		bye bool
		bad bool
	}{
		"empty":                  {nil, false, false},
		"report and good-bye":    {append(rr, bye(r.ssrc)...), true, false},
		"good-bye of another":    {bye(9), false, false},
		"of nobody":              {bye(), true, false},
		"of two":                 {bye(9, r.ssrc), true, false},
		"good-bye, then garbage": {append(bye(r.ssrc), 1, 2, 3), true, true},
		"cut":                    {bye(r.ssrc)[:6], false, true},
		"short report":           {unhex("80c80001 00000001"), false, true},
		"unknown type":           {unhex("80d20000"), false, false},
		"other version":          {unhex("40c80000"), false, true},
	} {
		if got, err := r.Control(tc.b, 0); got != tc.bye || (err != nil) != tc.bad {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// FuzzControl: no panic, and reports can always be made.
func FuzzControl(f *testing.F) {
	f.Add(unhex("80c80006 fffffff1 1122334455667788 00000001 00000002 00000003 81cb0001 fffffff1"))
	f.Add(unhex("81ca0003 00000005 01026d65 00000000"))
	e := sim.New(sim.Options{Audio: av.Opus})
	format, packets := packetsOf(f, e.Tracks()[0], e.Take(10))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReceiver(2, format, new(Clock), Options{})
		_, _ = r.Control(b, 0)
		for i, p := range packets {
			if err := r.Packet(p, time.Duration(i), func(*av.AccessUnit) error { return nil }); err != nil {
				t.Fatal(err)
			}
			_, _ = r.Control(b, time.Duration(i))
		}
		if _, err := rtcp.Unmarshal(r.AppendReport(nil, time.Second)); err != nil {
			t.Fatal(err)
		}
	})
}
