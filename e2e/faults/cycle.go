package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// Target is the server that is harmed.
type Target struct {
	RTMP, HTTP, RTSP    string      // addresses
	RTMPS, HTTPS, RTSPS string      // the same with TLS, if there are any
	TLS                 *tls.Config // of a client that trusts the server
	Live                string      // app/name of a stream that is being published all the time
}

// Cycle is one session that is cut off somewhere (R01).
type Cycle struct {
	Kind  Kind
	Over  Way
	How   Break
	Bytes int // after which it is cut: those that it writes, or, when it plays, those that it reads
}

// Kind is what a cycle is about.
type Kind string

// The kinds.
const (
	PublishAndCut Kind = "publish"
	PlayAndCut    Kind = "play"
	WaitAndCut    Kind = "play what nobody publishes"
)

// Bytes that go by before a session of each kind is in full swing, and a bit.
const (
	writeMost = 12_000
	readMost  = 12_000
	timeLimit = 8 * time.Second
)

// againLimit is how long a publisher that comes back may have to wait for its key: as long as a challenge, and a bit.
const againLimit = 4 * time.Second

// NewCycle draws a cycle for a target. One in fifty vanishes without a word.
func NewCycle(r *rand.Rand, t Target) Cycle {
	kinds := [...]Kind{PublishAndCut, PlayAndCut, PlayAndCut, PublishAndCut, PlayAndCut, WaitAndCut}
	c := Cycle{Kind: kinds[r.IntN(len(kinds))], How: Break(r.IntN(2))}
	plain, secure := []Way{RTMP, HTTP, WS, RTSP, TS, MP4, WSTS, WSMP4}, []Way{RTMPS, HTTPS, WSS, RTSPS, TSS, WSSMP4}
	most := readMost
	if c.Kind != PlayAndCut {
		plain, secure, most = []Way{RTMP, RTSP}, []Way{RTMPS, RTSPS}, writeMost
	}
	if c.Over = plain[r.IntN(len(plain))]; t.RTMPS != "" && r.IntN(3) == 0 {
		c.Over = secure[r.IntN(len(secure))]
	}
	if r.IntN(50) == 0 {
		c.How = Deaf
	}
	c.Bytes = 1 + r.IntN(most)
	return c
}

// Run does it, and publishes the key of a publisher once more, which must be let in. The connection that it returns is open if it has
// become deaf: close it when the server must have noticed. An error means that the server did not play along although nothing was
// wrong yet, or any more.
func (c Cycle) Run(ctx context.Context, t Target, name string) (io.Closer, error) {
	var d net.Dialer
	plain, err := d.DialContext(ctx, "tcp", t.address(c.Over))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Kind, err)
	}
	tcp, _ := plain.(*net.TCPConn) // of "tcp"
	conn := &cutConn{TCPConn: tcp, how: c.How, left: c.Bytes, writing: c.Kind != PlayAndCut}
	if err = conn.SetDeadline(time.Now().Add(timeLimit)); err != nil {
		return nil, err
	}
	if c.Kind != PlayAndCut {
		t.Live = "live/" + name
	}
	if c.Kind == PublishAndCut {
		err = publish(ctx, conn, t, c.Over)
	} else {
		err = play(ctx, conn, t, c.Over)
	}
	if conn.broken() || c.Kind == WaitAndCut { // which is refused after a while, if it is not cut before
		err = nil
	}
	err = errors.Join(err, conn.Close())
	if err == nil && c.Kind == PublishAndCut {
		err = publishAgain(ctx, t, c.Over)
	}
	return tcp, err
}

// publish publishes until it is cut.
func publish(ctx context.Context, conn *cutConn, t Target, w Way) error {
	p, err := publishOn(ctx, conn.TCPConn, conn, t, w, sim.Options{Video: av.H264, Audio: av.AAC})
	for err == nil {
		err = p.Next()
	}
	if p != nil && conn.how != Deaf {
		defer func() { <-p.Ended() }() // a cut ends it
	}
	return errors.Join(err, conn.Close())
}

// publishAgain publishes a key that has just been given up, however that was, and means its end.
func publishAgain(ctx context.Context, t Target, w Way) error {
	ctx, cancel := context.WithTimeout(ctx, againLimit)
	defer cancel()
	p, took, attempts, err := Insist(ctx, t, w, sim.Options{Video: av.H264}, 100*time.Millisecond)
	if err != nil {
		return fmt.Errorf("publish again: after %d attempts in %v: %w", attempts, took, err)
	}
	for range 3 {
		err = errors.Join(err, p.Next())
	}
	return errors.Join(err, p.Unpublish(), p.Close())
}

// play plays until it is cut.
func play(ctx context.Context, conn *cutConn, t Target, w Way) error {
	p, err := playOn(ctx, conn.TCPConn, conn, t, w)
	for err == nil {
		_, err = p.Read()
	}
	return err
}
