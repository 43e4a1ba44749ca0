package rtp

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// payloads packs one unit in packets of up to 212 bytes and returns their payloads, with the marker before each.
func payloads(t *testing.T, tr *av.Track, data ...[]byte) []string {
	t.Helper()
	p := NewPacker(lanesOf(t, []*av.Track{tr}), PackerOptions{Size: 212, Random: counting()})
	rtp, _ := frames(t, p.Unit(nil, []*av.Track{tr}, &av.AccessUnit{Track: tr, Data: data}))
	var all []string
	for _, b := range rtp[0] {
		mark := ". "
		if b[1]&0x80 != 0 {
			mark = "M "
		}
		all = append(all, mark+string(b[headerSize:]))
	}
	return all
}

// TestGoldenPayloads holds what is written against the figures of the specifications.
func TestGoldenPayloads(t *testing.T) {
	rep := func(n int) string { return strings.Repeat("\x5a", n) }
	h264, h265 := sim.NewTrack(1, av.H264, 0), sim.NewTrack(1, av.H265, 0)
	for _, tc := range []struct {
		name  string
		track *av.Track
		data  []string
		want  []string
	}{
		{"RFC 6184, 5.6: single NAL unit", h264, []string{"\x41\x9a" + rep(8)}, []string{"M \x41\x9a" + rep(8)}},
		{"RFC 6184, figure 7: STAP-A of two", h264, []string{"\x06\x01\x02", "\x61\x9a\x03\x04"}, []string{
			"M \x78\x00\x03\x06\x01\x02\x00\x04\x61\x9a\x03\x04",
		}},
		{"RFC 6184, figure 14: FU-A", h264, []string{"\x65" + rep(400)}, []string{
			". \x7c\x85" + rep(198), ". \x7c\x05" + rep(198), "M \x7c\x45" + rep(4),
		}},
		{"RFC 7798, 4.4.1: single NAL unit", h265, []string{"\x02\x01\xd0" + rep(3)}, []string{"M \x02\x01\xd0" + rep(3)}},
		{"RFC 7798, 4.4.2: AP of two", h265, []string{"\x4e\x01\x02", "\x02\x02\xd0"}, []string{
			"M \x60\x01\x00\x03\x4e\x01\x02\x00\x03\x02\x02\xd0",
		}},
		{"RFC 7798, 4.4.3: FU", h265, []string{"\x02\x01" + rep(300)}, []string{
			". \x62\x01\x81" + rep(197), "M \x62\x01\x41" + rep(103),
		}},
		{"RFC 3640, 3.3.6: one access unit", sim.NewTrack(1, av.AAC, 0), []string{rep(33)}, []string{"M \x00\x10\x01\x08" + rep(33)}},
		{"RFC 3640, 3.2.3.1: fragments", sim.NewTrack(1, av.AAC, 0), []string{rep(300)}, []string{
			". \x00\x10\x09\x60" + rep(196), "M \x00\x10\x09\x60" + rep(104),
		}},
		{"RFC 7587, 4.2: Opus", sim.NewTrack(1, av.Opus, 0), []string{"\xfc" + rep(5)}, []string{". \xfc" + rep(5)}},
		{"RFC 3551, 4.5.14: PCMU", sim.NewTrack(1, av.PCMU, 0), []string{rep(160)}, []string{". " + rep(160)}},
		{"RFC 2250, 3.5: MP3 in fragments", sim.NewTrack(1, av.MP3, 0), []string{rep(300)}, []string{
			". \x00\x00\x00\x00" + rep(196), ". \x00\x00\x00\xc4" + rep(104),
		}},
		{"RFC 4184, 4.2: AC-3", sim.NewTrack(1, av.AC3, 0), []string{rep(60)}, []string{"M \x00\x01" + rep(60)}},
		{"RFC 4184, 4.2: AC-3, first fragment with 5/8", sim.NewTrack(1, av.AC3, 0), []string{rep(300)}, []string{
			"." + " \x01\x02" + rep(198), "M \x03\x02" + rep(102),
		}},
		{"RFC 7741, 4.2: VP8", sim.NewTrack(1, av.VP8, 0), []string{"\x11\x02\x01" + rep(300)}, []string{
			". \x10\x11\x02\x01" + rep(196), "M \x00" + rep(104),
		}},
		{"AV1 RTP, 4.4: aggregation header, W=2", sim.NewTrack(1, av.AV1, 0), []string{"\x18" + rep(3), "\x20" + rep(2)}, []string{
			"M \x20\x04\x18" + rep(3) + "\x20" + rep(2),
		}},
		{"RFC 6597, 4: KLV", av.NewKLV(1), []string{rep(201)}, []string{". " + rep(200), "M " + rep(1)}},
	} {
		var data [][]byte
		for _, s := range tc.data {
			data = append(data, []byte(s))
		}
		got := payloads(t, tc.track, data...)
		if strings.Join(got, "|") != strings.Join(tc.want, "|") {
			t.Errorf("%s:\n got %x\nwant %x", tc.name, got, tc.want)
		}
	}
}

