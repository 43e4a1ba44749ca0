package rtp

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/jpeg"
)

// JPEG markers (ITU-T T.81, table B.1).
const (
	markSOF0, markDHT, markSOI, markSOS, markDQT, markDRI = 0xc0, 0xc4, 0xd8, 0xda, 0xdb, 0xdd
	markAPP0, markAPP15, markCOM                          = 0xe0, 0xef, 0xfe
	jpegSideMax                                           = 2040 // pixels (RFC 2435, 3.1.5)
)

// jpegSegments goes through the segments before the picture's data, until f returns false. It says whether the data begins
// where it should.
func jpegSegments(b []byte, f func(marker byte, body []byte) bool) bool {
	if len(b) < 4 || b[0] != 0xff || b[1] != markSOI {
		return false
	}
	for b = b[2:]; len(b) >= 4; {
		size := int(binary.BigEndian.Uint16(b[2:]))
		if b[0] != 0xff || size < 2 || size+2 > len(b) || !f(b[1], b[4:2+size]) {
			return false
		}
		if b[1] == markSOS {
			return len(b) > 2+size
		}
		b = b[2+size:]
	}
	return false
}

// jpegSize returns a picture's width and height.
func jpegSize(b []byte) (width, height int, ok bool) {
	ok = jpegSegments(b, func(marker byte, body []byte) bool {
		if marker >= markSOF0 && marker <= 0xcf && marker != markDHT && marker != 0xc8 && marker != 0xcc && len(body) >= 5 {
			height, width = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
		}
		return true
	})
	return width, height, ok && width > 0 && height > 0
}

// jpegFits says whether RTP has a form for a picture (RFC 2435, 3.1 and 4.1): gortsplib's encoder panics otherwise.
func jpegFits(b []byte) bool {
	frame, tables := false, 0
	return jpegSegments(b, func(marker byte, body []byte) bool {
		switch marker {
		case markSOF0:
			var s jpeg.StartOfFrame1
			frame = s.Unmarshal(body) == nil && s.Width > 0 && s.Height > 0 && s.Width%8 == 0 && s.Height%8 == 0 &&
				s.Width <= jpegSideMax && s.Height <= jpegSideMax
			return frame
		case markDQT:
			var q jpeg.DefineQuantizationTable
			err := q.Unmarshal(body)
			tables += len(q.Tables)
			return err == nil && tables <= 4
		case markDRI:
			return new(jpeg.DefineRestartInterval).Unmarshal(body) == nil
		case markSOS:
			return frame && tables > 0 && new(jpeg.StartOfScan).Unmarshal(body) == nil
		case markDHT, markCOM:
			return true
		}
		return marker >= markAPP0 && marker <= markAPP15
	})
}
