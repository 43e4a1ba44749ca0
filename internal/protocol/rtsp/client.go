package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

const clientTimeout = 10 * time.Second // for the peer to answer a request

// StatusError is a refusal by the peer.
type StatusError struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *StatusError) Error() string { return strconv.Itoa(e.Code) + " " + e.Reason }

// Client is the other side of a session: it publishes to a server or plays from one. One goroutine writes and one reads at a time.
type Client struct {
	conn    net.Conn
	in      *wire.Reader
	url     string // without user and password
	user    *url.Userinfo
	login   *auth.Sender
	cseq    int
	session string

	lanes  []rtp.Lane
	packer *rtp.Packer
	sent   []*av.Track // that the packer has been told of
	out    []byte      // scratch
	udp    *clientPorts

	receivers map[byte]clientLane
	began     time.Time
	units     []*av.AccessUnit
	byes      int
	over      bool // by UDP: all byes have come
}

// clientLane is a media that is played.
type clientLane struct {
	*rtp.Receiver
	control bool
}

// NewClient returns a client that talks to a server on conn, which it then owns, about the stream of u ("rtsp://host/app/name?query").
func NewClient(conn net.Conn, u *url.URL) *Client {
	plain := *u
	plain.User = nil
	return &Client{
		conn: conn, in: wire.NewReader(conn, wire.Limits{}, publishBuffer), url: plain.String(), user: u.User,
		began: time.Now(), receivers: map[byte]clientLane{},
	}
}

// UDP has the client send and receive media by UDP, to the host that it is connected to. Call it before Publish or Play; Close closes the
// sockets.
func (c *Client) UDP() { c.udp = &clientPorts{} }

