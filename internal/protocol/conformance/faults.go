package conformance

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// on writes and watches until every viewer has all: after each unit, or, where they are behind, after the last.
func (s *source) on(n int, viewers ...*viewer) {
	s.t.Helper()
	each := 1
	if s.room.Behind > 0 {
		each = n
	}
	for range n / each {
		s.write(each)
		for _, v := range viewers {
			v.until(s)
		}
	}
}

// over fails the test unless the playback ends soon, after the newest unit.
func (v *viewer) over(src *source) {
	v.t.Helper()
	err := v.end()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		v.t.Fatal("the player is not told that the stream is over")
	}
	if !errors.Is(err, io.EOF) {
		v.t.Errorf("the playback ends with %v, want EOF", err)
	}
	if v.top[1] != src.last {
		v.t.Errorf("the last unit was %d, of %d", v.top[1], src.last)
	}
}

func publisherStops(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	v := s.watch("live/x")
	src.on(30, v)
	src.write(3) // still to be read when the end comes
	if err := src.pub.End(); err != nil {
		s.t.Fatal(err)
	}
	v.over(src)
	s.Viewers(0)
	s.Publishers(0)
}

func publisherVanishes(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	v := s.watch("live/x")
	src.on(30, v)
	_ = src.pub.Conn().Close()
	v.over(src)
	s.Viewers(0)
	s.Publishers(0)
	s.Logged("stopped playing", "the publisher has gone")
	s.publish("live/x", s.usual()).write(5) // the key is free
}

func publisherSilent(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	begin := time.Now()
	s.code("publisher that is silent", src.pub.Wait(), s.room.Codes.Silent)
	if took := time.Since(begin); s.memory && (took < 5*time.Second || took > 6*time.Second) {
		s.t.Errorf("ended after %v", took)
	}
	s.Publishers(0)
	// One that never sends anything is no better.
	mute := s.publish("live/x", s.usual())
	s.code("publisher that is mute", mute.pub.Wait(), s.room.Codes.Silent)
	s.Publishers(0)
}

func playerLeaves(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	stays := s.watch("live/x")
	for range 3 {
		v := s.watch("live/x")
		src.on(5, stays, v)
		s.Viewers(2)
		_ = v.play.Conn().Close()
		src.on(1, stays)
		s.Viewers(1)
	}
	stays.whole()
}

// playerSlow reads nothing while the ring of 32 units passes by, many times. Then it goes on with a key unit.
func playerSlow(s *stage) {
	o := sim.Options{Video: av.H264, GOP: 10, KeySize: 30_000, Size: 10_000}
	if !s.room.decodes() { // its receivers take a jump by thousands of packets for another beginning
		o.KeySize, o.Size = 8_000, 3_000
	}
	src := s.publish("live/x", o)
	src.write(5)
	v := s.watch("live/x")
	v.until(src)
	src.write(800)
	v.until(src) // the checker wants a key unit after every gap
	if v.check.Gaps == 0 {
		s.t.Error("no gap: the player was not slow, or its buffers are large")
	}
	if skips := s.skips(); skips == 0 {
		s.t.Errorf("%d gaps, but none was counted", v.check.Gaps)
	}
	v.check.Gaps = 0
	src.on(30, v)
	v.whole()
}

func (s *stage) skips() uint64 { return s.Hub.Snapshot().Totals.Skips }

// playerStops reads nothing any more, and is ended. Another player does not notice.
func playerStops(s *stage) {
	src := s.publish("live/x", sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10, KeySize: 60_000, Size: 20_000})
	src.write(5)
	good, bad := s.watch("live/x"), s.watch("live/x")
	bad.until(src)
	src.on(20, good)
	limit := time.Second
	if s.memory {
		limit = 10 * time.Second
	}
	begin := time.Now()
	ticker := time.NewTicker(40 * time.Millisecond)
	defer ticker.Stop()
	if !s.memory { // fill what sockets hold
		src.on(400, good)
		begin = time.Now()
	}
	for _, n := s.Hub.Sessions(); n > 1; _, n = s.Hub.Sessions() {
		src.on(2, good)
		<-ticker.C
		if time.Since(begin) > limit+5*time.Second {
			s.t.Fatal("the player is not ended")
		}
	}
	if took := time.Since(begin); s.memory && took > limit+time.Second {
		s.t.Errorf("ended after %v, the limit is %v", took, limit)
	}
	s.Logged("stopped playing", "stalled")
	src.on(20, good)
	good.whole()
}

