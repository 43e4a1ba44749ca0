package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

// ledger is what was written, by origin and number.
type ledger map[[2]uint64]av.AccessUnit

// stage is one House with what a case needs of it.
type stage struct {
	*House
	t    testing.TB
	room Room
	form Form
	sent ledger
	told hub.Observer // the one that is told of the hub's events, or nil
	auth hub.Authorizer

	mu      sync.Mutex
	sources map[string]*source // where players are behind: the newest one of each path
}

// source is somebody who publishes what an encoder makes.
type source struct {
	*stage
	pub    Publication
	enc    *sim.Encoder
	origin uint64
	last   uint64                      // number of the newest unit
	units  uint64                      // that were written
	dts    time.Duration               // of the newest one, as the encoder has it
	bend   func(u *av.AccessUnit)      // changes what the encoder makes
	drops  func(u *av.AccessUnit) bool // says which units get lost on the way to the publisher
}

// visit gives a driver its orders.
func (s *stage) visit(path string, tracks []*av.Track) Visit {
	path, query, _ := strings.Cut(path, "?")
	return Visit{House: s.House, Path: path, Query: query, Form: s.form.Name, Tracks: tracks}
}

// driver publishes by one protocol.
type driver func(ctx context.Context, v Visit) (Publication, error)

// own is the room's protocol, or the one in memory if nobody can publish by the room's.
func (s *stage) own() driver {
	if s.room.Publish == nil {
		return publishInMemory
	}
	return s.room.Publish
}

// tryPublish asks to publish, by the room's protocol if it can.
func (s *stage) tryPublish(path string, o sim.Options) (*source, error) {
	return s.tryPublishBy(s.own(), path, o)
}

func (s *stage) tryPublishBy(d driver, path string, o sim.Options) (*source, error) {
	return s.begin(d, path, o, sim.New(o))
}

// begin asks to publish what an encoder makes that was made with o.
func (s *stage) begin(d driver, path string, o sim.Options, e *sim.Encoder) (*source, error) {
	src := &source{stage: s, enc: e, origin: uint64(o.Origin)}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var err error
	src.pub, err = d(ctx, s.visit(path, e.Tracks()))
	if err == nil {
		s.known(path, src)
	}
	return src, err
}

func (s *stage) publish(path string, o sim.Options) *source {
	s.t.Helper()
	return s.publishBy(s.own(), path, o)
}

func (s *stage) publishBy(d driver, path string, o sim.Options) *source {
	s.t.Helper()
	src, err := s.tryPublishBy(d, path, o)
	if err != nil {
		s.t.Fatalf("publish %s: %v", path, err)
	}
	return src
}

// write sends the next n units.
func (s *source) write(n int) {
	s.t.Helper()
	for range n {
		if err := s.next(); err != nil {
			s.t.Fatalf("write unit %d: %v", s.last, err)
		}
	}
}

func (s *source) next() error {
	u := s.enc.Next()
	for s.drops != nil && s.drops(u) {
		u = s.enc.Next()
	}
	s.dts = u.DTS
	if s.bend != nil {
		s.bend(u)
	}
	tag, err := sim.Read(u)
	if err != nil {
		return err
	}
	s.last = tag.Seq
	s.units++
	s.sent[[2]uint64{uint64(tag.Origin), tag.Seq}] = *u // Write may restamp its own
	_ = s.pub.Conn().SetWriteDeadline(time.Now().Add(patience))
	return s.pub.Write(u)
}

// viewer is somebody who plays, and judges what comes.
type viewer struct {
	*stage
	play  Playback
	check sim.Checker
	loose bool // stamps are not those of the publisher
	last  [2]uint64
	top   [2]uint64 // the newest there was: tracks may be interleaved in another way
	unit  *av.AccessUnit
	base  *time.Duration // the publisher's clock minus the player's
}

func (s *stage) tryPlay(ctx context.Context, path string) (*viewer, error) {
	v := &viewer{stage: s}
	v.check.PerTrack = s.room.Behind > 0
	var err error
	v.play, err = s.room.Play(ctx, s.visit(path, nil))
	return v, err
}

func (s *stage) watch(path string) *viewer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*patience)
	defer cancel()
	v, err := s.tryPlayAlong(ctx, path)
	if err != nil {
		s.t.Fatalf("play %s: %v", path, err)
	}
	return v
}

// known notes who publishes a path, for those who are behind.
func (s *stage) known(path string, src *source) {
	if s.room.Behind > 0 {
		path, _, _ = strings.Cut(path, "?")
		s.mu.Lock()
		s.sources[path] = src
		s.mu.Unlock()
	}
}

// tryPlayAlong is tryPlay while the stream goes on, where players are behind: they are let in once there is enough of it.
func (s *stage) tryPlayAlong(ctx context.Context, path string) (v *viewer, err error) {
	name, _, _ := strings.Cut(path, "?")
	s.mu.Lock()
	src := s.sources[name]
	if src == nil {
		src = s.sources[strings.Replace(name, "/", "/alias-", 1)] // see renames
	}
	s.mu.Unlock()
	if src == nil {
		return s.tryPlay(ctx, path)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		v, err = s.tryPlay(ctx, path)
		done <- err
	}()
	err = src.goOn(done)
	return v, err
}

