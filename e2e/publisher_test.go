package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/sim"
)

// dial opens an RTMP client to a URL.
func dial(t testing.TB, rawURL string) *rtmp.Client {
	t.Helper()
	c, err := tryDial(t.Context(), rawURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func tryDial(ctx context.Context, rawURL string) (*rtmp.Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	return rtmp.NewClient(ctx, conn, u, false)
}

// publisher publishes units that a test has made.
type publisher struct {
	t    testing.TB
	c    *rtmp.Client
	form flv.Form
	sent map[int]*av.Track // whose configuration has been sent, by ID
}

// publish takes live/name and tells which tracks will come.
func publish(t testing.TB, s *server, name string, form flv.Form, video, audio *av.Track) *publisher {
	t.Helper()
	p, err := tryPublish(t.Context(), t, s, name, form, video, audio)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.c.Close() })
	return p
}

func tryPublish(ctx context.Context, t testing.TB, s *server, name string, form flv.Form, video, audio *av.Track) (*publisher, error) {
	t.Helper()
	c, err := tryDial(ctx, s.rtmpURL(name))
	if err != nil {
		return nil, err
	}
	if err = c.Publish(ctx); err == nil {
		err = c.WriteTag(flv.Tag{Type: flv.ScriptTag, Body: form.AppendMetadata(nil, video, audio)})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &publisher{t: t, c: c, form: form, sent: map[int]*av.Track{}}, nil
}

// encode sends what an encoder makes, at the speed of its stamps, until the context ends. That is no error.
func (p *publisher) encode(ctx context.Context, e *sim.Encoder) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for start := time.Now(); ; {
		u := e.Next()
		timer.Reset(u.DTS - time.Since(start))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		if err := p.trySend(0, u); err != nil {
			return err
		}
	}
}

