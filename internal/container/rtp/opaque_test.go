package rtp

import (
	"strings"
	"testing"
)

// What is said of a media that is passed on as it is comes out whole, or the media is left out: Vorbis has several KiB of it.
func TestOpaqueParameters(t *testing.T) {
	for size, whole := range map[int]bool{100: true, 5000: true, fmtpMax - 14: true, fmtpMax: false} {
		fmtp := "configuration=" + strings.Repeat("A", size)
		d, err := ParseSDP([]byte("m=audio 0 RTP/AVP 96\r\na=rtpmap:96 vorbis/48000/2\r\na=fmtp:96 " + fmtp + "\r\n" +
			"m=audio 0 RTP/AVP 0\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		m := d.Medias[0]
		switch {
		case whole != (m.Err == nil):
			t.Errorf("%d bytes: %v", size, m.Err)
		case whole && string(m.Format.Track(1).Config) != fmtp:
			t.Errorf("%d bytes: cut to %d", size, len(m.Format.Track(1).Config))
		}
	}
}
