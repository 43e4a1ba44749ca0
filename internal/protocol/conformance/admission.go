package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
