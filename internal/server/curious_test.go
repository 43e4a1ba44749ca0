package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/sim"
)

// curious wants to know all that there is to know, whatever happens: it is an observer and an authorizer that lists streams and counts viewers
// before it returns.
type curious struct {
	hub atomic.Pointer[hub.Hub]

	mu   sync.Mutex
	seen map[hub.EventKind]int
	errs []error
}

// Observe implements hub.Observer.
func (c *curious) Observe(e hub.Event) {
	viewers, err := c.ask()
	if err == nil && e.Kind == hub.Played && viewers == 0 {
		err = errors.New("there is no viewer")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[e.Kind]++
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("%s: %w", e.Kind, err))
	}
}

// Authorize implements hub.Authorizer.
func (c *curious) Authorize(context.Context, hub.Action, hub.Request) (hub.Permit, error) {
	_, err := c.ask()
	return hub.Permit{}, err
}

// ask does what the API and the metrics do.
func (c *curious) ask() (viewers int, err error) {
	h := c.hub.Load()
	_, viewers = h.Sessions()
	for range 100 { // others may come and go meanwhile
		s := h.Snapshot()
		before := viewers
		if _, viewers = h.Sessions(); before != viewers {
			continue
		}
		if viewers != s.Viewers {
			err = fmt.Errorf("%d viewers, and %d in the snapshot", viewers, s.Viewers)
		}
		break
	}
	for path, statuses := range map[string][]int{"/api/v1/streams": {200}, "/api/v1/streams/live/x": {200, 404}} {
		w := httptest.NewRecorder()
		api.New(api.Options{
			Control: control.New(control.Options{Hub: h}), Snapshot: h.Snapshot, Counts: h.Sessions, Events: api.NewEvents(),
		}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != statuses[0] && w.Code != statuses[len(statuses)-1] || !json.Valid(w.Body.Bytes()) {
			err = errors.Join(err, fmt.Errorf("%s: %d %s", path, w.Code, w.Body))
		}
	}
	return viewers, err
}

// connect connects to live/x over RTMP, in memory.
func connect(t *testing.T, h *conformance.House) *rtmp.Client {
	t.Helper()
	conn, err := h.Dial(t.Context(), "RTMP")
	if err != nil {
		t.Fatal(err)
	}
	c, err := rtmp.NewClient(t.Context(), conn, &url.URL{Scheme: "rtmp", Host: "vigil.test", Path: "/live/x"}, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// piecemeal publishes what some encoders make, each from when its first unit is due.
type piecemeal struct {
	*rtmp.Client
	parts []*sim.Encoder
	next  []*av.AccessUnit // of each part
	first []time.Time      // when each was first sent
	began time.Time
}

func publishPiecemeal(t *testing.T, h *conformance.House, announced bool, parts ...sim.Options) *piecemeal {
	t.Helper()
	p := &piecemeal{Client: connect(t, h), first: make([]time.Time, len(parts))}
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, p.Conn()) }() // until it is closed
	tracks := map[av.Kind]*av.Track{}
	for _, o := range parts {
		e := sim.New(o)
		p.parts, p.next = append(p.parts, e), append(p.next, e.Next())
		tracks[e.Tracks()[0].Kind()] = e.Tracks()[0]
	}
	p.began = time.Now().Add(-p.next[0].DTS)
	if announced {
		body := flv.Enhanced.AppendMetadata(nil, tracks[av.Video], tracks[av.Audio])
		if err := p.WriteTag(flv.Tag{Type: flv.ScriptTag, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// until publishes until that time of its own.
func (p *piecemeal) until(t *testing.T, end time.Duration) {
	t.Helper()
	for {
		i := 0
		for j, u := range p.next {
			if u.DTS < p.next[i].DTS {
				i = j
			}
		}
		u := p.next[i]
		if u.DTS >= end {
			return
		}
		time.Sleep(u.DTS - time.Since(p.began))
		ms, typ := flv.Milliseconds(u.DTS), flv.TypeFor(u.Track.Kind())
		bodies := [][]byte{flv.Enhanced.AppendUnit(nil, u)}
		if p.first[i].IsZero() {
			p.first[i] = time.Now()
			bodies = [][]byte{flv.Enhanced.AppendConfig(nil, u.Track), bodies[0]}
		}
		for _, b := range bodies {
			if err := p.WriteTag(flv.Tag{Type: typ, Time: ms, Body: b}); err != nil {
				t.Fatal(err)
			}
		}
		p.next[i] = p.parts[i].Next()
	}
}

// spectator plays until the connection ends, and notes when each kind of track was first playable.
type spectator struct {
	*rtmp.Client
	came time.Time

	mu    sync.Mutex
	first map[av.Kind]time.Time
	units int
}

func spectate(t *testing.T, h *conformance.House) *spectator {
	t.Helper()
	s := &spectator{Client: connect(t, h), first: map[av.Kind]time.Time{}, came: time.Now()}
	go func() {
		if s.Play(t.Context()) != nil {
			return
		}
		var d flv.Demuxer
		for {
			tag, err := s.ReadTag()
			if err != nil {
				return
			}
			units, _ := d.Demux(tag) // scripts are none
			s.note(units)
		}
	}()
	return s
}

func (s *spectator) note(units []*av.AccessUnit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range units {
		s.units++
		if k := u.Track.Kind(); s.first[k].IsZero() && (u.Key || k == av.Audio) {
			s.first[k] = time.Now()
		}
	}
}

// plays wants a kind of track to have been playable within a time of when it was first sent, or when the spectator came.
func (s *spectator) plays(t *testing.T, k av.Kind, sent time.Time, within time.Duration) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent.Before(s.came) {
		sent = s.came
	}
	if at := s.first[k]; at.IsZero() || at.Sub(sent) > within {
		t.Errorf("%v is playable after %v (%v), %d units", k, at.Sub(sent), at, s.units)
	}
}

// Sound comes first, pictures 5 s later, and everything that happens has somebody list the streams and count the viewers on the spot: nothing
// hangs, and each track is playable within 2 s of its first packet, for whoever was there before and who comes then (card L06). A stream
// waits 2 s and a unit for a track that was announced, and sound travels in company.
func TestTracksOneByOne(t *testing.T) {
	for announced, most := range map[bool]time.Duration{false: 2 * time.Second, true: 2100 * time.Millisecond} {
		t.Run(fmt.Sprint("announced ", announced), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { oneByOne(t, announced, most) })
		})
	}
}

func oneByOne(t *testing.T, announced bool, most time.Duration) {
	t.Helper()
	c := &curious{seen: map[hub.EventKind]int{}}
	h := conformance.Open(t, rtmp.Protocol(), conformance.Options{Memory: true, Observer: c, Auth: c})
	c.hub.Store(h.Hub)
	defer h.Close()
	sound, pictures := sim.Options{Audio: av.AAC}, sim.Options{Video: av.H264, Start: 5 * time.Second}
	early := spectate(t, h) // waits for a publisher
	time.Sleep(time.Second)
	p := publishPiecemeal(t, h, announced, sound, pictures)
	all := []*spectator{early}
	for _, at := range []time.Duration{100 * time.Millisecond, 3 * time.Second, 5100 * time.Millisecond, 8 * time.Second} {
		p.until(t, at)
		all = append(all, spectate(t, h))
	}
	p.until(t, 12*time.Second)
	for _, s := range all {
		s.plays(t, av.Audio, p.first[0], most)
		s.plays(t, av.Video, p.first[1], most)
	}
	p.next[0].DTS = time.Hour // the sound stops
	p.until(t, 50*time.Second)
	_ = p.Close()
	time.Sleep(time.Second)
	again := publishPiecemeal(t, h, announced, sim.Options{Audio: av.AAC, Start: 51 * time.Second}, sim.Options{Video: av.H264, Start: 56 * time.Second})
	again.until(t, 60*time.Second)
	last := spectate(t, h)
	again.until(t, 62*time.Second)
	last.plays(t, av.Video, again.first[1], most)
	last.plays(t, av.Audio, again.first[0], most)
	for _, s := range append(all, last) {
		_ = s.Close()
	}
	again.until(t, 90*time.Second)
	if err := again.Unpublish(); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(c.errs...); err != nil {
		t.Error(err)
	}
	for _, k := range []hub.EventKind{
		hub.Wanted, hub.Published, hub.Played, hub.Mute, hub.Lapsed, hub.Resumed, hub.Stopped, hub.Unwatched, hub.Unpublished,
	} {
		if c.seen[k] == 0 {
			t.Errorf("nothing was %s: %v", k, c.seen)
		}
	}
}
