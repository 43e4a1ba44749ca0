package conformance

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

// pair is by which protocols an owner and a newcomer publish: the room's own, or the suite's second one.
type pair struct {
	name            string
	owner, newcomer driver
}

// pairs are all of them that there are.
func (s *stage) pairs() []pair {
	if s.room.Publish == nil {
		return []pair{{"memory-memory", publishInMemory, publishInMemory}}
	}
	return []pair{
		{"own-own", s.own(), s.own()},
		{"own-memory", s.own(), publishInMemory},
		{"memory-own", publishInMemory, s.own()},
	}
}

// forPairs runs a case for each pair, on a key of its own. The case leaves nobody behind.
func (s *stage) forPairs(run func(p pair, path string)) {
	s.t.Helper()
	for _, p := range s.pairs() {
		run(p, "live/"+p.name)
		if s.t.Failed() {
			s.t.Fatalf("this was %s", p.name)
		}
		s.Publishers(0)
		s.Viewers(0)
	}
}

// encoder is the usual encoder, with a number of its own.
func (s *stage) encoder(origin byte) sim.Options {
	o := s.usual()
	o.Origin = origin
	return o
}

// sameRefusal says whether err is a refusal with the cause, or the code that the room's protocol has for it.
func (s *stage) sameRefusal(err, cause error, code string) bool {
	return errors.Is(err, cause) || err != nil && s.room.Code != nil && code != "" && s.room.Code(err) == code
}

// loses fails the test unless the server tells the publisher soon that it is ended, and why; and takes nothing from it any more.
func (s *source) loses(cause error, code string) {
	s.t.Helper()
	said := make(chan error, 1)
	go func() { said <- s.pub.Wait() }()
	select {
	case err := <-said:
		wordless := code == "" && errors.Is(err, io.EOF)
		if !s.sameRefusal(err, cause, code) && !wordless {
			s.t.Errorf("the publisher is told %v, want %v, code %q", err, cause, code)
		}
	case <-time.After(patience):
		s.t.Fatalf("the publisher is not told: %v", cause)
	}
	s.Eventually("late units are rejected", func() bool { return s.next() != nil })
}

// vanish breaks the publisher's connection without a word.
func (s *source) vanish() { _ = s.pub.Conn().Close() }

// stop ends the publication as one that means it.
func (s *source) stop() {
	s.t.Helper()
	if err := s.pub.End(); err != nil {
		s.t.Fatalf("end: %v", err)
	}
}

// leave has viewers go.
func leave(vs ...*viewer) {
	for _, v := range vs {
		if v != nil {
			_ = v.play.Conn().Close()
		}
	}
}

// challengeMet (S02, S07): an owner that sends media keeps its key, however often others ask. They are told at once, and nobody notices.
func challengeMet(s *stage) {
	s.forPairs(func(p pair, path string) {
		src := s.publishBy(p.owner, path, s.usual())
		src.write(5)
		v := s.maybeWatch(path)
		for range 3 {
			asked := make(chan error, 1)
			begin := time.Now()
			go func() {
				_, err := s.tryPublishBy(p.newcomer, path, s.encoder(1))
				asked <- err
			}()
			err := src.keepOn(asked, v)
			if !s.sameRefusal(err, hub.ErrBusy, s.room.Codes.Busy) {
				s.t.Errorf("%s: the newcomer: %v, want code %q", p.name, err, s.room.Codes.Busy)
			}
			if took := time.Since(begin); s.memory && took > time.Second {
				s.t.Errorf("%s: refused after %v", p.name, took)
			}
		}
		src.finish(v)
	})
}

// keepOn writes at the pace of life until there is a result.
func (s *source) keepOn(result <-chan error, v *viewer) error {
	s.t.Helper()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-result:
			return err
		case <-tick.C:
			s.write(1)
			if v != nil {
				v.until(s)
			}
		}
	}
}

// after is a result that comes when d has passed.
func after(d time.Duration) <-chan error {
	c := make(chan error, 1)
	time.AfterFunc(d, func() { c <- nil })
	return c
}

// arrived waits until the hub has all units that were written: one that is still on its way would answer a challenge.
func (s *source) arrived(path string) {
	s.t.Helper()
	s.Eventually("all units have arrived", func() bool {
		n := uint64(0)
		for _, st := range s.Hub.Snapshot().Streams {
			for _, t := range st.Stats.Tracks {
				if st.Key.String() == path {
					n += t.Units
				}
			}
		}
		return n >= s.units
	})
}

