package rtp

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// fuzzFormats are one of each kind of payload.
var fuzzFormats = []string{
	sdpH264, "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\n", "m=video 0 RTP/AVP 96\na=rtpmap:96 AV1/90000\n",
	"m=video 0 RTP/AVP 96\na=rtpmap:96 VP8/90000\n", sdpVP9, sdpJPEG, sdpAAC,
	"m=audio 0 RTP/AVP 96\na=rtpmap:96 MP4A-LATM/90000\n", "m=audio 0 RTP/AVP 96\na=rtpmap:96 MP4A-LATM/44100\na=fmtp:96 cpresent=0;config=40002410\n",
	"m=audio 0 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n", "m=audio 0 RTP/AVP 8\n", "m=audio 0 RTP/AVP 9\n", "m=audio 0 RTP/AVP 10\n", "m=audio 0 RTP/AVP 14\n",
	"m=audio 0 RTP/AVP 96\na=rtpmap:96 AC3/48000/2\n", "m=application 0 RTP/AVP 96\na=rtpmap:96 SMPTE336M/90000\n",
	"m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\n",
	"m=audio 0 RTP/AVP 96\na=rtpmap:96 mpeg4-generic/8000\na=fmtp:96 sizelength=1;indexlength=0;indexdeltalength=0;config=1588\n",
}

// FuzzReceiver gives any packets to a receiver of any format: no panic, units that hold what they say and keep what they have,
// pictures that are decoded before they are shown, memory in proportion. Units go through a packer too.
func FuzzReceiver(f *testing.F) {
	for i, sdp := range fuzzFormats {
		f.Add(byte(i), byte(i%3*4), []byte("\x00\x08\x80\x60\x00\x01\x00\x00\x00\x00"))
		for _, c := range av.Codecs() {
			if c == av.KLV || c == av.Opaque || c == av.MJPEG || c == av.FLAC {
				continue
			}
			o := sim.Options{Video: c, GOP: 2, KeySize: 2000}
			if c.Kind() == av.Audio {
				o = sim.Options{Audio: c}
			}
			e := sim.New(o)
			d, err := ParseSDP([]byte(sdp))
			if err != nil {
				f.Fatal(err)
			}
			if d.Medias[0].Format.codec != c {
				continue
			}
			var all []byte
			_, packets := packetsOf(f, e.Tracks()[0], e.Take(4))
			for _, b := range packets {
				b[1] = b[1]&0x80 | d.Medias[0].Format.typ
				all = append(binary.BigEndian.AppendUint16(all, uint16(len(b))), b...)
			}
			f.Add(byte(i), byte(8), all)
		}
	}
	f.Fuzz(func(t *testing.T, which, window byte, b []byte) {
		d, err := ParseSDP([]byte(fuzzFormats[int(which)%len(fuzzFormats)]))
		if err != nil {
			t.Fatal(err)
		}
		r := NewReceiver(1, d.Medias[0].Format, new(Clock), Options{Window: int(window), Hold: 20 * time.Millisecond})
		var got []*av.AccessUnit
		var copies [][]byte
		held := 0
		emit := func(u *av.AccessUnit) error {
			got = append(got, u)
			copies = append(copies, bytes.Join(u.Data, nil))
			held += u.Held
			return nil
		}
		size := len(b)
		now := time.Duration(0)
		for len(b) > 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			lent := bytes.Clone(b[2 : 2+n])
			b = b[2+n:]
			_ = r.Packet(lent, now, emit)
			for i := range lent {
				lent[i] = 0xdd
			}
			now += 5 * time.Millisecond
		}
		if err := r.Expire(now+time.Second, emit); err != nil {
			_ = err // about a packet
		}
		r.AppendReport(nil, now)
		if limit := 64*size + len(got)*2048 + 1<<16; held > limit {
			t.Fatalf("%d bytes make units of %d", size, held)
		}
		check(t, got, copies)
	})
}

// check judges the units, and packs them.
func check(t *testing.T, got []*av.AccessUnit, copies [][]byte) {
	t.Helper()
	var p *Packer
	for i, u := range got {
		switch {
		case u.Track == nil || len(u.Data) == 0 || u.Size() == 0:
			t.Fatalf("unit %d: %+v", i, u)
		case u.DTS > u.PTS:
			t.Fatalf("unit %d: DTS %v PTS %v", i, u.DTS, u.PTS)
		case !bytes.Equal(bytes.Join(u.Data, nil), copies[i]):
			t.Fatalf("unit %d changed after it was emitted", i)
		case u.Held < u.Size():
			t.Fatalf("unit %d of %d bytes holds %d", i, u.Size(), u.Held)
		}
		if p == nil || p.Err() != nil {
			format, err := FormatOf(u.Track, 97)
			if err != nil {
				t.Fatal(err)
			}
			p = NewPacker([]Lane{{Format: format, Track: u.Track}}, PackerOptions{Random: counting()})
		}
		frames(t, p.Unit(nil, []*av.Track{u.Track}, u))
	}
}
