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
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/container/mpegts"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	for _, k := range kinds {
		for _, w := range []struct {
			name string
			ws   bool
			conformance.Codes
		}{
			{k.http, false, conformance.Codes{NotFound: "404", Denied: "403"}},
			{k.socket, true, conformance.Codes{NotFound: "4404", Denied: "4403"}},
		} {
			t.Run(w.name, func(t *testing.T) {
				r := k.room
				r.Protocol, r.Listener, r.Codes, r.Code = Protocol(), "HTTP", w.Codes, codeOf
				r.Hello = []byte("GET /live/x" + k.suffix + " HTTP/1.1\r\nHost: test\r\n\r\n")
				r.Play = func(ctx context.Context, v conformance.Visit) (conformance.Playback, error) {
					return k.play(ctx, v, w.ws)
				}
				conformance.Run(t, r)
			})
		}
	}
}

// kind is a format and what its viewers make of it.
type kind struct {
	*format
	room conformance.Room // what the suite is to know of it
	read func(io.Reader) func() ([]*av.AccessUnit, error)
}

var kinds = func() []kind {
	both := []av.Codec{av.H264, av.H265, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3, av.AC3}
	legacy := []av.Codec{av.H264, av.H265, av.AV1, av.VP8, av.VP9, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3}
	modern := append(slices.Clone(legacy), av.AC3, av.FLAC) // which have no number
	all := formats(flv.Enhanced)
	return []kind{
		{all[0], conformance.Room{Forms: []conformance.Form{
			{Name: "enhanced", Codecs: modern},
			{Name: "legacy", Settings: []string{"httplive.form=legacy"}, Codecs: legacy},
		}}, readFLV},
		{all[1], conformance.Room{
			Forms: []conformance.Form{{Name: "ts", Codecs: both}},
			Tick:  time.Second / mpegts.Rate, Decodes: true,
		}, readTS},
		{all[2], conformance.Room{
			Forms: []conformance.Form{{Name: "fmp4", Codecs: append(slices.Clone(both), av.AV1, av.VP9, av.FLAC)}},
			Tick:  time.Second / 8000, Decodes: true, Told: true,
		}, readMP4},
	}
}()

func codeOf(err error) string {
	if code, ok := errors.AsType[codeError](err); ok {
		return strconv.Itoa(code.code)
	}
	return ""
}

// codeError is an HTTP status, or the code of a close frame.
type codeError struct {
	code   int
	reason string
}

func (e codeError) Error() string { return fmt.Sprint(e.code, " ", e.reason) }

func (k kind) target(v conformance.Visit) string {
	u := "/" + v.Path + k.suffix
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

// readFLV reads tags.
func readFLV(r io.Reader) func() ([]*av.AccessUnit, error) {
	tags, demuxer := flv.NewReader(r, flv.BodyMax), flv.Demuxer{}
	return func() ([]*av.AccessUnit, error) {
		tag, err := tags.Read()
		if err != nil {
			return nil, err
		}
		return demuxer.Demux(tag)
	}
}

// readTS reads packets.
func readTS(r io.Reader) func() ([]*av.AccessUnit, error) {
	var demuxer mpegts.Demuxer
	buffer := make([]byte, 8<<10)
	return func() (units []*av.AccessUnit, err error) {
		n, err := r.Read(buffer)
		if n == 0 {
			return nil, err
		}
		return units, demuxer.Push(buffer[:n], func(u *av.AccessUnit) error {
			units = append(units, u)
			return nil
		})
	}
}

// readMP4 reads boxes.
func readMP4(r io.Reader) func() ([]*av.AccessUnit, error) {
	var demuxer fmp4.Demuxer
	buffer := make([]byte, 8<<10)
	return func() ([]*av.AccessUnit, error) {
		n, err := r.Read(buffer)
		if n == 0 {
			return nil, err
		}
		return demuxer.Demux(buffer[:n])
	}
}

// playback reads units from a body or from messages. It implements conformance.Playback.
type playback struct {
	conn  net.Conn
	read  func() ([]*av.AccessUnit, error)
	units []*av.AccessUnit
}

func (p *playback) Conn() net.Conn { return p.conn }

func (p *playback) Read() (*av.AccessUnit, error) {
	for len(p.units) == 0 {
		units, err := p.read()
		if err != nil && !errors.Is(err, mpegts.ErrLost) { // a viewer that jumps sees that packets are missing
			return nil, err
		}
		p.units = append(p.units, units...)
	}
	u := p.units[0]
	p.units = p.units[1:]
	return u, nil
}

// play is the driver of a format.
func (k kind) play(ctx context.Context, v conformance.Visit, ws bool) (conformance.Playback, error) {
	conn, done, err := dial(ctx, v.House)
	if err != nil {
		return nil, err
	}
	defer done()
	var body io.Reader
	if ws {
		body, err = k.openSocket(conn, v)
	} else {
		body, err = k.openBody(conn, v)
	}
	if err != nil {
		return nil, err
	}
	return &playback{conn: conn, read: k.read(body)}, nil
}

func (k kind) openBody(conn net.Conn, v conformance.Visit) (io.Reader, error) {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\nUser-Agent: conformance\r\n\r\n", k.target(v))
	if err != nil {
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
	return resp.Body, nil
}

func (k kind) openSocket(conn net.Conn, v conformance.Visit) (io.Reader, error) {
	s, err := shake(conn, k.target(v))
	if err != nil {
		return nil, err
	}
	s.message, err = s.next() // the first message, or why there is none
	return s, err
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
