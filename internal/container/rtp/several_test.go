package rtp

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestSeveralInAPacket: the units of one packet are one after the other, in time too.
func TestSeveralInAPacket(t *testing.T) {
	frame := func(c av.Codec) string {
		return string(sim.New(sim.Options{Audio: c}).Next().Data[0])
	}
	for _, tc := range []struct {
		codec   av.Codec
		sdp     string
		payload string
		step    time.Duration
	}{
		{av.AAC, sdpAAC, "\x00\x30\x00\x10\x00\x10\x00\x10aabbcc", av.Duration(1024, 48_000)},
		{av.AAC, "m=audio 0 RTP/AVP 96\na=rtpmap:96 mpeg4-generic/48000/2\na=fmtp:96 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;" +
			"config=1194\n", "\x00\x30\x00\x10\x00\x10\x00\x10aabbcc", 20 * time.Millisecond}, // 960 samples
		{av.MP3, "m=audio 0 RTP/AVP 14\n", "\x00\x00\x00\x00" + frame(av.MP3) + frame(av.MP3) + frame(av.MP3), av.Duration(1152, 44_100)},
		{av.AC3, "m=audio 0 RTP/AVP 96\na=rtpmap:96 AC3/48000/1\n", "\x00\x03" + frame(av.AC3) + frame(av.AC3) + frame(av.AC3), 32 * time.Millisecond},
	} {
		units, _, errs := in(t, tc.sdp, "M "+tc.payload)
		if len(units) != 3 || errs > 0 {
			t.Errorf("%v: %d units", tc.codec, len(units))
			continue
		}
		for i, u := range units {
			if want := time.Duration(i) * tc.step; (u.PTS-want).Abs() > 2 || !u.Key || u.Track.Codec != tc.codec {
				t.Errorf("%v: unit %d is at %v, want %v", tc.codec, i, u.PTS, want)
			}
		}
	}
}

// TestLATM reads what a GStreamer or a camera makes of AAC: with its configuration in the description, and in band.
func TestLATM(t *testing.T) {
	config := mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
		AudioSpecificConfig: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44_100, ChannelConfig: 1},
		LatmBufferFullness:  255,
	}}}}}
	element := func(present, same bool, b string) string {
		t.Helper()
		e := mpeg4audio.AudioMuxElement{
			MuxConfigPresent: present, UseSameStreamMux: same, StreamMuxConfig: &config, Payloads: [][][][]byte{{{[]byte(b)}}},
		}
		out, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	const described = "m=audio 0 RTP/AVP 96\na=rtpmap:96 MP4A-LATM/44100\na=fmtp:96 cpresent=0;config=40002410\n"
	// GStreamer puts the whole of FFmpeg's configuration there, with its sync extension.
	units, _, errs := in(t, strings.Replace(described, "40002410", "40002410adca00", 1), "M "+element(false, false, "one"))
	if errs > 0 || len(units) != 1 || string(units[0].Data[0]) != "one" || units[0].Track.SampleRate != 44_100 {
		t.Errorf("with a sync extension: %d errors, %d units", errs, len(units))
	}
	long := string(bytes.Repeat([]byte("abc"), 700))
	whole := element(false, false, long)
	units, _, errs = in(t, described, "M "+element(false, false, "one"), ". "+whole[:1000], "M "+whole[1000:], ". "+whole[:1000], "-", "M "+element(false, false, "two"))
	if errs > 0 || len(units) != 3 || string(units[0].Data[0]) != "one" || string(units[1].Data[0]) != long || string(units[2].Data[0]) != "two" {
		t.Errorf("%d errors, %d units", errs, len(units))
	}
	units, r, errs := in(t, "m=audio 0 RTP/AVP 96\na=rtpmap:96 MP4A-LATM/90000\n",
		"M "+element(true, true, "none"), "M "+element(true, false, "one"), "M "+element(true, true, "two"))
	if errs > 0 || len(units) != 2 || string(units[0].Data[0]) != "one" || string(units[1].Data[0]) != "two" {
		t.Fatalf("%d errors, %d units: %+v", errs, len(units), r.Stats())
	}
	if tr := units[1].Track; tr.SampleRate != 44_100 || tr.Channels != 1 || tr != units[0].Track {
		t.Errorf("%v", tr)
	}
}