// bounded runs fn with a deadline, and interrupts it when ctx ends.
func (c *Client) bounded(ctx context.Context, fn func() error) error {
	if err := c.conn.SetDeadline(time.Now().Add(clientTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	err := fn()
	if !stop() && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return c.conn.SetDeadline(time.Time{})
}

// Request sends a request about a URL, the stream's if that is empty, and waits for its answer. Any status but 200 is a *StatusError.
func (c *Client) Request(method base.Method, to string, header base.Header, body []byte) (*base.Response, error) {
	r, err := c.exchange(method, to, header, body)
	if err != nil || r.StatusCode != base.StatusUnauthorized || c.user == nil || c.login != nil {
		return checked(r, err)
	}
	password, _ := c.user.Password()
	c.login = &auth.Sender{WWWAuth: r.Header["WWW-Authenticate"], User: c.user.Username(), Pass: password}
	if err = c.login.Initialize(); err != nil {
		return nil, err
	}
	return checked(c.exchange(method, to, header, body))
}

func checked(r *base.Response, err error) (*base.Response, error) {
	if err == nil && r.StatusCode != base.StatusOK {
		return r, &StatusError{int(r.StatusCode), r.StatusMessage}
	}
	return r, err
}

func (c *Client) exchange(method base.Method, to string, header base.Header, body []byte) (*base.Response, error) {
	if err := c.Send(method, to, header, body); err != nil {
		return nil, err
	}
	for {
		it, err := c.in.Read()
		if err != nil {
			return nil, err
		}
		if it.Response != nil && it.Response.Header["CSeq"] != nil && it.Response.Header["CSeq"][0] == strconv.Itoa(c.cseq) {
			return it.Response, nil
		}
		if it.Frame != nil {
			if err := c.frame(it.Channel, it.Frame); err != nil {
				return nil, err
			}
		}
	}
}

// Send sends a request and does not wait for the answer.
func (c *Client) Send(method base.Method, to string, header base.Header, body []byte) error {
	if to == "" {
		to = c.url
	}
	c.cseq++
	h := base.Header{"CSeq": {strconv.Itoa(c.cseq)}, "User-Agent": {"Vigil"}}
	maps.Copy(h, header)
	if c.session != "" {
		h["Session"] = base.HeaderValue{c.session}
	}
	if c.login != nil {
		if u, err := base.ParseURL(to); err == nil {
			signed := &base.Request{Method: method, URL: u, Header: h}
			c.login.AddAuthorization(signed)
		}
	}
	_, err := c.conn.Write(wire.AppendRequest(nil, &wire.Request{Method: method, URL: to, Header: h, Body: body}))
	return err
}

// setup asks for one media, on the channels 2i and 2i+1, or on ports.
func (c *Client) setup(i int, to string, record bool) error {
	t := wire.Transport{TCP: true, Channels: [2]int{2 * i, 2*i + 1}, Record: record}
	if c.udp != nil {
		ports, err := c.udp.open(c.conn)
		if err != nil {
			return err
		}
		t = wire.Transport{Ports: ports, Record: record}
	}
	r, err := c.Request(base.Setup, to, base.Header{"Transport": {string(wire.AppendTransport(nil, t))}}, nil)
	if err != nil {
		return err
	}
	c.session = wire.SessionID(r.Header["Session"])
	if c.udp == nil {
		return nil
	}
	answers, err := wire.ParseTransports(r.Header["Transport"])
	if err != nil {
		return err
	}
	c.udp.agree(answers[0].ServerPorts)
	return nil
}

// Publish asks to publish tracks: all that there will be. A refusal is a *StatusError.
func (c *Client) Publish(ctx context.Context, tracks []*av.Track) error {
	var medias []rtp.Media
	for i, m := range lanes(tracks) {
		medias = append(medias, rtp.Media{Kind: m.lane.Track.Kind(), Control: control(i), Format: m.lane.Format})
		c.lanes = append(c.lanes, m.lane)
	}
	c.packer = rtp.NewPacker(c.lanes, rtp.PackerOptions{Start: time.Now()})
	err := c.bounded(ctx, func() error {
		header := base.Header{"Content-Type": {"application/sdp"}}
		if _, err := c.Request(base.Announce, "", header, rtp.AppendSDP(nil, "test", medias)); err != nil {
			return err
		}
		for i := range medias {
			if err := c.setup(i, c.mediaURL(control(i)), true); err != nil {
				return err
			}
		}
		_, err := c.Request(base.Record, "", nil, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("rtsp client: publish %s: %w", c.url, err)
	}
	return nil
}

func (c *Client) mediaURL(control string) string {
	return strings.TrimRight(c.url, "/") + "/" + control
}

// WriteUnit sends a unit. Units of tracks that were not announced are left out.
func (c *Client) WriteUnit(u *av.AccessUnit) error {
	tracks := make([]*av.Track, 0, len(c.lanes))
	for i := range c.lanes {
		if c.lanes[i].Track.ID == u.Track.ID {
			c.lanes[i].Track = u.Track
		}
		tracks = append(tracks, c.lanes[i].Track)
	}
	c.out = c.out[:0]
	if c.sent == nil {
		c.out = c.packer.Config(c.out, tracks, nil, u.DTS)
	}
	c.sent = tracks
	c.out = c.packer.Unit(c.out, tracks, u)
	if c.udp != nil {
		return c.udp.send(c.out)
	}
	_, err := c.conn.Write(c.out)
	return err
}

// Play asks to play. A refusal is a *StatusError.
func (c *Client) Play(ctx context.Context) error {
	err := c.bounded(ctx, func() error {
		r, err := c.Request(base.Describe, "", base.Header{"Accept": {"application/sdp"}}, nil)
		if err != nil {
			return err
		}
		d, err := rtp.ParseSDP(r.Body)
		if err != nil {
			return err
		}
		clock := new(rtp.Clock)
		for i, m := range number(d.Medias) {
			if !m.usable() {
				continue
			}
			if err = c.setup(i, c.mediaURL(m.Control), false); err != nil {
				return err
			}
			o := rtp.Options{}
			if c.udp != nil {
				o = rtp.Options{Window: reorderWindow, Hold: 50 * time.Millisecond}
			}
			receiver := rtp.NewReceiver(m.id, m.Format, clock, o)
			c.receivers[byte(2*i)] = clientLane{receiver, false}  //nolint:gosec // there are few
			c.receivers[byte(2*i+1)] = clientLane{receiver, true} //nolint:gosec // the same
		}
		_, err = c.Request(base.Play, "", base.Header{"Range": {"npt=now-"}}, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("rtsp client: play %s: %w", c.url, err)
	}
	return nil
}

// ReadUnit returns the next unit, or io.EOF at the end of the stream.
func (c *Client) ReadUnit() (*av.AccessUnit, error) {
	for len(c.units) == 0 {
		if c.udp != nil {
			if err := c.datagram(); err != nil {
				return nil, err
			}
			continue
		}
		it, err := c.in.Read()
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return nil, err
		}
		if it.Frame == nil {
			continue
		}
		if err = c.frame(it.Channel, it.Frame); err != nil {
			return nil, err
		}
	}
	u := c.units[0]
	c.units = c.units[1:]
	return u, nil
}

// datagram takes what comes next by UDP. A goodbye may overtake media, since it comes to another port.
func (c *Client) datagram() error {
	if c.over {
		return io.EOF
	}
	err := c.udp.read(c.frame)
	if errors.Is(err, io.EOF) {
		c.over = true
		err = c.udp.drain(c.frame)
	}
	return err
}

// frame takes a packet.
func (c *Client) frame(channel byte, b []byte) error {
	l := c.receivers[channel]
	if l.Receiver == nil {
		return nil
	}
	at := time.Since(c.began)
	if !l.control {
		return l.Packet(b, at, func(u *av.AccessUnit) error {
			c.units = append(c.units, u)
			return nil
		})
	}
	bye, err := l.Control(b, at)
	if bye {
		if c.byes++; c.byes == len(c.receivers)/2 {
			return io.EOF
		}
	}
	return err
}

// AppendReport appends the receiver reports of what is played, by the channels on which they go.
func (c *Client) AppendReport(dst []byte) []byte {
	for channel, l := range c.receivers {
		if l.control {
			dst = wire.AppendFrame(dst, channel, l.AppendReport(nil, time.Since(c.began)))
		}
	}
	return dst
}

// Teardown ends publishing or playing as peers do that mean to. It does not wait for the answer.
func (c *Client) Teardown() error { return c.Send(base.Teardown, "", nil, nil) }

// Listen reads what the server says to a publisher, until the connection ends; it returns why.
func (c *Client) Listen() error {
	for {
		if _, err := c.in.Read(); err != nil {
			return err
		}
	}
}

// Conn is the client's connection: for deadlines, and for breaking it.
func (c *Client) Conn() net.Conn { return c.conn }

// Close closes the connection without a word.
func (c *Client) Close() error {
	if c.udp != nil {
		c.udp.close()
	}
	return c.conn.Close()
}

// clientPorts are the sockets of a client that sends or receives by UDP: a pair for each media.
type clientPorts struct {
	pairs [][2]*net.UDPConn
	to    [][2]netip.AddrPort
	host  netip.Addr
	b     [datagramMax]byte
}

// open opens a pair of ports for one more media.
func (p *clientPorts) open(conn net.Conn) (ports [2]int, err error) {
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return ports, err
	}
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return ports, err
	}
	p.host = remote.Addr()
	var pair [2]*net.UDPConn
	for i := range pair {
		pair[i], err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 0))) //nolint:forbidigo // a client's, which no limit of the server is for
		if err != nil {
			return ports, err
		}
		_ = pair[i].SetReadBuffer(4 << 20) // less will do, too
		ports[i] = pair[i].LocalAddr().(*net.UDPAddr).Port
	}
	p.pairs = append(p.pairs, pair)
	return ports, nil
}

