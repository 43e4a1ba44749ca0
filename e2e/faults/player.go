package faults

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
)

// Way is how a player is played to.
type Way string

// The ways.
const (
	RTMP  Way = "RTMP"
	RTMPS Way = "RTMPS"
	HTTP  Way = "HTTP-FLV"
	HTTPS Way = "HTTPS-FLV"
	WS    Way = "WS-FLV"
	WSS   Way = "WSS-FLV"
)

// Player has asked to be played to. How it goes on is its owner's choice: one that never reads stalls (Q06, N01; F-ZWIN).
type Player struct {
	conn   net.Conn
	client *rtmp.Client                // of RTMP
	read   func() (flv.Tag, error)     // of what comes next
	begin  func(p *Player) (err error) // reads what comes before the first tag; nil: that has been done
}

// Play connects and asks for the target's stream. A narrow player has hardly any room for what comes. Of HTTP, the
// answer is not read before the first tag is.
func Play(ctx context.Context, t Target, w Way, narrow bool) (*Player, error) {
	address := map[Way]string{RTMP: t.RTMP, RTMPS: t.RTMPS, HTTP: t.HTTP, WS: t.HTTP, HTTPS: t.HTTPS, WSS: t.HTTPS}[w]
	var d net.Dialer
	if narrow {
		d.Control = smallWindow
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w, err)
	}
	if w == RTMPS || w == HTTPS || w == WSS {
		secure := tls.Client(conn, t.TLS)
		if err = secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", w, err), conn.Close())
		}
		conn = secure
	}
	p := &Player{conn: conn}
	if w == RTMP || w == RTMPS {
		err = p.playRTMP(ctx, &url.URL{Scheme: "rtmp", Host: address, Path: "/" + t.Live})
	} else {
		err = p.ask(t, w == WS || w == WSS)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", w, err), conn.Close())
	}
	return p, nil
}

func (p *Player) playRTMP(ctx context.Context, u *url.URL) error {
	c, err := rtmp.NewClient(ctx, p.conn, u, false)
	if err != nil {
		return err
	}
	p.client, p.read = c, c.ReadTag
	return c.Play(ctx)
}

// ask sends the request of HTTP.
func (p *Player) ask(t Target, socket bool) error {
	status, more := http.StatusOK, ""
	if socket {
		status = http.StatusSwitchingProtocols
		more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	}
	p.begin = func(p *Player) error {
		in := bufio.NewReader(p.conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if res.StatusCode != status {
			return errors.Join(fmt.Errorf("the answer is %s", res.Status), res.Body.Close())
		}
		var body io.Reader = res.Body
		if socket {
			body = &frames{in: in}
		}
		p.read = flv.NewReader(body, flv.BodyMax).Read
		return nil
	}
	_, err := fmt.Fprintf(p.conn, "GET /%s.live.flv HTTP/1.1\r\nHost: vigil.test\r\n%s\r\n", t.Live, more)
	return err
}

// ReadTag returns the next media, or io.EOF at the end of the stream.
func (p *Player) ReadTag() (flv.Tag, error) {
	if p.begin != nil {
		err := p.begin(p)
		p.begin = nil
		if err != nil {
			return flv.Tag{}, err
		}
	}
	return p.read()
}

// Discard reads to the end of the connection and throws away what comes.
func (p *Player) Discard() error {
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{p.conn}, make([]byte, 4<<10)) // not by their own ways
	return err
}

// errNoRTMP is for what only players over RTMP can do.
var errNoRTMP = errors.New("not over RTMP")

// Pause has the server stop, or go on.
func (p *Player) Pause(on bool) error {
	if p.client == nil {
		return errNoRTMP
	}
	_, err := p.conn.Write(message(3, 20, amf.Append(nil, "pause", 0, nil, on, 0)))
	return err
}

// Reset breaks the connection.
func (p *Player) Reset() error {
	conn := p.conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	tcp, _ := conn.(*net.TCPConn) // of "tcp"
	return errors.Join(tcp.SetLinger(0), tcp.Close())
}

// Close closes the connection without a word.
func (p *Player) Close() error { return p.conn.Close() }

// frames is what the frames of a WebSocket carry, one after the other.
type frames struct {
	in   *bufio.Reader
	left int // of the frame
}

// Opcodes and lengths (RFC 6455, 5.2).
const (
	opBinary = 2
	opClose  = 8
	length16 = 126
	length64 = 127
)

// Read implements io.Reader.
func (f *frames) Read(b []byte) (int, error) {
	for f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n, err := f.in.Read(b[:min(len(b), f.left)])
	f.left -= n
	return n, err
}

// next reads the header of a frame, and past those that carry no media.
func (f *frames) next() error {
	var h [2]byte
	if _, err := io.ReadFull(f.in, h[:]); err != nil {
		return err
	}
	size := uint64(h[1] & 0x7f)
	long := map[uint64]int{length16: 2, length64: 8}[size]
	if long > 0 {
		var b [8]byte
		if _, err := io.ReadFull(f.in, b[8-long:]); err != nil {
			return err
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	switch h[0] & 0x0f {
	case opBinary:
		f.left = int(size) //nolint:gosec // what is too long fails as media
		return nil
	case opClose:
		return io.EOF
	}
	_, err := f.in.Discard(int(size)) //nolint:gosec // a control frame is short
	return err
}
