package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/protocol/rtsp"
	"github.com/vigil-media/vigil/internal/sim"
)

// Publisher publishes what an encoder of sim makes, and can vanish. One goroutine writes; the other methods may be called by any.
type Publisher struct {
	tcp   *net.TCPConn
	to    encoder
	enc   *sim.Encoder
	ended chan struct{} // closed when the server has closed the connection, or the publisher itself

	mu   sync.Mutex
	said bytes.Buffer // what the server has said since it let the publisher in, up to saidMax
}

const saidMax = 64 << 10

// encoder is a client that has been let in, by its protocol.
type encoder interface {
	write(u *av.AccessUnit) error
	unpublish() error // as encoders do that mean it
}

// Publish takes the target's stream, over RTMP or RTSP, or the same with TLS. It returns when the server has let the publisher in; a
// refusal is one that Refused knows.
func Publish(ctx context.Context, t Target, w Way, o sim.Options) (*Publisher, error) {
	var d net.Dialer
	plain, err := d.DialContext(ctx, "tcp", t.address(w))
	if err != nil {
		return nil, fmt.Errorf("publish over %s: %w", w, err)
	}
	tcp, _ := plain.(*net.TCPConn) // of "tcp"
	return publishOn(ctx, tcp, plain, t, w, o)
}

// PublishOn takes the target's stream over RTMP on a connection of the caller's, who ends it as he likes.
func PublishOn(ctx context.Context, tcp *net.TCPConn, t Target, o sim.Options) (*Publisher, error) {
	return publishOn(ctx, tcp, tcp, t, RTMP, o)
}

func publishOn(ctx context.Context, tcp *net.TCPConn, conn net.Conn, t Target, w Way, o sim.Options) (*Publisher, error) {
	if w.secure() {
		secure := tls.Client(conn, t.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("publish over %s: %w", w, err), conn.Close())
		}
		conn = secure
	}
	p := &Publisher{tcp: tcp, enc: sim.New(o), ended: make(chan struct{})}
	var err error
	if w == RTSP || w == RTSPS {
		p.to, err = announce(ctx, conn, t, p.enc)
	} else {
		p.to, err = connectFlash(ctx, conn, t, p.enc)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go p.listen(conn)
	return p, nil
}

// flashEncoder publishes by RTMP.
type flashEncoder struct {
	client *rtmp.Client
	sent   map[int]*av.Track // whose configuration has been sent, by ID
}

// connectFlash is let in by RTMP.
func connectFlash(ctx context.Context, conn net.Conn, t Target, e *sim.Encoder) (encoder, error) {
	c, err := rtmp.NewClient(ctx, conn, &url.URL{Scheme: "rtmp", Host: "vigil.test", Path: "/" + t.Live}, false)
	if err != nil {
		return nil, err
	}
	if err = c.Publish(ctx); err == nil {
		err = c.WriteTag(flv.Tag{Type: flv.ScriptTag, Body: metadata(e)})
	}
	return &flashEncoder{c, map[int]*av.Track{}}, err
}

func metadata(e *sim.Encoder) []byte {
	var video, audio *av.Track
	for _, t := range e.Tracks() {
		if t.Kind() == av.Video {
			video = t
		} else {
			audio = t
		}
	}
	return flv.Enhanced.AppendMetadata(nil, video, audio)
}

func (f *flashEncoder) write(u *av.AccessUnit) error {
	ms, typ := flv.Milliseconds(u.DTS), flv.TypeFor(u.Track.Kind())
	if f.sent[u.Track.ID] != u.Track {
		f.sent[u.Track.ID] = u.Track
		if b := flv.Enhanced.AppendConfig(nil, u.Track); len(b) > 0 {
			if err := f.client.WriteTag(flv.Tag{Type: typ, Time: ms, Body: b}); err != nil {
				return err
			}
		}
	}
	return f.client.WriteTag(flv.Tag{Type: typ, Time: ms, Body: flv.Enhanced.AppendUnit(nil, u)})
}

func (f *flashEncoder) unpublish() error { return f.client.Unpublish() }

// camera publishes by RTSP.
type camera struct{ client *rtsp.Client }

// announce is let in by RTSP.
func announce(ctx context.Context, conn net.Conn, t Target, e *sim.Encoder) (encoder, error) {
	c := rtsp.NewClient(conn, &url.URL{Scheme: "rtsp", Host: "vigil.test", Path: "/" + t.Live})
	return camera{c}, c.Publish(ctx, e.Tracks())
}

func (c camera) write(u *av.AccessUnit) error { return c.client.WriteUnit(u) }

func (c camera) unpublish() error { return c.client.Teardown() }

