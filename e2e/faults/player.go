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
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/protocol/rtsp"
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
	RTSP  Way = "RTSP" // over TCP
	RTSPS Way = "RTSPS"

	TS     Way = "HTTP-TS"
	TSS    Way = "HTTPS-TS"
	MP4    Way = "HTTP-fMP4"
	WSTS   Way = "WS-TS"
	WSMP4  Way = "WS-fMP4"
	WSSMP4 Way = "WSS-fMP4"
)

// form is what is there by HTTP: the end of the path, and what reads it.
type form struct {
	suffix string
	reader func(io.Reader) func() ([]*av.AccessUnit, error)
	socket bool // it comes in the messages of a WebSocket
}

// formOf returns the form of a way that goes by HTTP.
func formOf(w Way) form {
	f := form{".live.flv", readFLV, false}
	switch w { //nolint:exhaustive // the others are FLV
	case TS, TSS, WSTS:
		f = form{".live.ts", readTS, false}
	case MP4, WSMP4, WSSMP4:
		f = form{".live.mp4", readMP4, false}
	}
	f.socket = strings.HasPrefix(string(w), "WS")
	return f
}

// Player has asked to be played to. How it goes on is its owner's choice: one that never reads stalls (Q06, N01; F-ZWIN).
type Player struct {
	conn   net.Conn
	tcp    *net.TCPConn                // under it
	client *rtmp.Client                // of RTMP
	camera *rtsp.Client                // of RTSP
	begin  func(p *Player) (err error) // reads what comes before the media; nil: that has been done
	read   func() ([]*av.AccessUnit, error)
}

// Play connects and asks for the target's stream. A narrow player has hardly any room for what comes. Of HTTP, the
// answer is not read before the first tag is.
func Play(ctx context.Context, t Target, w Way, narrow bool) (*Player, error) {
	return playAt(ctx, t, w, narrow, nil)
}

// PlaySlowly is Play for a player that reads no more than a number of bytes a second, which may change; 0 is no limit (Q06, N08).
func PlaySlowly(ctx context.Context, t Target, w Way, rate *atomic.Int64) (*Player, error) {
	return playAt(ctx, t, w, true, rate)
}

func playAt(ctx context.Context, t Target, w Way, narrow bool, rate *atomic.Int64) (*Player, error) {
	var d net.Dialer
	if narrow {
		d.Control = smallWindow
	}
	conn, err := d.DialContext(ctx, "tcp", t.address(w))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w, err)
	}
	tcp, _ := conn.(*net.TCPConn) // of "tcp"
	if rate != nil {
		conn = &slowConn{Conn: conn, rate: rate}
	}
	return playOn(ctx, tcp, conn, t, w)
}

// address is where one plays.
func (t *Target) address(w Way) string {
	switch w {
	case RTMP:
		return t.RTMP
	case RTMPS:
		return t.RTMPS
	case RTSP:
		return t.RTSP
	case RTSPS:
		return t.RTSPS
	case HTTPS, WSS, TSS, WSSMP4:
		return t.HTTPS
	case HTTP, WS, TS, MP4, WSTS, WSMP4:
	}
	return t.HTTP
}

// secure says whether there is TLS under it.
func (w Way) secure() bool {
	return slices.Contains([]Way{RTMPS, HTTPS, WSS, RTSPS, TSS, WSSMP4}, w)
}

// OutOfStep says that pictures and sound may come in another order than they were sent: a large picture has no length in a transport stream, and
// is complete when the next one begins; and our reader of MP4 puts what it finds at a time in the order of decoding.
func (w Way) OutOfStep() bool { return slices.Contains([]Way{TS, TSS, WSTS, MP4, WSMP4, WSSMP4}, w) }

func playOn(ctx context.Context, tcp *net.TCPConn, conn net.Conn, t Target, w Way) (*Player, error) {
	var err error
	if w.secure() {
		secure := tls.Client(conn, t.TLS)
		if err = secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", w, err), conn.Close())
		}
		conn = secure
	}
	p := &Player{conn: conn, tcp: tcp}
	switch w { //nolint:exhaustive // the others are HTTP
	case RTMP, RTMPS:
		err = p.playRTMP(ctx, &url.URL{Scheme: "rtmp", Host: t.address(w), Path: "/" + t.Live})
	case RTSP, RTSPS:
		p.camera = rtsp.NewClient(conn, &url.URL{Scheme: "rtsp", Host: t.address(w), Path: "/" + t.Live})
		err = p.camera.Play(ctx)
	default:
		err = p.ask(t, formOf(w))
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
	p.client, p.read = c, demux(c.ReadTag)
	return c.Play(ctx)
}

// ask sends the request of HTTP.
func (p *Player) ask(t Target, f form) error {
	status, more := http.StatusOK, ""
	if f.socket {
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
		if f.socket {
			body = &frames{in: in}
		}
		p.read = f.reader(body)
		return nil
	}
	_, err := fmt.Fprintf(p.conn, "GET /%s%s HTTP/1.1\r\nHost: vigil.test\r\n%s\r\n", t.Live, f.suffix, more)
	return err
}

// Read returns the next units, which may be none, or io.EOF at the end of the stream.
func (p *Player) Read() ([]*av.AccessUnit, error) {
	if p.camera != nil {
		u, err := p.camera.ReadUnit()
		return []*av.AccessUnit{u}, err
	}
	if p.begin != nil {
		err := p.begin(p)
		p.begin = nil
		if err != nil {
			return nil, err
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
func (p *Player) Reset() error { return errors.Join(p.tcp.SetLinger(0), p.tcp.Close()) }

// Vanish makes the player deaf: it neither acknowledges nor resets any more (F-HALF).
func (p *Player) Vanish() error { return deafen(p.tcp) }

// Address is the player's own end of the connection.
func (p *Player) Address() string { return p.tcp.LocalAddr().String() }

// Drop closes the connection without the farewell of TLS.
func (p *Player) Drop() error { return p.tcp.Close() }

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

// slowConn reads no more than a rate: every tenth of a second, a tenth of it.
type slowConn struct {
	net.Conn
	rate *atomic.Int64 // bytes a second; 0: no limit
	left int           // of the present tenth
	next time.Time     // when the next one begins
}

// Read implements net.Conn.
func (c *slowConn) Read(b []byte) (int, error) {
	const span = 100 * time.Millisecond
	rate := c.rate.Load()
	if rate == 0 {
		return c.Conn.Read(b)
	}
	if c.left <= 0 {
		time.Sleep(time.Until(c.next)) // a tenth of a second at the most
		c.left, c.next = int(rate/int64(time.Second/span)), time.Now().Add(span)
	}
	n, err := c.Conn.Read(b[:min(len(b), max(c.left, 1))])
	c.left -= n
	return n, err
}
