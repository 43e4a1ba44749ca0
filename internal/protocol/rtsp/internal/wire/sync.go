package wire

import (
	"bytes"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// A verdict is what the bytes at a place begin.
type verdict int

const (
	undecided verdict = iota // more bytes are needed
	stray                    // nothing
	frame                    // an interleaved frame
	message                  // a request or a response
)

const (
	frameHead    = 4  // '$', channel, length of 2 bytes (RFC 2326, 10.12)
	channelsMax  = 32 // channels from there on are not plausible where frames and something else are mixed up
	frameMin     = 8  // bytes of the shortest RTCP packet; RTP has 12 at least
	rtpVersion   = 2  // in the two upper bits of RTP's and RTCP's first byte
	responseMark = "RTSP/"
)

// begins says what b begins, at a place where a message is expected: any frame will do, and any method.
func begins(b []byte) verdict {
	switch {
	case len(b) == 0:
		return undecided
	case b[0] == '$':
		return frame
	case response(b) != stray:
		return response(b)
	}
	word, whole := readWord(b)
	switch {
	case whole && (isKnown(base.Method(bytes.ToUpper(word))) || isUpper(word)):
		return message
	case whole || len(word) < len(b) || len(word) > methodMax:
		return stray
	default:
		return undecided
	}
}

// resumes says what b begins, where no message was expected: only what can hardly be anything else.
func resumes(b []byte) verdict {
	switch {
	case len(b) == 0:
		return undecided
	case b[0] == '$':
		return resumesFrame(b)
	case response(b) != stray:
		return response(b)
	}
	word, whole := readWord(b)
	switch {
	case whole && isKnown(base.Method(word)):
		return message
	case whole || len(word) < len(b) || len(word) > methodMax || !isUpper(word):
		return stray
	default:
		return undecided
	}
}

// resumesFrame says whether a frame of RTP or RTCP is at b, as early as that can be said.
func resumesFrame(b []byte) verdict {
	switch {
	case len(b) > 1 && b[1] >= channelsMax,
		len(b) > 3 && int(b[2])<<8|int(b[3]) < frameMin,
		len(b) > 4 && b[4]>>6 != rtpVersion:
		return stray
	case len(b) > 4:
		return frame
	default:
		return undecided
	}
}

// response says whether b begins with a response.
func response(b []byte) verdict {
	n := min(len(b), len(responseMark))
	switch {
	case string(b[:n]) != responseMark[:n]:
		return stray
	case n < len(responseMark):
		return undecided
	default:
		return message
	}
}

// readWord returns the letters at the beginning of b, and whether a blank follows them.
func readWord(b []byte) (word []byte, whole bool) {
	n := 0
	for n < len(b) && n <= methodMax && (isLetter(b[n]) || n > 0 && (b[n] == '_' || b[n] == '-')) {
		n++
	}
	return b[:n], n > 0 && n <= methodMax && n < len(b) && b[n] == ' '
}

func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }

func isUpper(word []byte) bool {
	for _, c := range word {
		if 'a' <= c && c <= 'z' {
			return false
		}
	}
	return true
}
