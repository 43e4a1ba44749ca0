package httplive

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		r := room()
		r.Play, r.Codes = playHTTP, conformance.Codes{NotFound: "404", Denied: "403"}
		conformance.Run(t, r)
	})
	t.Run("websocket", func(t *testing.T) {
		r := room()
		r.Play, r.Codes = playSocket, conformance.Codes{NotFound: "4404", Denied: "4403"}
		conformance.Run(t, r)
	})
}

func room() conformance.Room {
	modern := []av.Codec{av.AC3, av.FLAC} // without a number
	legacy := slices.DeleteFunc(slices.Clone(Protocol().Play), func(c av.Codec) bool { return slices.Contains(modern, c) })
	return conformance.Room{
		Protocol: Protocol(), Listener: "HTTP",
		Forms: []conformance.Form{
			{Name: "enhanced", Codecs: Protocol().Play},
			{Name: "legacy", Settings: []string{"httplive.form=legacy"}, Codecs: legacy},
		},
		Code: func(err error) string {
			if code, ok := errors.AsType[codeError](err); ok {
				return strconv.Itoa(code.code)
			}
			return ""
		},
		Hello: []byte("GET /live/x.live.flv HTTP/1.1\r\nHost: test\r\n\r\n"),
	}
}

// codeError is an HTTP status, or the code of a close frame.
type codeError struct {
	code   int
	reason string
}

func (e codeError) Error() string { return fmt.Sprint(e.code, " ", e.reason) }

func target(v conformance.Visit) string {
	u := "/" + v.Path + suffixFLV
	if v.Query != "" {
		u += "?" + v.Query
	}
	return u
}

// dial connects and has all reading and writing end with ctx, until done is called.
func dial(ctx context.Context, h *conformance.House) (conn net.Conn, done func(), err error) {
	if conn, err = h.Dial(ctx, "HTTP"); err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() { stop() }, nil
}

// playback reads FLV from a body or from messages. It implements conformance.Playback.
type playback struct {
	conn    net.Conn
	tags    *flv.Reader
	demuxer flv.Demuxer
	units   []*av.AccessUnit
}

func (p *playback) Conn() net.Conn { return p.conn }

func (p *playback) Read() (*av.AccessUnit, error) {
	for len(p.units) == 0 {
		tag, err := p.tags.Read()
		if err != nil {
			return nil, err
		}
		units, err := p.demuxer.Demux(tag)
		if err != nil {
			return nil, err
		}
		p.units = append(p.units, units...)
	}
	u := p.units[0]
	p.units = p.units[1:]
	return u, nil
}

func playHTTP(ctx context.Context, v conformance.Visit) (conformance.Playback, error) {
	conn, done, err := dial(ctx, v.House)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\nUser-Agent: conformance\r\n\r\n", target(v)); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // it lives as long as conn
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		return nil, codeError{resp.StatusCode, string(b)}
	}
	return &playback{conn: conn, tags: flv.NewReader(resp.Body, flv.BodyMax)}, nil
}

func playSocket(ctx context.Context, v conformance.Visit) (conformance.Playback, error) {
	conn, done, err := dial(ctx, v.House)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := shake(conn, target(v))
	if err != nil {
		return nil, err
	}
	if s.message, err = s.next(); err != nil { // the first message, or why there is none
		return nil, err
	}
	return &playback{conn: conn, tags: flv.NewReader(s, flv.BodyMax)}, nil
}

// socket is the client's end of a WebSocket. It reads the payloads of all binary messages, one after the other.
type socket struct {
	conn    net.Conn
	in      *bufio.Reader
	message []byte
	pongs   [][]byte
}

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455, 1.3

// shake opens a WebSocket.
func shake(conn net.Conn, target string) (*socket, error) {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", target, sampleKey)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, in: bufio.NewReader(conn)}
	resp, err := http.ReadResponse(s.in, nil) //nolint:bodyclose // there is none
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		b, _ := io.ReadAll(resp.Body)
		return nil, codeError{resp.StatusCode, string(b)}
	}
	if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		return nil, fmt.Errorf("accepted with %q", got)
	}
	return s, nil
}

// next returns the payload of the next binary message. A close frame is a codeError, a normal one io.EOF.
func (s *socket) next() ([]byte, error) {
	for {
		op, payload, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opBinary:
			return payload, nil
		case opPong:
			s.pongs = append(s.pongs, payload)
			if len(payload) == 0 {
				return nil, nil
			}
		case opClose:
			if len(payload) < 2 {
				return nil, fmt.Errorf("close frame of %d bytes", len(payload))
			}
			e := codeError{int(binary.BigEndian.Uint16(payload)), string(payload[2:])}
			if e.code == closeNormal {
				return nil, io.EOF
			}
			return nil, e
		default:
			return nil, fmt.Errorf("frame with opcode %#x", op)
		}
	}
}

// frame reads a frame of the server: in one piece and not masked.
func (s *socket) frame() (op byte, payload []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(s.in, h[:]); err != nil {
		return 0, nil, fmt.Errorf("without a close frame: %w", err)
	}
	if h[0]&0xf0 != finBit || h[1]&maskBit != 0 {
		return 0, nil, fmt.Errorf("frame begins with % x", h)
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(s.in, b[:])
		if n = uint64(binary.BigEndian.Uint16(b[:])); n <= controlMax {
			return 0, nil, fmt.Errorf("%d bytes in a long frame", n)
		}
	case 127:
		var b [8]byte
		_, err = io.ReadFull(s.in, b[:])
		if n = binary.BigEndian.Uint64(b[:]); n < 1<<16 {
			return 0, nil, fmt.Errorf("%d bytes in a very long frame", n)
		}
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(s.in, payload)
	return h[0] & 0x0f, payload, err
}

func (s *socket) Read(p []byte) (int, error) {
	for len(s.message) == 0 {
		var err error
		if s.message, err = s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.message)
	s.message = s.message[n:]
	return n, nil
}

// send writes a frame as a client must: masked.
func (s *socket) send(head byte, payload []byte) error {
	b := masked(head, payload)
	_, err := s.conn.Write(b)
	return err
}

func masked(head byte, payload []byte) []byte {
	b := appendFrameHeader(nil, 0, len(payload))
	b[0] = head
	b[1] |= maskBit
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	return b
}
