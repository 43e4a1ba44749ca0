package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// code fails the test unless err has the protocol's own code.
func (s *stage) code(what string, err error, want string) {
	s.t.Helper()
	if err == nil {
		s.t.Fatalf("%s: let in, want %s", what, want)
	}
	if got := s.room.Code(err); got != want {
		s.t.Errorf("%s: code %q (%v), want %q", what, got, err, want)
	}
}

// secondRefused: the owner of a key stays, and neither it nor its viewers notice.
func secondRefused(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(5)
	v := s.maybeWatch("live/x")
	o := s.usual()
	o.Origin = 1
	_, err := s.tryPublish("live/x", o)
	s.code("second publisher", err, s.room.Codes.Busy)
	for range 60 {
		src.write(1)
		if v != nil {
			v.until(src)
		}
	}
	if v != nil {
		v.whole()
	}
	s.Publishers(1)
	// The key is free as soon as its owner has gone.
	if err := src.pub.End(); err != nil {
		s.t.Fatal(err)
	}
	s.Publishers(0)
	s.publish("live/x", o).write(5)
}

// maybeWatch watches if the room can play.
func (s *stage) maybeWatch(path string) *viewer {
	s.t.Helper()
	if s.room.Play == nil {
		return nil
	}
	return s.watch(path)
}

// secondTakesOver: the newcomer wins, the owner is told, viewers go on with the newcomer's first key unit.
func secondTakesOver(s *stage) {
	src := s.publish("live/x", s.usual())
	src.write(25)
	v := s.maybeWatch("live/x")
	if v != nil {
		v.loose = true // the second publisher's clock is another
		v.until(src)
	}
	o := s.usual()
	o.Origin = 1
	second := s.publish("live/x", o)
	s.code("publisher that was replaced", src.pub.Wait(), s.room.Codes.Replaced)
	for range 60 {
		second.write(1)
		if v != nil {
			v.until(second)
		}
	}
	s.Publishers(1)
}

// playBeforePublish: a player waits, and gets everything from the first unit on.
func playBeforePublish(s *stage) {
	type result struct {
		v   *viewer
		err error
	}
	came := make(chan result, 1)
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	go func() {
		v, err := s.tryPlay(ctx, "live/x")
		came <- result{v, err}
	}()
	s.Viewers(1)
	src := s.publish("live/x", s.usual())
	src.write(10)
	for s.room.Behind > 0 && len(came) == 0 {
		<-time.After(time.Millisecond)
		src.write(1)
	}
	r := <-came
	if r.err != nil {
		s.t.Fatal(r.err)
	}
	src.write(20)
	r.v.until(src)
	r.v.whole()
}

func playWithoutPublish(s *stage) {
	_, err := s.tryPlay(s.t.Context(), "live/absent")
	s.code("play of an absent stream", err, s.room.Codes.NotFound)
	s.Viewers(0)
}

// token lets in who has it.
type token struct{}

// Authorize implements hub.Authorizer.
func (token) Authorize(_ context.Context, _ hub.Action, q hub.Request) (hub.Permit, error) {
	switch {
	case strings.Contains(q.Query, "token=good"):
		return hub.Permit{}, nil
	case strings.Contains(q.Query, "token=broken"):
		return hub.Permit{}, errors.New("the authorizer broke")
	}
	return hub.Permit{}, fmt.Errorf("%w: wrong token", hub.ErrDenied)
}

// publishDenied (S01, S08): who is denied hears of no success first, and whatever an authorizer did leaves nothing behind: the key is free
// as soon as it lets somebody in.
func publishDenied(s *stage) {
	_, err := s.tryPublish("live/x?token=bad", s.usual())
	s.code("publish", err, s.room.Codes.PublishDenied)
	if _, err = s.tryPublish("live/y?token=broken", s.usual()); err == nil {
		s.t.Error("an authorizer that breaks lets in")
	}
	s.Publishers(0)
	s.publish("live/z?token=good", s.usual()).write(5) // another key: for a second, the answers to those stand
	<-time.After(1100 * time.Millisecond)
	for _, path := range []string{"live/x", "live/y"} {
		s.publish(path+"?token=good", s.usual()).write(5)
	}
	s.Publishers(3)
}

// counting denies all but one, each after a while, and counts what it was asked.
type counting struct {
	mu    sync.Mutex
	asked map[string]int // by key
}

// Authorize implements hub.Authorizer.
func (c *counting) Authorize(_ context.Context, _ hub.Action, q hub.Request) (hub.Permit, error) {
	if q.Query == "good" {
		return hub.Permit{}, nil
	}
	c.mu.Lock()
	c.asked[q.Key.Name]++
	c.mu.Unlock()
	<-time.After(20 * time.Millisecond)
	return hub.Permit{}, fmt.Errorf("%w: wrong token", hub.ErrDenied)
}

// reset forgets what it was asked by others.
func (c *counting) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = map[string]int{}
}

// most is how often it was asked about the key that it was asked about most, and how many there were.
func (c *counting) most() (most, keys int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.asked {
		most = max(most, n)
	}
	return most, len(c.asked)
}

// stormOfDenied (S08): many encoders are denied, and come back: at once if they have heard of a success before, else after a while, as
// encoders do. Nobody hears of a success, the authorizer is asked once a second about each name, and who is allowed is let in at once.
func stormOfDenied(s *stage) {
	const names, each, lasts, after = 4, 8, 3 * time.Second, 100 * time.Millisecond
	auth, _ := s.auth.(*counting)
	auth.reset()
	begin := time.Now()
	var wg sync.WaitGroup
	var tries atomic.Int64
	for i := range names * each {
		wg.Go(func() {
			for time.Since(begin) < lasts {
				src, err := s.tryPublish(fmt.Sprintf("live/%d?bad", i%names), s.usual())
				if tries.Add(1); s.room.Code(err) == s.room.Codes.PublishDenied {
					<-time.After(after)
					continue
				}
				s.t.Errorf("the publisher: %v", err)
				if err == nil {
					_ = src.pub.Conn().Close()
				}
				return
			}
		})
	}
	<-time.After(lasts / 2)
	at := time.Now()
	s.publish("live/good?good", s.usual()).write(5)
	if took := time.Since(at); took > time.Second {
		s.t.Errorf("who is allowed was let in after %v", took)
	}
	wg.Wait()
	asked, keys := auth.most()
	if most := int(time.Since(begin)/time.Second) + 1; asked > most || asked < 2 || keys != names {
		s.t.Errorf("the authorizer was asked about %d names, up to %d times within %v", keys, asked, time.Since(begin))
	}
	if n := tries.Load(); n < names*each*10 {
		s.t.Errorf("%d attempts: that is no storm", n)
	}
	s.Publishers(1)
}

func playDenied(s *stage) {
	src := s.publish("live/x?token=good", s.usual())
	src.write(5)
	_, err := s.tryPlay(s.t.Context(), "live/x?token=bad")
	s.code("play", err, s.room.Codes.Denied)
	s.Viewers(0)
	v := s.watch("live/x?token=good")
	src.write(20)
	v.until(src)
}