// agree notes where the server hears the newest media, or sends it from.
func (p *clientPorts) agree(server [2]int) {
	p.to = append(p.to, [2]netip.AddrPort{
		netip.AddrPortFrom(p.host, uint16(server[0])), netip.AddrPortFrom(p.host, uint16(server[1])), //nolint:gosec // wire has checked them
	})
}

// send sends frames, each as a datagram.
func (p *clientPorts) send(frames []byte) error {
	for len(frames) >= wire.FrameHead {
		n := wire.FrameHead + int(frames[2])<<8 + int(frames[3])
		media, kind := frames[1]/2, frames[1]%2
		if _, err := p.pairs[media][kind].WriteToUDPAddrPort(frames[wire.FrameHead:n], p.to[media][kind]); err != nil {
			return err
		}
		frames = frames[n:]
	}
	return nil
}

// read takes one datagram of any of the medias, first those that tell what time it is. It waits for 10 s at the most.
func (p *clientPorts) read(take func(channel byte, b []byte) error) error {
	limit := time.Now().Add(clientTimeout)
	for time.Now().Before(limit) {
		for i, pair := range p.pairs {
			for kind, conn := range slices.Backward(pair[:]) {
				_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
				n, _, err := conn.ReadFromUDPAddrPort(p.b[:])
				if err == nil {
					return take(byte(2*i+kind), p.b[:n]) //nolint:gosec // there are few
				}
				if errors.Is(err, net.ErrClosed) {
					return err
				}
			}
		}
	}
	return context.DeadlineExceeded
}

// drain takes the media that have come already.
func (p *clientPorts) drain(take func(channel byte, b []byte) error) error {
	for i, pair := range p.pairs {
		for {
			_ = pair[0].SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			n, _, err := pair[0].ReadFromUDPAddrPort(p.b[:])
			if err != nil {
				break // there is no more
			}
			if err := take(byte(2*i), p.b[:n]); err != nil { //nolint:gosec // there are few
				return err
			}
		}
	}
	return nil
}

func (p *clientPorts) close() {
	for _, pair := range p.pairs {
		for _, c := range pair {
			_ = c.Close() // nothing can be done about it
		}
	}
}
