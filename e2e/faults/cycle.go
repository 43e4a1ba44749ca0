package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/sim"
)

// Target is the server that is harmed.
type Target struct {
	RTMP, HTTP   string      // addresses
	RTMPS, HTTPS string      // the same with TLS, if there are any
	TLS          *tls.Config // of a client that trusts the server
	Live         string      // app/name of a stream that is being published all the time
}

// Cycle is one session that is cut off somewhere (R01).
type Cycle struct {
	Kind  string // what it is about
	How   Break
	Bytes int // after which it is cut: those that it writes, or, when it plays, those that it reads
}

// Bytes that go by before a session of each kind is in full swing, and a bit.
const (
	writeMost = 12_000
	readMost  = 12_000
	timeLimit = 8 * time.Second
)

// NewCycle draws a cycle. One in fifty vanishes without a word.
func NewCycle(r *rand.Rand) Cycle {
	kinds := [...]string{"publish", "play over RTMP", "play over HTTP", "publish", "play over RTMP", "play nothing"}
	c := Cycle{Kind: kinds[r.IntN(len(kinds))], How: Break(r.IntN(2))}
	if r.IntN(50) == 0 {
		c.How = Deaf
	}
	if c.Kind == "play over RTMP" || c.Kind == "play over HTTP" {
		c.Bytes = 1 + r.IntN(readMost)
	} else {
		c.Bytes = 1 + r.IntN(writeMost)
	}
	return c
}

// Run does it. The connection that it returns is open if it has become deaf: close it when the server must have noticed.
// An error means that the server did not play along although nothing was wrong yet.
func (c Cycle) Run(ctx context.Context, t Target, name string) (io.Closer, error) {
	address := t.RTMP
	if c.Kind == "play over HTTP" {
		address = t.HTTP
	}
	var d net.Dialer
	plain, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Kind, err)
	}
	tcp, _ := plain.(*net.TCPConn) // of "tcp"
	conn := &cutConn{TCPConn: tcp, how: c.How, left: c.Bytes, writing: c.Kind == "publish" || c.Kind == "play nothing"}
	if err = conn.SetDeadline(time.Now().Add(timeLimit)); err != nil {
		return nil, err
	}
	switch c.Kind {
	case "publish":
		err = publish(ctx, conn, &url.URL{Scheme: "rtmp", Host: t.RTMP, Path: "/live/" + name})
	case "play nothing":
		err = play(ctx, conn, &url.URL{Scheme: "rtmp", Host: t.RTMP, Path: "/live/" + name})
	case "play over RTMP":
		err = play(ctx, conn, &url.URL{Scheme: "rtmp", Host: t.RTMP, Path: "/" + t.Live})
	default:
		err = get(conn, t)
	}
	if conn.broken() || c.Kind == "play nothing" { // which is refused after a while, if it is not cut before
		err = nil
	}
	closeErr := conn.Close()
	return tcp, errors.Join(err, closeErr)
}

// publish publishes until it is cut.
func publish(ctx context.Context, conn net.Conn, u *url.URL) error {
	c, err := rtmp.NewClient(ctx, conn, u, false)
	if err != nil {
		return err
	}
	if err := c.Publish(ctx); err != nil {
		return err
	}
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
	for _, t := range e.Tracks() {
		if err := c.WriteTag(flv.Tag{Type: flv.TypeFor(t.Kind()), Body: flv.Enhanced.AppendConfig(nil, t)}); err != nil {
			return err
		}
	}
	for {
		u := e.Next()
		tag := flv.Tag{Type: flv.TypeFor(u.Track.Kind()), Time: flv.Milliseconds(u.DTS), Body: flv.Enhanced.AppendUnit(nil, u)}
		if err := c.WriteTag(tag); err != nil {
			return err
		}
	}
}

// play plays until it is cut.
func play(ctx context.Context, conn net.Conn, u *url.URL) error {
	c, err := rtmp.NewClient(ctx, conn, u, true)
	if err != nil {
		return err
	}
	if err := c.Play(ctx); err != nil {
		return err
	}
	for {
		if _, err := c.ReadTag(); err != nil {
			return err
		}
	}
}

// get plays over HTTP until it is cut.
func get(conn net.Conn, t Target) error {
	if _, err := fmt.Fprintf(conn, "GET /%s.live.flv HTTP/1.1\r\nHost: %s\r\n\r\n", t.Live, t.HTTP); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, struct{ io.Reader }{conn}) // not past Read, by the connection's WriteTo
	return err
}