// cancelled ends the room in the midst of everything. The House wants it to be over within a second.
func cancelled(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	s.watch("live/x") // does not read
	v := s.watch("live/x")
	src.on(10, v)
	src.write(100)
	waiting := make(chan error, 1)
	go func() {
		_, err := s.tryPlay(s.t.Context(), "live/absent")
		waiting <- err
	}()
	s.Viewers(3)
	idle := s.MustDial(s.room.Listener)
	half := s.MustDial(s.room.Listener)
	if _, err := half.Write(s.room.Hello[:min(5, len(s.room.Hello))]); err != nil {
		s.t.Error(err)
	}
	s.Close()
	if err := <-waiting; err == nil {
		s.t.Error("a player that waited for a stream was let in by a server that stops")
	}
	for _, c := range []net.Conn{idle, half} {
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			s.t.Error("a connection was left open")
		}
	}
}

// serverCloses: publishers are ended first, and viewers run to the end of the stream.
func serverCloses(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	v := s.watch("live/x")
	src.on(10, v)
	src.write(3)
	s.settle()
	s.Hub.Close()
	v.over(src)
	s.Publishers(0)
	s.Viewers(0)
}

// settle waits until the newest unit that was written has arrived in the stream.
func (s *stage) settle() {
	s.t.Helper()
	var before uint64
	quiet := 0
	s.Eventually("the stream to be quiet", func() bool {
		var now uint64
		for _, i := range s.Hub.Snapshot().Streams {
			now += i.Stats.Bytes
		}
		if quiet++; now != before {
			before, quiet = now, 0
		}
		return quiet > 10
	})
}

// garbage is sent to the listener in many ways. Nothing panics and every session ends.
func garbage(s *stage) {
	const size = 64 << 10
	for seed := range uint64(16) {
		rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a seed repeats the run
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		copy(b, s.room.Hello[:len(s.room.Hello)*int(seed%4)/3])
		c := s.MustDial(s.room.Listener)
		go func() {
			_, _ = c.Write(b) // until the server has had enough
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
		}()
		begin := time.Now()
		_, err := io.Copy(io.Discard, c)
		if errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) > 11*time.Second {
			s.t.Errorf("seed %d: the session lives on", seed)
		}
		_ = c.Close()
	}
}

// drip sends what a client says first, a byte a second. The limit is on the phase, not on a read.
func drip(s *stage) {
	c := s.MustDial(s.room.Listener)
	begin := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, b := range s.room.Hello {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}()
	s.closed(c, begin)
	_ = c.Close()
	<-done // time stands still at the end of a bubble: nobody may sleep then
}

// silentClient says nothing at all.
func silentClient(s *stage) { s.closed(s.MustDial(s.room.Listener), time.Now()) }

// closed fails the test unless the server closes c within the limit for a client that has not said what it wants.
func (s *stage) closed(c net.Conn, begin time.Time) {
	s.t.Helper()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, err := io.Copy(io.Discard, c)
	if took := time.Since(begin); errors.Is(err, os.ErrDeadlineExceeded) || took > 11*time.Second {
		s.t.Errorf("after %v: %v; want the connection closed within 10 s", took, err)
	}
}

// many sessions do not get in each other's way.
func many(s *stage) {
	publishers, viewers := 10, 3
	if s.room.Behind > 0 { // each of them takes a while to be let in
		publishers, viewers = 4, 2
	}
	type group struct {
		src *source
		vs  []*viewer
	}
	var groups []group
	for i := range publishers {
		o := s.usual()
		o.Origin = byte(i)
		path := fmt.Sprint("live/", i)
		g := group{src: s.publish(path, o)}
		g.src.write(5)
		for range viewers {
			g.vs = append(g.vs, s.watch(path))
		}
		groups = append(groups, g)
	}
	s.Publishers(publishers)
	s.Viewers(publishers * viewers)
	rounds, each := 40, 1
	if s.room.Behind > 0 {
		rounds, each = 2, 20
	}
	for range rounds {
		for _, g := range groups {
			g.src.on(each, g.vs...)
		}
	}
	for _, g := range groups {
		for _, v := range g.vs {
			v.whole()
		}
	}
}
