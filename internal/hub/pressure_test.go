package hub

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

// What all streams may keep is shared out, each gets something, and those that come later get their part when it is done again.
func TestSqueeze(t *testing.T) {
	const unit = 10_000
	over, end := context.WithCancel(ctx)
	end()
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		kept := func(l *Lease) int { // units that a newcomer is sent, 0 when the key picture is gone
			r := l.Stream().NewReader()
			n, _ := r.Read(over, make([]stream.Entry, 1000))
			return n
		}
		fill := func(name string) *Lease {
			l := publish(t, h, name, nil)
			write(t, l, sim.New(sim.Options{Video: av.H264, GOP: 1 << 30, KeySize: unit, Size: unit}), 50)
			return l
		}
		h.Squeeze(1000, 10) // there is nothing to be shared out
		a, b := fill("a"), fill("b")
		h.Squeeze(120*unit, 10)
		if kept(a) != 50 || kept(b) != 50 {
			t.Errorf("%d and %d units are kept, though there is room for all", kept(a), kept(b))
		}
		c := fill("c")
		if kept(c) != 50 {
			t.Errorf("%d units", kept(c))
		}
		h.Squeeze(120*unit, 60*unit)
		if kept(a) != 50 || kept(b) != 50 || kept(c) != 50 {
			t.Error("less is kept than each may")
		}
		h.Squeeze(120*unit, 10)
		if kept(a) != 0 || kept(b) != 0 || kept(c) != 0 {
			t.Error("more is kept than all may together")
		}
		h.Squeeze(0, 0)
		d := fill("d")
		if kept(d) != 50 {
			t.Errorf("%d units when memory suffices again", kept(d))
		}
		for _, l := range []*Lease{a, b, c, d} {
			l.Finish(errors.New("done"))
		}
	})
}

// Who joins just after a splice is let in when the tracks of the new publisher are known; before it, at once.
func TestJoinAfterSplice(t *testing.T) {
	scene(t, nil, nil, func(t *testing.T, h *Hub, _ *journal) {
		both := func() *sim.Encoder { return sim.New(sim.Options{Video: av.H264, Audio: av.AAC}) }
		l := take(t, h, request("a"))
		l.Declare(true, true)
		write(t, l, both(), 20)
		v := play(t, h, "a")
		l.Release(errors.New("cut"))
		within := play(t, h, "a")
		l = take(t, h, request("a"))
		l.Declare(true, true)
		e := both()
		write(t, l, e, 1) // a key picture
		late := make(chan *Viewing)
		go func() { late <- play(t, h, "a") }()
		synctest.Wait()
		select {
		case <-late:
			t.Fatalf("a viewer is let in when %d of 2 declared tracks are known", len(l.Stream().Tracks()))
		default:
		}
		write(t, l, e, 1)
		w := <-late
		if n := len(w.Stream().Tracks()); n != 2 {
			t.Errorf("%d tracks", n)
		}
		for _, v := range []*Viewing{v, within, w} {
			v.Release(nil)
		}
		l.Finish(errors.New("done"))
	})
}