// listen keeps the beginning of what the server says.
func (p *Publisher) listen(conn net.Conn) {
	defer close(p.ended)
	b := make([]byte, 4<<10)
	for {
		n, err := conn.Read(b)
		p.mu.Lock()
		p.said.Write(b[:min(n, saidMax-p.said.Len())])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Ended is closed when the connection is closed, by either side.
func (p *Publisher) Ended() <-chan struct{} { return p.ended }

var statusCode = regexp.MustCompile(`NetStream\.Publish\.(BadName|BadAuth|Failed)`)

// Told is the status with which the server has ended a publisher over RTMP, or "" if it has said nothing of the kind.
func (p *Publisher) Told() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(statusCode.Find(p.said.Bytes()))
}

// Next sends the next unit.
func (p *Publisher) Next() error { return p.to.write(p.enc.Next()) }

// Encode sends units at the speed of their stamps until ctx ends, which is no error.
func (p *Publisher) Encode(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var first *time.Duration
	for start := time.Now(); ; {
		u := p.enc.Next()
		if first == nil {
			first = &u.DTS
		}
		timer.Reset(u.DTS - *first - time.Since(start))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		if err := p.to.write(u); err != nil {
			return err
		}
	}
}

// Vanish makes the publisher deaf: it neither acknowledges nor resets any more (F-HALF).
func (p *Publisher) Vanish() error { return deafen(p.tcp) }

// Return makes a publisher that has vanished hear again.
func (p *Publisher) Return() error { return undeafen(p.tcp) }

// Unpublish ends publishing as encoders do that mean it, and closes the connection.
func (p *Publisher) Unpublish() error {
	err := p.to.unpublish()
	if half := p.tcp.CloseWrite(); !errors.Is(half, syscall.ENOTCONN) { // the server may have closed it already
		err = errors.Join(err, half)
	}
	return err
}

// UnpublishReset says that it is done and breaks the connection in the same moment.
func (p *Publisher) UnpublishReset() error { return errors.Join(p.to.unpublish(), p.Reset()) }

// Reset breaks the connection with RST, Close with FIN.
func (p *Publisher) Reset() error { return errors.Join(p.tcp.SetLinger(0), p.tcp.Close()) }

// Close closes the connection without a word.
func (p *Publisher) Close() error { return p.tcp.Close() }

// Address is the publisher's own end of the connection.
func (p *Publisher) Address() string { return p.tcp.LocalAddr().String() }

// Refused says whether err is an orderly refusal to publish, and not a connection that broke.
func Refused(err error) bool {
	_, flash := errors.AsType[*rtmp.StatusError](err)
	_, camera := errors.AsType[*rtsp.StatusError](err)
	return flash || camera
}

// Insist is an encoder that asks for the target's stream until it is let in, and begins again some time after each refusal (S02, S04). It
// returns how long that took from its first attempt, and how many attempts it needed.
func Insist(ctx context.Context, t Target, w Way, o sim.Options, every time.Duration) (p *Publisher, took time.Duration, attempts int, err error) {
	begin := time.Now()
	for attempts = 1; ; attempts++ {
		at := time.Now()
		if p, err = Publish(ctx, t, w, o); err == nil {
			return p, time.Since(begin), attempts, nil
		}
		select {
		case <-time.After(every - time.Since(at)):
		case <-ctx.Done():
			return nil, time.Since(begin), attempts, fmt.Errorf("never let in: %w", err)
		}
	}
}

// Again is an encoder that wants a key that is taken, and asks for it again and again until ctx ends (L01, S07). It returns how often
// it was refused, and the longest that an answer took. An error means that it was let in, or was not answered.
func Again(ctx context.Context, t Target, every time.Duration) (refused int, longest time.Duration, err error) {
	for tick := time.NewTicker(every); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return refused, longest, nil
		}
		at := time.Now()
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeLimit) // the last one is answered too
		p, err := Publish(attempt, t, RTMP, sim.Options{Video: av.H264})
		cancel()
		took := time.Since(at)
		switch {
		case err == nil:
			return refused, longest, errors.Join(fmt.Errorf("%s: a second publisher was let in", t.Live), p.Reset())
		case !Refused(err):
			return refused, longest, fmt.Errorf("%s: no answer: %w", t.Live, err)
		}
		refused++
		longest = max(longest, took)
	}
}

// stepConn writes a number of times, and then breaks.
type stepConn struct {
	cutConn
	steps int // that are left
}

// Write implements net.Conn.
func (c *stepConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	if c.steps--; c.steps == 0 && err == nil {
		return n, errCut
	}
	return n, err
}

// Abort begins to publish the target's stream, and stops after as many messages as step says: by the break, at once after it (S11). It
// returns the connection, which is open if it is deaf or silent, and false when the exchange was over before the step.
func Abort(ctx context.Context, t Target, step int, how Break) (held io.Closer, reached bool, err error) {
	var d net.Dialer
	plain, err := d.DialContext(ctx, "tcp", t.RTMP)
	if err != nil {
		return nil, false, err
	}
	tcp, _ := plain.(*net.TCPConn) // of "tcp"
	c := &stepConn{cutConn: cutConn{TCPConn: tcp, how: how, writing: true}, steps: step}
	err = exchange(ctx, keepOpen{c}, t)
	if !errors.Is(err, errCut) {
		return tcp, false, errors.Join(err, tcp.Close())
	}
	if how == Silent {
		return tcp, true, nil
	}
	c.cut()
	return tcp, true, c.err
}

// keepOpen leaves it to Abort how a connection ends.
type keepOpen struct{ *stepConn }

// Close implements net.Conn.
func (keepOpen) Close() error { return nil }

// exchange is all that there is to a short publication, up to its third picture.
func exchange(ctx context.Context, conn net.Conn, t Target) error {
	p := &Publisher{enc: sim.New(sim.Options{Video: av.H264})}
	var err error
	if p.to, err = connectFlash(ctx, conn, t, p.enc); err != nil {
		return err
	}
	for range 3 {
		if err = p.Next(); err != nil {
			return err
		}
	}
	return p.to.unpublish()
}