// goOn writes until there is a result.
func (s *source) goOn(result <-chan error) error {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-result:
			return err
		case <-tick.C:
			s.write(1)
		}
	}
}

// next reads and judges one unit.
func (v *viewer) next() error {
	_ = v.play.Conn().SetReadDeadline(time.Now().Add(patience))
	u, err := v.play.Read()
	if err != nil {
		return err
	}
	if u.Track.Codec == av.AV1 && u.Key && len(u.Data) > 1 && bytes.Equal(u.Data[0], u.Track.Config) {
		u.Data = u.Data[1:] // a protocol may repeat the sequence header with each key unit
	}
	if err = v.check.Unit(u); err != nil {
		return err
	}
	tag, err := sim.Read(u)
	if err != nil {
		return err
	}
	v.last, v.unit = [2]uint64{uint64(tag.Origin), tag.Seq}, u
	if v.room.Behind == 0 || slices.Compare(v.last[:], v.top[:]) > 0 {
		v.top = v.last
	}
	return v.compare(u)
}

// compare holds a unit against the one that was written.
func (v *viewer) compare(u *av.AccessUnit) error {
	want, ok := v.sent[v.last]
	what := fmt.Sprintf("%v unit %v", u.Track.Codec, v.last)
	switch {
	case !ok:
		return fmt.Errorf("%s was never written", what)
	case u.Key != want.Key:
		return fmt.Errorf("%s: key %v, written %v", what, u.Key, want.Key)
	case len(u.Data) != len(want.Data):
		return fmt.Errorf("%s: %d elements, written %d", what, len(u.Data), len(want.Data))
	case !u.Track.Equal(want.Track):
		return fmt.Errorf("%s: track %v (%+v), written %v (%+v)", what, u.Track, *u.Track, want.Track, *want.Track)
	case v.room.decodes() && (u.PTS-u.DTS-want.PTS+want.DTS).Abs() > 2*v.room.Tick:
		return fmt.Errorf("%s: PTS - DTS is %v, written %v", what, u.PTS-u.DTS, want.PTS-want.DTS)
	case v.loose:
		return nil
	}
	base := want.PTS - u.PTS
	if v.base == nil {
		v.base = &base
	}
	if off := base - *v.base; off.Abs() > 2*v.room.Tick { // one tick in, and one out
		return fmt.Errorf("%s: PTS %v is off by %v", what, u.PTS, off)
	}
	return nil
}

// until reads up to the newest unit of a source. Where players are behind, more is written, which brings it to them.
func (v *viewer) until(s *source) {
	v.t.Helper()
	want := s.last
	for end := s.dts + v.room.Behind; s.dts < end; {
		s.write(1)
	}
	for v.check.Units == 0 || v.top[0] != s.origin || v.top[1] < want {
		if err := v.next(); err != nil {
			v.t.Fatalf("after %d units, the last %v, want up to %d: %v", v.check.Units, v.last, want, err)
		}
	}
}

// whole fails the test if the viewer missed anything since it joined.
func (v *viewer) whole() {
	v.t.Helper()
	if v.check.Gaps > 0 {
		v.t.Errorf("the viewer missed %d units in %d places", v.check.Missing, v.check.Gaps)
	}
}

// end reads on until the server ends the playback, and returns how.
func (v *viewer) end() error {
	v.t.Helper()
	for {
		if err := v.next(); err != nil {
			return err
		}
	}
}

// lease is the in-memory publisher, for rooms that only play. It implements Publication.
type lease struct {
	*hub.Lease
	conn net.Conn
}

func publishInMemory(_ context.Context, v Visit) (Publication, error) {
	key, err := hub.ParseKey(v.Path)
	if err != nil {
		return nil, err
	}
	l, err := v.House.Hub.Publish(context.Background(), hub.Request{
		Key: key, Session: fmt.Sprint("m", v.House.visitors.Add(1)), Protocol: "memory", Query: v.Query,
	})
	if err != nil {
		return nil, err
	}
	video, audio := false, false
	for _, t := range v.Tracks {
		video, audio = video || t.Kind() == av.Video, audio || t.Kind() == av.Audio
	}
	l.Declare(video, audio)
	here, there := net.Pipe()
	_ = there.Close()
	p := &lease{Lease: l, conn: memoryPublisher{here, l}}
	v.House.Guest(func() { l.Finish(nil) }) // it may have gone already
	stop := context.AfterFunc(l.Context(), func() { l.Release(context.Cause(l.Context())) })
	v.House.t.Cleanup(func() { stop() })
	return p, nil
}

// memoryPublisher stands for the connection of a publisher that has none: to close it is to vanish.
type memoryPublisher struct {
	net.Conn
	lease *hub.Lease
}

var errVanished = errors.New("the publisher vanished")

// Close implements net.Conn.
func (c memoryPublisher) Close() error {
	c.lease.Release(errVanished)
	return c.Conn.Close()
}

// SetWriteDeadline implements net.Conn.
func (memoryPublisher) SetWriteDeadline(time.Time) error { return nil }

// End implements Publication.
func (l *lease) End() error {
	l.Finish(nil)
	return nil
}

// Wait implements Publication.
func (l *lease) Wait() error {
	<-l.Context().Done()
	return context.Cause(l.Context())
}

// Conn implements Publication.
func (l *lease) Conn() net.Conn { return l.conn }