// finish goes on for a while, then ends the stream and expects its viewer to have missed nothing.
func (s *source) finish(v *viewer) {
	s.t.Helper()
	if v == nil {
		s.write(30)
		s.stop()
		return
	}
	s.on(30, v)
	v.whole()
	s.stop()
	v.over(s)
	leave(v)
}

// challengeNotMet (S02): an owner that is silent loses its key to the newcomer, after the time that it was given, and is told. Its
// viewers stay.
func challengeNotMet(s *stage) {
	least := hub.DefaultConfig().Publish.ChallengeTimeout
	most := least + 500*time.Millisecond
	if !s.memory {
		least, most = 500*time.Millisecond, 4*time.Second // the machine may be busy
	}
	s.forPairs(func(p pair, path string) {
		src := s.publishBy(p.owner, path, s.usual())
		src.write(5)
		v := s.watch(path)
		v.loose = true
		src.on(25, v)
		src.arrived(path)
		begin := time.Now()
		second := s.publishBy(p.newcomer, path, s.encoder(1))
		if took := time.Since(begin); took < least || took > most {
			s.t.Errorf("%s: let in after %v, want %v to %v", p.name, took, least, most)
		}
		src.loses(hub.ErrReplaced, s.room.Codes.Replaced)
		s.Publishers(1)
		second.finish(v)
	})
}

// challengerLeaves (S11): a newcomer that goes before its case is decided leaves nothing behind. An owner that goes on sending stays; the
// key of one that does not is free for the next newcomer, in as much time as without the other.
func challengerLeaves(s *stage) {
	if s.room.Publish == nil {
		return
	}
	leaveSoon := func(path string) {
		ctx, cancel := context.WithTimeout(s.t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := s.room.Publish(ctx, s.visit(path, sim.New(s.encoder(1)).Tracks())); err == nil {
			s.t.Error("let in beside an owner")
		}
	}
	most := hub.DefaultConfig().Publish.ChallengeTimeout + time.Second
	if !s.memory {
		most = 4 * time.Second // the machine may be busy
	}
	for _, owner := range []driver{s.own(), publishInMemory} {
		src := s.publishBy(owner, "live/x", s.usual())
		src.write(5)
		v := s.maybeWatch("live/x")
		leaveSoon("live/x")
		src.write(5)
		s.Publishers(1)
		src.finish(v)

		src = s.publishBy(owner, "live/y", s.usual())
		src.write(5)
		src.arrived("live/y")
		leaveSoon("live/y")
		var second *source
		begin := time.Now()
		s.Eventually("the next newcomer is let in", func() (ok bool) {
			var err error
			second, err = s.tryPublish("live/y", s.encoder(2))
			return err == nil
		})
		if took := time.Since(begin); took > most {
			s.t.Errorf("let in after %v", took)
		}
		second.finish(nil)
		s.Publishers(0)
		leave(v)
	}
}

// cleanStop (S04): viewers are told at once that the stream is over, although a publisher may resume one that was lost; and the key is
// free at once.
func cleanStop(s *stage) {
	limit := 500 * time.Millisecond
	if !s.memory {
		limit = 3 * time.Second // the machine may be busy
	}
	s.forPairs(func(p pair, path string) {
		src := s.publishBy(p.owner, path, s.usual())
		src.write(5)
		v := s.watch(path)
		src.on(25, v)
		begin := time.Now()
		src.stop()
		s.Publishers(0)
		if s.room.Behind > 0 { // who does not ask before there is another stream gets that
			v.over(src)
		}
		second := s.publishBy(p.newcomer, path, s.encoder(1))
		if took := time.Since(begin); took > limit {
			s.t.Errorf("%s: let in again after %v", p.name, took)
		}
		if s.room.Behind == 0 {
			v.over(src)
		}
		if took := time.Since(begin); took > limit {
			s.t.Errorf("%s: the viewer was told after %v", p.name, took)
		}
		leave(v)
		second.write(5)
		v = s.watch(path)
		second.finish(v)
	})
	rounds := 50
	if s.room.Behind > 0 {
		rounds = 10
	}
	for range rounds { // whoever hears of the end first must not take it for another
		src := s.publishBy(publishInMemory, "live/again", s.usual())
		src.write(5)
		v := s.watch("live/again")
		src.stop()
		v.over(src)
		leave(v)
		s.Viewers(0)
	}
}

// standbyStepsIn: a second publisher waits beside the owner, and steps in when that stalls, or goes without a word. Nobody else gets in.
func standbyStepsIn(s *stage) {
	for how, fail := range map[string]func(*source){"stalls": func(*source) {}, "vanishes": (*source).vanish} {
		s.forPairs(func(p pair, path string) {
			path += "-" + how
			src := s.publishBy(p.owner, path, s.usual())
			src.write(5)
			v := s.watch(path)
			v.loose = true
			src.on(10, v)
			second := s.publishBy(p.newcomer, path, s.encoder(1))
			_, err := s.tryPublishBy(p.newcomer, path, s.encoder(2))
			if !s.sameRefusal(err, hub.ErrBusy, s.room.Codes.Busy) {
				s.t.Errorf("%s: a third: %v", p.name, err)
			}
			for range 30 { // what the second sends meanwhile goes nowhere
				second.write(1)
				src.on(1, v)
			}
			v.whole()
			begin := time.Now()
			fail(src)
			second.stepIn(v)
			if took := time.Since(begin); s.memory && took > 2500*time.Millisecond {
				s.t.Errorf("%s: %s: steps in after %v", p.name, how, took)
			}
			if how == "stalls" {
				src.loses(hub.ErrReplaced, s.room.Codes.Replaced)
			}
			second.finish(v)
		})
	}
}

// stepIn writes at the pace of life until the source has stepped in: then the viewer sees it.
func (s *source) stepIn(v *viewer) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond) // there is sound too
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		s.write(1)
		if i, ok := s.stream(); ok && i.Publisher != nil && i.Standby == nil {
			break
		}
		if time.Since(begin) > patience {
			s.t.Fatal("the one that stands by does not step in")
		}
	}
	s.write(1)
	v.until(s)
}