// TestParseHeader has headers as RFC 3550, 5.1 allows them, and others.
func TestParseHeader(t *testing.T) {
	const rest = "60 0001 00000002 00000003"
	for _, tc := range []struct {
		name, packet, payload string
		bad                   bool
	}{
		{"plain", "80" + rest + "aabb", "aabb", false},
		{"no payload", "80" + rest, "", false},
		{"two sources", "82" + rest + "00000004 00000005 aa", "aa", false},
		{"extension", "90" + rest + "bede 0001 10200000 aa", "aa", false},
		{"padding", "a0" + rest + "aabb 000003", "aabb", false},
		{"padding of nothing", "a0" + rest + "aa00", "aa00", false},
		{"only padding", "a0" + rest + "000003", "", false},
		{"too much padding", "a0" + rest + "0004", "", true},
		{"cut", "80" + rest[:10], "", true},
		{"cut sources", "83" + rest + "00000004", "", true},
		{"cut extension", "90" + rest + "bede 0002 10200000", "", true},
		{"cut extension header", "90" + rest + "bede", "", true},
		{"version", "40" + rest + "aa", "", true},
	} {
		h, payload, err := parseHeader(unhex(tc.packet))
		if (err != nil) != tc.bad || !bytes.Equal(payload, unhex(tc.payload)) {
			t.Errorf("%s: % x, %v", tc.name, payload, err)
		}
		if want := (header{typ: 0x60, seq: 1, timestamp: 2, ssrc: 3}); !tc.bad && h != want {
			t.Errorf("%s: %+v", tc.name, h)
		}
	}
}

// TestEarlyReport: a sender report that comes before the first packet places the media.
func TestEarlyReport(t *testing.T) {
	var c Clock
	units := sim.New(sim.Options{Audio: av.PCMU}).Take(2)
	f, sound := packetsOf(t, units[0].Track, units)
	r1, r2 := NewReceiver(1, f, &c, Options{}), NewReceiver(2, f, &c, Options{})
	var got collector
	report := func(r *Receiver, d time.Duration) {
		t.Helper()
		b, err := (&rtcp.SenderReport{SSRC: 0xfffffff1, NTPTime: ntpOf(d), RTPTime: timeOf(sound[0])}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Control(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	report(r1, 0)
	report(r2, 700*time.Millisecond)
	for _, r := range []*Receiver{r1, r2} {
		if err := r.Packet(sound[0], 0, got.emit); err != nil {
			t.Fatal(err)
		}
	}
	if d := got.units[1].PTS - got.units[0].PTS; (d - 700*time.Millisecond).Abs() > time.Microsecond {
		t.Errorf("apart by %v", d)
	}
}

// A picture of start codes costs no more memory than others, and none once it is over.
func TestStartCodes(t *testing.T) {
	d, err := ParseSDP([]byte(sdpH264))
	if err != nil {
		t.Fatal(err)
	}
	const packets = 40
	r := NewReceiver(1, d.Medias[0].Format, new(Clock), Options{})
	for i := range packets {
		h := header{typ: d.Medias[0].Format.typ, seq: uint16(i), marker: i == packets-1}
		b := append(appendHeader(nil, h), 0x7c, 5, 0x80)
		switch i {
		case 0:
			b[headerSize+1] |= fuStart
		case packets - 1:
			b[headerSize+1] |= fuEnd
		}
		if err = r.Packet(append(b, bytes.Repeat([]byte{0, 0, 1, 0x41}, 16_000)...), 0, new(collector).emit); err != nil {
			t.Fatal(err)
		}
	}
	n := r.parts.(*nalAssembler)
	if most := 2 * elementsMax; cap(n.pieces) == 0 || cap(n.pieces) > most {
		t.Errorf("a list of %d NAL units, want %d at the most", cap(n.pieces), most)
	}
	for i, b := range n.pieces[:cap(n.pieces)] {
		if b != nil {
			t.Fatalf("NAL unit %d is held", i)
		}
	}
}