// broadcast publishes live/name until the returned function is called, or the test ends.
func broadcast(t testing.TB, s *server, name string, o sim.Options) (stop func()) {
	t.Helper()
	e := sim.New(o)
	p := publish(t, s, name, flv.Enhanced, trackAmong(av.Video, e.Tracks()), trackAmong(av.Audio, e.Tracks()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.encode(ctx, e) }()
	stop = sync.OnceFunc(func() {
		cancel()
		switch err := <-done; {
		case s.ended(): // with which the publisher did too
		case err != nil:
			t.Errorf("the publisher of live/%s: %v", name, err)
		default:
			p.end()
		}
	})
	t.Cleanup(stop)
	within(t, 10*time.Second, "live/"+name+" is ready", func() bool { st, _ := s.stream(t, name); return st.Ready })
	return stop
}

// trackAmong returns the track of a kind, or nil.
func trackAmong(kind av.Kind, tracks []*av.Track) *av.Track {
	for _, t := range tracks {
		if t.Kind() == kind {
			return t
		}
	}
	return nil
}

// send sends units with the stamps that they have, moved by shift milliseconds (modulo 2^32), as fast as the server takes them.
func (p *publisher) send(shift uint32, units ...*av.AccessUnit) {
	p.t.Helper()
	for _, u := range units {
		if err := p.trySend(shift, u); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *publisher) trySend(shift uint32, u *av.AccessUnit) error {
	ms, typ := flv.Milliseconds(u.DTS)+shift, flv.TypeFor(u.Track.Kind())
	if p.sent[u.Track.ID] != u.Track {
		p.sent[u.Track.ID] = u.Track
		if b := p.form.AppendConfig(nil, u.Track); len(b) > 0 {
			if err := p.c.WriteTag(flv.Tag{Type: typ, Time: ms, Body: b}); err != nil {
				return err
			}
		}
	}
	return p.c.WriteTag(flv.Tag{Type: typ, Time: ms, Body: p.form.AppendUnit(nil, u)})
}

// pace sends units at the speed of their stamps, until the context ends.
func (p *publisher) pace(ctx context.Context, units []*av.AccessUnit) error {
	return p.paceShifted(ctx, units, func(int) uint32 { return 0 })
}

// paceShifted is pace with stamps that are moved, as send does, unit by unit.
func (p *publisher) paceShifted(ctx context.Context, units []*av.AccessUnit, shift func(i int) uint32) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, u := range units {
		timer.Reset(u.DTS - units[0].DTS - time.Since(start))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.trySend(shift(i), u); err != nil {
			return err
		}
	}
	return nil
}

// end stops publishing as encoders do.
func (p *publisher) end() {
	p.t.Helper()
	if err := p.c.Unpublish(); err != nil {
		p.t.Error(err)
	}
	p.c.Close()
}

// awaitPlaying waits until n viewers of live/name have been sent something.
func (s *server) awaitPlaying(t testing.TB, name string, n int) {
	t.Helper()
	within(t, 20*time.Second, fmt.Sprintf("%d viewers of live/%s play", n, name), func() bool {
		st, _ := s.stream(t, name)
		playing := 0
		for _, v := range st.Sessions {
			if v.Sent > 0 {
				playing++
			}
		}
		return playing >= n
	})
}

// arrival is a unit and when it came.
type arrival struct {
	*av.AccessUnit
	at time.Time
}

// viewing reads a stream as an own viewer, in a goroutine.
type viewing struct {
	began time.Time // when it connected
	close func()
	done  chan struct{}

	mu    sync.Mutex
	units []arrival
	err   error // why it ended; nil: at the end of the stream
}

// errNotFLV is an answer that is no stream.
var errNotFLV = errors.New("no stream")

// view begins to play over RTMP, or HTTP-FLV, by the scheme of the URL.
func view(t testing.TB, rawURL string) *viewing {
	t.Helper()
	v := &viewing{began: time.Now(), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	v.close = cancel
	t.Cleanup(func() {
		cancel()
		<-v.done
	})
	go func() {
		defer close(v.done)
		var err error
		if rawURL[0] == 'r' {
			err = v.readRTMP(ctx, rawURL)
		} else {
			err = v.readHTTP(ctx, rawURL)
		}
		if !errors.Is(err, io.EOF) {
			v.mu.Lock()
			v.err = err
			v.mu.Unlock()
		}
	}()
	return v
}

func (v *viewing) readRTMP(ctx context.Context, rawURL string) error {
	c, err := tryDial(ctx, rawURL)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.Play(ctx); err != nil {
		return err
	}
	return v.read(demuxed(c.ReadTag))
}

func (v *viewing) readHTTP(ctx context.Context, rawURL string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errNotFLV, res.Status)
	}
	return v.read(demuxed(flv.NewReader(res.Body, flv.BodyMax).Read))
}

// demuxed is what reads the units of the tags that next reads.
func demuxed(next func() (flv.Tag, error)) func() ([]*av.AccessUnit, error) {
	var d flv.Demuxer
	return func() ([]*av.AccessUnit, error) {
		tag, err := next()
		if err != nil {
			return nil, err
		}
		return d.Demux(tag)
	}
}

func (v *viewing) read(next func() ([]*av.AccessUnit, error)) error {
	for {
		units, err := next()
		if err != nil {
			return err
		}
		now := time.Now()
		v.mu.Lock()
		for _, u := range units {
			v.units = append(v.units, arrival{u, now})
		}
		v.mu.Unlock()
	}
}

// got returns what has come so far.
func (v *viewing) got() ([]arrival, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clip(v.units), v.err
}

// wait waits for the end of the stream and returns all that has come.
func (v *viewing) wait(t testing.TB, limit time.Duration) []arrival {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-v.done:
	case <-timer.C:
		t.Fatalf("the stream has not ended within %v", limit)
	}
	units, err := v.got()
	if err != nil {
		t.Errorf("the viewer ended: %v", err)
	}
	return units
}