// stream is the one stream that there is.
func (s *stage) stream() (hub.StreamInfo, bool) {
	all := s.Hub.Snapshot().Streams
	if len(all) != 1 {
		return hub.StreamInfo{}, false
	}
	return all[0], true
}

// kick (C14, S01): a publisher that is kicked is told, its viewers see the end, and the key is free, all within a second. A viewer that is
// kicked goes, the others stay.
func kick(s *stage) {
	s.forPairs(func(p pair, path string) {
		src := s.publishBy(p.owner, path, s.usual())
		src.write(5)
		doomed := s.watch(path)
		all := s.sessions()
		v := s.watch(path)
		src.on(25, v, doomed)
		s.command("kick a viewer", func(ctx context.Context) error { return s.Hub.Kick(ctx, all.Viewers[0].ID) })
		s.Viewers(1)
		doomed.ended()
		src.on(25, v)
		v.whole()
		s.command("kick the publisher", func(ctx context.Context) error { return s.Hub.Kick(ctx, all.Publisher.ID) })
		src.loses(hub.ErrKicked, s.room.Codes.Kicked)
		v.ended()
		s.Publishers(0)
		s.Viewers(0)
		s.publishBy(p.newcomer, path, s.encoder(1)).finish(nil)
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		if err := s.Hub.Kick(ctx, all.Publisher.ID); !errors.Is(err, hub.ErrNotFound) {
			s.t.Errorf("to kick what is gone: %v", err)
		}
	})
	s.Logged("stopped playing", hub.ErrKicked.Error())
}

// sessions waits until there is one stream and nothing more to come, and describes it.
func (s *stage) sessions() hub.StreamInfo {
	s.t.Helper()
	var i hub.StreamInfo
	s.Eventually("one stream with a publisher", func() (ok bool) {
		i, ok = s.stream()
		return ok && i.Publisher != nil
	})
	return i
}

// command gives the hub an order, which must be carried out within a second.
func (s *stage) command(what string, order func(ctx context.Context) error) {
	s.t.Helper()
	limit := time.Second
	if !s.memory {
		limit = patience // the machine may be busy
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	if err := order(ctx); err != nil {
		s.t.Errorf("%s: %v", what, err)
	}
}

// ended fails the test unless the connection of a playback ends, in whatever way the protocol has.
func (v *viewer) ended() {
	v.t.Helper()
	for {
		_ = v.play.Conn().SetReadDeadline(time.Now().Add(patience))
		if _, err := v.play.Read(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				v.t.Error("the playback goes on")
			}
			_ = v.play.Conn().Close()
			return
		}
	}
}