// TestGoldenHeader is a whole packet in its frame (RFC 3550, 5.1; RFC 2326, 10.12).
func TestGoldenHeader(t *testing.T) {
	tr := sim.NewTrack(1, av.PCMA, 0)
	lanes := lanesOf(t, []*av.Track{tr})
	lanes[0].RTP = 6
	n := uint32(0x01020304)
	p := NewPacker(lanes, PackerOptions{Random: func() uint32 { n += 0x10; return n }})
	u := &av.AccessUnit{Track: tr, Key: true, DTS: time.Second, PTS: time.Second, Data: [][]byte{{0xd5, 0xd5}}}
	p.Unit(nil, []*av.Track{tr}, u)
	got := p.Unit(nil, []*av.Track{tr}, u) // the first has reports before it
	// ssrc 01020314, timestamp 01020324 + 8000, number 0334 + 1
	if want := unhex("24 06 000e 80 08 0335 01022264 01020314 d5d5"); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

// in gives payloads to a receiver. A payload begins with M or a dot, for the marker; each gap of "-" is a lost packet; timestamps
// go on after a marker.
func in(t *testing.T, sdp string, parts ...string) (units []*av.AccessUnit, r *Receiver, errs int) {
	t.Helper()
	d, err := ParseSDP([]byte(sdp))
	if err != nil {
		t.Fatal(err)
	}
	f := d.Medias[0].Format
	r = NewReceiver(1, f, new(Clock), Options{})
	var c collector
	h := header{typ: f.typ, seq: 65_534, timestamp: 1 << 31, ssrc: 7}
	for _, s := range parts {
		h.seq++
		if s == "-" {
			continue
		}
		h.marker = s[0] == 'M'
		if err := r.Packet(append(appendHeader(nil, h), s[2:]...), 0, c.emit); err != nil {
			t.Logf("%x: %v", s, err)
			errs++
		}
		if h.marker {
			h.timestamp += 3000
		}
	}
	return c.units, r, errs
}

const (
	sdpH264 = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QAHqwsaoKAv+WbgICAgQ==,aO4xshs=\n"
	sdpAAC  = "m=audio 0 RTP/AVP 96\na=rtpmap:96 mpeg4-generic/48000/2\na=fmtp:96 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\n"
	sdpVP9  = "m=video 0 RTP/AVP 96\na=rtpmap:96 VP9/90000\n"
	sdpJPEG = "m=video 0 RTP/AVP 26\n"
)

// TestGoldenReading reads what others write, and what they should not.
func TestGoldenReading(t *testing.T) {
	idr, kilo := "\x65\x88\x80\x01", strings.Repeat("a", 1024)
	for _, tc := range []struct {
		name  string
		sdp   string
		parts []string
		want  []string // units, elements joined with |
		errs  int
	}{
		{"single", sdpH264, []string{"M " + idr}, []string{idr}, 0},
		{"delimiter and SEI stay", sdpH264, []string{". \x09\xf0", ". \x06\x05", "M " + idr}, []string{"\x09\xf0|\x06\x05|" + idr}, 0},
		{"STAP-A with padding", sdpH264, []string{"M \x78\x00\x02\x09\xf0\x00\x04" + idr + "\x00\x00\x00"}, []string{"\x09\xf0|" + idr}, 0},
		{"FU-A", sdpH264, []string{". \x7c\x85\x88\x80", "M \x7c\x45\x01"}, []string{idr}, 0},
		{"FU-A that is begin and end (CostarHD)", sdpH264, []string{"M \x7c\xc5\x88\x80\x01"}, []string{idr}, 0},
		{"start codes within", sdpH264, []string{"M \x00\x00\x00\x01\x09\xf0\x00\x00\x01" + idr}, []string{"\x09\xf0|" + idr}, 0},
		{"no picture", sdpH264, []string{"M \x09\xf0", "M " + idr}, []string{idr}, 0},
		{"cut STAP-A", sdpH264, []string{"M " + idr, "M \x78\x00\x09\x09", "M " + idr}, []string{idr, idr}, 1},
		{"FU-A without begin", sdpH264, []string{"M " + idr, ". \x7c\x05\x88", "M \x7c\x45\x01", "M " + idr}, []string{idr, idr}, 1},
		{"FU-A without end", sdpH264, []string{". \x7c\x85\x88\x80", "M \x7c\x05\x01", "M " + idr}, []string{idr}, 0},
		{"a middle is lost", sdpH264, []string{"M " + idr, ". \x7c\x85\x88", "-", "M \x7c\x45\x01", "M \x41\x9a\x01", "M " + idr}, []string{idr, idr}, 0},
		{"the end and the next begin are lost", sdpH264, []string{"M " + idr, ". \x7c\x85\x88", "-", "M \x65\x08\x01", "M " + idr}, []string{idr, idr}, 0},
		{"the next begin is lost", sdpH264, []string{"M " + idr, "-", "M \x65\x08\x01", "M " + idr}, []string{idr, idr}, 0},
		{"STAP-B", sdpH264, []string{"M " + idr, "M \x79\x00\x00\x00", "M " + idr}, []string{idr, idr}, 1},
		{"AAC, two in a packet", sdpAAC, []string{"M \x00\x20\x00\x10\x00\x18ababc"}, []string{"ab", "abc"}, 0},
		{"AAC, fragment sizes instead of the whole", sdpAAC, []string{". \x00\x10\x20\x00" + kilo, "M \x00\x10\x00\x10bb"}, []string{kilo + "bb"}, 0},
		{"recovery point instead of IDR", sdpH264, []string{". \x06\x06\x01\xc4\x80", "M \x41\x9a"}, []string{"\x06\x06\x01\xc4\x80|\x41\x9a"}, 0},
		{"recovery only after pictures", sdpH264, []string{". \x06\x06\x01\x24\x80", "M \x41\x9a"}, nil, 0},
		{"AAC, no marker", sdpAAC, []string{". \x00\x10\x00\x10ab", ". \x00\x10\x00\x10cd"}, []string{"ab", "cd"}, 0},
		{"AAC, headers longer than the packet", sdpAAC, []string{"M \xff\xff\x00\x10ab", "M \x00\x10\x00\x10ab"}, []string{"ab"}, 1},
		{"AAC, no headers", sdpAAC, []string{"M \x00\x00\x00\x10ab"}, nil, 1},
		{"AAC, unit of no size (gortsplib#542)", sdpAAC, []string{"M \x00\x10\x00\x00", "M \x00\x10\x00\x10ab"}, []string{"ab"}, 1},
		{"AAC, second unit beyond the end", sdpAAC, []string{"M \x00\x20\x00\x10\x0f\xf8abc"}, []string{"ab"}, 1},
		{"AAC with ADTS header", sdpAAC, []string{"M \x00\x10\x00\x48\xff\xf1\x4c\x80\x01\x3f\xfcab"}, []string{"ab"}, 0},
		{"VP9, empty", sdpVP9, []string{"M \x00"}, nil, 1},
		{"VP9, scalability structure beyond the end", sdpVP9, []string{"M \x0a\xff\xff", "M \x02\xf8"}, nil, 2},
		{"JPEG, middle only", sdpJPEG, []string{". \x00\x00\x10\x00\x01\x32\x08\x08aa", "M \x00\x00\x20\x00\x01\x32\x08\x08aa"}, nil, 0},
		{"JPEG, no quantization", sdpJPEG, []string{"M \x00\x00\x00\x00\x01\x00\x08\x08aa"}, nil, 1},
	} {
		units, r, errs := in(t, tc.sdp, tc.parts...)
		var got []string
		for _, u := range units {
			got = append(got, string(bytes.Join(u.Data, []byte("|"))))
		}
		if strings.Join(got, "&") != strings.Join(tc.want, "&") || errs != tc.errs {
			t.Errorf("%s: %d errors, want %d:\n got %x\nwant %x\n%+v", tc.name, errs, tc.errs, got, tc.want, r.Stats())
		}
	}
}

// TestUnitWithoutEnd: what never ends takes a bounded amount of memory, and the stream goes on.
func TestUnitWithoutEnd(t *testing.T) {
	many := strings.Repeat("\xf1", 60_000)
	h265 := "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n"
	klv := "m=application 0 RTP/AVP 96\na=rtpmap:96 smpte336m/90000\n"
	for name, tc := range map[string]struct{ sdp, first, more string }{
		"H264":   {sdpH264, ". \x7c\x85" + many, ". \x7c\x05" + many},
		"NALs":   {sdpH264, ". \x41\x9a" + many, ". \x41\x1a" + many},
		"H265":   {h265, ". \x62\x01\x93" + many, ". \x62\x01\x13" + many},
		"AAC":    {sdpAAC, ". \x00\x10\xff\xf8" + many, ". \x00\x10\xff\xf8" + many},
		"AV1":    {"m=video 0 RTP/AVP 96\na=rtpmap:96 AV1/90000\n", ". \x50\x30" + many, ". \xd0" + many},
		"VP8":    {"m=video 0 RTP/AVP 96\na=rtpmap:96 VP8/90000\n", ". \x10" + many, ". \x00" + many},
		"VP9":    {sdpVP9, ". \x08" + many, ". \x00" + many},
		"KLV":    {klv, ". \x06\x0e\x2b\x34" + many, ". " + many},
		"LATM":   {"m=audio 0 RTP/AVP 96\na=rtpmap:96 MP4A-LATM/90000\n", ". " + many, ". " + many},
		"Opaque": {"m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\n", ". " + many, ". " + many},
	} {
		parts := []string{tc.first}
		for range 400 { // 24 MB
			parts = append(parts, tc.more)
		}
		units, r, _ := in(t, tc.sdp, parts...)
		for _, u := range units {
			if u.Size() > unitMax {
				t.Errorf("%s: a unit of %d bytes", name, u.Size())
			}
		}
		held := 0
		switch a := r.parts.(type) {
		case *nalAssembler:
			held = cap(a.buf)
		case *aacAssembler:
			held = cap(a.buf)
		case *library:
			held = a.pending
		}
		if held > 2*unitMax {
			t.Errorf("%s: %d bytes are kept", name, held)
		}
	}
}
