package handshake

import (
	"errors"
	"fmt"
	"io"
)

// Version is the only version of the protocol that is spoken here: plain RTMP.
const Version = 3

const (
	packetSize = 1536 // C1, C2, S1 and S2
	helloSize  = 1 + packetSize
	answerSize = 1 + 2*packetSize
)

// Server greets a client: it reads C0 and C1, answers as the client's kind of handshake wants it, and reads C2.
// It returns what kind that was. Random bytes are taken from random.
func Server(rw io.ReadWriter, random io.Reader) (Kind, error) {
	hello := make([]byte, helloSize)
	if err := readHello(rw, hello, "C0 and C1"); err != nil {
		return Simple, err
	}
	c1 := hello[1:]
	answer := make([]byte, answerSize)
	answer[0] = Version
	s1, s2 := answer[1:helloSize], answer[helloSize:]
	if err := fillRandom(random, s1[8:]); err != nil {
		return Simple, err
	}

	kind, proof := findDigest(c1, clientKey)
	if kind == Simple {
		copy(s2, c1)
	} else {
		copy(s1[4:8], serverVersion)
		sign(s1, kind, serverKey)
		if err := fillRandom(random, s2[:packetSize-digestSize]); err != nil {
			return kind, err
		}
		seal(s2, serverKeyLong, proof)
	}

	if _, err := rw.Write(answer); err != nil {
		return kind, fmt.Errorf("handshake: write S0, S1 and S2: %w", err)
	}
	return kind, readFull(rw, c1, 0, "C2") // over C1, which was answered
}

// Client greets a server with the given kind of handshake and returns the kind in which the server answered, which
// is Simple if it does not know digests. Random bytes are taken from random.
func Client(rw io.ReadWriter, random io.Reader, kind Kind) (Kind, error) {
	hello := make([]byte, helloSize)
	hello[0] = Version
	c1 := hello[1:]
	if err := fillRandom(random, c1[8:]); err != nil {
		return Simple, err
	}
	if kind != Simple {
		copy(c1[4:8], clientVersion)
		sign(c1, kind, clientKey)
	}
	if _, err := rw.Write(hello); err != nil {
		return Simple, fmt.Errorf("handshake: write C0 and C1: %w", err)
	}

	answer := make([]byte, answerSize)
	if err := readHello(rw, answer, "S0, S1 and S2"); err != nil {
		return Simple, err
	}
	c2 := answer[1:helloSize] // S1, to be echoed
	answered := Simple
	if kind != Simple {
		var proof []byte
		if answered, proof = findDigest(c2, serverKey); answered != Simple {
			c2 = c1
			if err := fillRandom(random, c2[:packetSize-digestSize]); err != nil {
				return answered, err
			}
			seal(c2, clientKeyLong, proof)
		}
	}
	if _, err := rw.Write(c2); err != nil {
		return answered, fmt.Errorf("handshake: write C2: %w", err)
	}
	return answered, nil
}

// readHello fills b, the first that the peer sends, and looks at the version in front as soon as it is there: who
// speaks another protocol would not send the rest.
func readHello(r io.Reader, b []byte, what string) error {
	n, err := io.ReadAtLeast(r, b, 1)
	if err != nil {
		return fmt.Errorf("handshake: read %s: %w", what, err)
	}
	if b[0] != Version {
		return &VersionError{Version: b[0]}
	}
	return readFull(r, b, n, what)
}

// readFull fills b, of which n bytes are there.
func readFull(r io.Reader, b []byte, n int, what string) error {
	m, err := io.ReadFull(r, b[n:])
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("handshake: read %s: %d of %d bytes: %w", what, n+m, len(b), err)
	}
	return nil
}

func fillRandom(random io.Reader, b []byte) error {
	if _, err := io.ReadFull(random, b); err != nil {
		return fmt.Errorf("handshake: random bytes: %w", err)
	}
	return nil
}

// VersionError says that the peer does not speak plain RTMP.
type VersionError struct {
	Version byte // the first byte that the peer sent
}

// Error implements error. It says what the peer seems to speak, for those who read the log.
func (e *VersionError) Error() string {
	return fmt.Sprintf("handshake: first byte 0x%02X at offset 0 is not version 3: %s", e.Version, e.peer())
}

// peer guesses what begins with the byte.
func (e *VersionError) peer() string {
	switch v := e.Version; {
	case v == 0x16:
		return "the peer speaks TLS (RTMPS or HTTPS)"
	case v == 6 || v == 8 || v == 9:
		return "the peer wants encrypted RTMP (RTMPE)"
	case v < 32:
		return "an unknown version of RTMP, or another protocol"
	case v == 'S':
		return "the peer speaks text (SSH, or a SETUP request?)"
	case v >= 'A' && v <= 'Z':
		return fmt.Sprintf("the peer speaks text that begins with %q (HTTP or RTSP?)", v)
	default:
		return "another protocol"
	}
}