// endStream: the operator ends a stream with all that belong to it: publisher, viewers, those that stand by or challenge; and one whose
// publisher is lost.
func endStream(s *stage) {
	s.forPairs(func(p pair, path string) {
		key, err := hub.ParseKey(path)
		if err != nil {
			s.t.Fatal(err)
		}
		src := s.publishBy(p.owner, path, s.usual())
		src.write(5)
		v, w := s.watch(path), s.watch(path)
		src.on(25, v, w)
		s.command("end the stream", func(ctx context.Context) error { return s.Hub.End(ctx, key) })
		src.loses(hub.ErrKicked, s.room.Codes.Kicked)
		v.ended()
		w.ended()
		s.Publishers(0)
		s.Viewers(0)

		src = s.publishBy(p.newcomer, path, s.usual())
		src.write(5)
		v = s.watch(path)
		src.on(25, v)
		src.vanish()
		s.Publishers(0)
		s.Viewers(1)
		s.command("end a stream that is lost", func(ctx context.Context) error { return s.Hub.End(ctx, key) })
		v.ended()
		s.Viewers(0)
		if all := s.Hub.Snapshot().Streams; len(all) > 0 {
			s.t.Errorf("%s: still listed: %+v", p.name, all)
		}
		s.publishBy(p.newcomer, path, s.usual()).finish(nil)
	})
}

// identities lets everybody in as whoever the query says.
type identities struct{}

// Authorize implements hub.Authorizer.
func (identities) Authorize(_ context.Context, _ hub.Action, q hub.Request) (hub.Permit, error) {
	return hub.Permit{Identity: strings.TrimPrefix(q.Query, "id=")}, nil
}

// sameIdentity: an encoder that comes back does not wait for its own ghost, even if that still sends. Another one is no more than a
// challenger.
func sameIdentity(s *stage) {
	limit := 500 * time.Millisecond
	if !s.memory {
		limit = 1500 * time.Millisecond // less than the challenge's time, and the machine may be busy
	}
	s.forPairs(func(p pair, path string) {
		src := s.publishBy(p.owner, path+"?id=one", s.usual())
		src.write(5)
		v := s.watch(path)
		v.loose = true
		src.on(25, v)
		asked := make(chan error, 1)
		go func() {
			_, err := s.tryPublishBy(p.newcomer, path+"?id=two", s.encoder(1))
			asked <- err
		}()
		if err := src.keepOn(asked, v); !s.sameRefusal(err, hub.ErrBusy, s.room.Codes.Busy) {
			s.t.Errorf("%s: another identity: %v", p.name, err)
		}
		_ = src.keepOn(after(1100*time.Millisecond), v) // for a second, that answer stands for all at this address
		v.whole()
		begin := time.Now()
		asked = make(chan error, 1)
		var second *source
		go func() {
			var err error
			second, err = s.tryPublishBy(p.newcomer, path+"?id=one", s.encoder(2))
			asked <- err
		}()
		if err := <-asked; err != nil {
			s.t.Fatalf("%s: the same identity: %v", p.name, err)
		}
		if took := time.Since(begin); took > limit {
			s.t.Errorf("%s: the same identity is let in after %v", p.name, took)
		}
		src.loses(hub.ErrReplaced, s.room.Codes.Replaced)
		second.finish(v)
	})
}

// renames gives publishers of app/alias-x the key app/x.
type renames struct{}

// Authorize implements hub.Authorizer.
func (renames) Authorize(_ context.Context, a hub.Action, q hub.Request) (hub.Permit, error) {
	name, alias := strings.CutPrefix(q.Key.Name, "alias-")
	if a != hub.ActionPublish || !alias {
		return hub.Permit{}, nil
	}
	k := q.Key
	k.Name = name
	return hub.Permit{Key: k}, nil
}

// renamedKey: the key that the authorizer names is the one that is owned, and the one that conflicts are about.
func renamedKey(s *stage) {
	s.forPairs(func(p pair, path string) {
		alias := strings.Replace(path, "/", "/alias-", 1)
		src := s.publishBy(p.owner, alias, s.usual())
		src.write(5)
		v := s.watch(path)
		src.on(25, v)
		for i, name := range []string{path, alias} {
			asked := make(chan error, 1)
			go func() {
				_, err := s.tryPublishBy(p.newcomer, name, s.encoder(byte(i+1)))
				asked <- err
			}()
			if err := src.keepOn(asked, v); !s.sameRefusal(err, hub.ErrBusy, s.room.Codes.Busy) {
				s.t.Errorf("%s: a second publisher of %s: %v", p.name, name, err)
			}
		}
		if i := s.sessions(); i.Key.String() != path {
			s.t.Errorf("%s: the stream is listed as %v", p.name, i.Key)
		}
		src.finish(v)
	})
}
