package egress

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// real runs a test with the engines whose connections can be listened to.
func real(t *testing.T, test func(t *testing.T, g engine)) {
	t.Helper()
	some(t, func(g engine) bool { return g.name != "fake" }, test)
}

func (c *client) listen(wait func(ctx context.Context) error) error {
	return c.link.Listen(c.ctx, wait)
}

// unplayed tells the session that its link was never played, for the clean-up.
func (c *client) unplayed() { c.Ended(nil) }

func TestListenAnswers(t *testing.T) {
	real(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		units := r.write(1)
		c := g.client(r)
		err := c.listen(func(context.Context) error {
			for range 20 {
				c.say("q")
				c.answer('q')
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.play()
		c.want("HCU", units...)
		c.say("q")
		c.answer('q')
		if got := c.saw(); got != strings.Repeat("q", 21) {
			t.Errorf("heard %q", got)
		}
	})
}

// What the peer says at any moment while the link passes from the listener to the engine reaches the session, in order.
func TestListenLosesNothing(t *testing.T) {
	real(t, func(t *testing.T, g engine) {
		for range 4 {
			r := newRig(t, Options{})
			r.write(1)
			c := g.client(r)
			c.hear = func([]byte) error { return nil }
			var text strings.Builder
			for i := range 600 {
				text.WriteByte(byte('a' + i%26))
			}
			half := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; i < text.Len(); i += 20 {
					if i == text.Len()/2 {
						close(half)
					}
					if _, err := io.WriteString(c.peer, text.String()[i:i+20]); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() { drain(c.peer) })
			err := c.listen(func(context.Context) error { <-half; return nil })
			if err != nil {
				t.Fatal(err)
			}
			c.play()
			limit := time.After(10 * time.Second)
			for c.saw() != text.String() {
				select {
				case <-limit:
					t.Fatalf("heard %d of %d bytes", len(c.saw()), text.Len())
				case <-time.After(time.Millisecond):
				}
			}
			c.cancel(errOver)
			_ = c.end()
			_ = c.peer.Close()
			wg.Wait()
		}
	})
}

func TestListenPeerLeaves(t *testing.T) {
	real(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		c := g.client(r)
		_ = c.peer.Close()
		err := c.listen(func(ctx context.Context) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrLeft) {
				t.Error(context.Cause(ctx))
			}
			return context.Cause(ctx)
		})
		if !errors.Is(err, ErrLeft) {
			t.Error(err)
		}
		c.unplayed()
	})
}

// It counts that the peer has left, even if the wait was a success.
func TestListenPeerHasLeft(t *testing.T) {
	real(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		c := g.client(r)
		_ = c.peer.Close()
		err := c.listen(func(ctx context.Context) error { <-ctx.Done(); return nil })
		if !errors.Is(err, ErrLeft) {
			t.Error(err)
		}
		c.unplayed()
	})
}

func TestListenErrors(t *testing.T) {
	real(t, func(t *testing.T, g engine) {
		r := newRig(t, Options{})
		c := g.client(r)
		go c.say("e")
		err := c.listen(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		if !errors.Is(err, errSession) {
			t.Error(err)
		}
		c.unplayed()

		c = g.client(r)
		go c.say("!")
		err = c.listen(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		if !isPanic(err) {
			t.Error(err)
		}
		c.unplayed()

		c = g.client(r)
		if err = c.listen(func(context.Context) error { return errOver }); !errors.Is(err, errOver) {
			t.Error(err)
		}
		c.unplayed()

		c = g.client(r)
		err = c.listen(func(ctx context.Context) error {
			c.cancel(errOver)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if !errors.Is(err, errOver) {
			t.Error(err)
		}
		c.unplayed()
	})
}

// A peer that does not take its answers while it waits cannot hold up whoever ends it.
func TestListenKickWhileAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{StallTimeout: time.Minute})
		c := engines[1].client(r)
		go c.say("q") // and reads nothing
		begin := time.Now()
		err := c.listen(func(ctx context.Context) error {
			time.Sleep(time.Second)
			c.cancel(errOver)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if took := time.Since(begin); !errors.Is(err, errOver) || took > 2*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		c.unplayed()
	})
}

// A reply of which only a part was taken is an error, also when the wait is over.
func TestListenCutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{StallTimeout: 10 * time.Second})
		c := engines[1].client(r)
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			c.say("q")
			_, _ = io.ReadFull(c.peer, make([]byte, 3))
		})
		err := c.listen(func(context.Context) error { time.Sleep(time.Second); return nil })
		if err == nil {
			t.Errorf("nil after %v, although an answer was cut", time.Since(begin))
		}
		wg.Wait()
		c.unplayed()
	})
}

// A wait that panics leaves no listener behind when the connection is closed.
func TestListenWaitPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		c := engines[1].client(r)
		func() {
			defer func() { _ = recover() }()
			_ = c.listen(func(context.Context) error { panic("wait") })
		}()
		_ = c.peer.Close()
		c.unplayed()
	})
}
