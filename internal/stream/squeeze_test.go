package stream

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// rare is an encoder with one key picture, in units of that many bytes.
func rare(size int) *sim.Encoder {
	return sim.New(sim.Options{Video: av.H264, GOP: 1 << 30, KeySize: size, Size: size})
}

// A stream that is squeezed gives up the oldest at once, though nobody writes, and keeps to the bound until it is released.
func TestSqueeze(t *testing.T) {
	s := New(Options{Bytes: 1_005_000, Keep: time.Hour})
	p, e := s.Publish(), rare(10_000)
	write(t, p, e.Take(200)...)
	count := func(want int) {
		t.Helper()
		if n := len(held(t, s)); n != want {
			t.Errorf("%d units, want %d", n, want)
		}
	}
	count(100)
	s.Squeeze(205_000)
	count(20)
	write(t, p, e.Take(50)...)
	count(20)
	s.Squeeze(55_000)
	count(5)
	s.Squeeze(1) // the newest stays
	count(1)
	write(t, p, e.Take(3)...)
	count(1)
	s.Squeeze(1 << 40) // never more than the options say
	write(t, p, e.Take(200)...)
	count(100)
	s.Squeeze(105_000)
	s.Squeeze(0)
	count(10)
	write(t, p, e.Take(30)...)
	count(40)
}

func TestSqueezeEmpty(t *testing.T) {
	s := New(Options{})
	s.Squeeze(1)
	write(t, s.Publish(), rare(10_000).Take(2)...)
	if n := len(held(t, s)); n != 1 {
		t.Errorf("%d units", n)
	}
}

// Readers whose unit is gone jump, those that are near go on, and newcomers wait for a key picture while the newest is gone.
func TestSqueezeUnderReaders(t *testing.T) {
	s := New(Options{Keep: time.Hour})
	p, e := s.Publish(), h264(50)
	far, near := s.NewReader(), s.NewReader()
	write(t, p, e.Take(5)...)
	drain(t, far, nil)
	m := &recorder{}
	v, pl := watch(t, s, m)
	pl.drain(v)
	write(t, p, e.Take(30)...) // 5 to 34
	drain(t, near, nil)
	s.Squeeze(6000) // 9 units
	if got := drain(t, far, nil); len(got) != 0 {
		t.Errorf("got %v of what is gone", seqs(t, got))
	}
	joined := s.NewReader()
	late, latePlayer := watch(t, s, m)
	write(t, p, e.Take(2)...)
	if got := seqs(t, drain(t, near, nil)); !slices.Equal(got, []uint64{35, 36}) || near.Skips() != 0 {
		t.Errorf("one that kept up gets %v, after %d jumps", got, near.Skips())
	}
	write(t, p, e.Take(15)...) // to 51
	want := []uint64{50, 51}
	for _, r := range []*Reader{far, joined} {
		if got := seqs(t, drain(t, r, nil)); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	}
	for _, pl := range []*player{pl, latePlayer} {
		pl.units = nil
	}
	pl.drain(v)
	latePlayer.drain(late)
	if !slices.Equal(seqs(t, pl.units), want) || !slices.Equal(seqs(t, latePlayer.units), want) {
		t.Errorf("viewers got %v and %v", seqs(t, pl.units), seqs(t, latePlayer.units))
	}
	if far.Skips() != 1 || v.Skips() != 1 || joined.Skips() != 0 || late.Skips() != 0 {
		t.Errorf("jumps: %d, %d, %d, %d", far.Skips(), v.Skips(), joined.Skips(), late.Skips())
	}
}

// The bound holds for the bytes of each format too, with all that their chunks keep alive. Formats that nobody watches are given up.
func TestSqueezeShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Keep: time.Hour})
		p, e := s.Publish(), rare(15_900)
		write(t, p, e.Take(2)...)
		muxer := func() Muxer { return plain{} }
		a, _ := s.Watch("a", muxer)
		b, _ := s.Watch("b", muxer)
		defer a.Close()
		write(t, p, e.Take(400)...)
		const bound = 400_000
		check := func(v *Viewer, what string) {
			t.Helper()
			var chunks int
			var last *byte
			r := v.share.ring
			for seq := r.tail.Load(); seq < r.head.Load(); seq++ {
				bytes := r.at(seq).value.bytes
				if end := &bytes[:cap(bytes)][cap(bytes)-1]; end != last {
					chunks += cap(bytes)
					last = end
				}
			}
			if r.bytes > bound || chunks > bound*3/2 {
				t.Errorf("%s: %d bytes in what is left of chunks of %d", what, r.bytes, chunks)
			}
		}
		if s.Rings() != 3 {
			t.Errorf("%d rings", s.Rings())
		}
		b.Close()
		s.Squeeze(bound)
		if s.Rings() != 2 || s.Stats().Shares != 1 {
			t.Errorf("%d rings although nobody watches one", s.Rings())
		}
		if a.share.ring.bytes > bound {
			t.Errorf("%d bytes", a.share.ring.bytes)
		}
		for a.share.chunk != nil { // the one that was begun before
			write(t, p, e.Next())
		}
		write(t, p, e.Next())
		if n := cap(a.share.chunk); n > bound/chunksMin {
			t.Errorf("a chunk of %d bytes", n)
		}
		write(t, p, e.Take(100)...)
		check(a, "watched before")
		c, _ := s.Watch("c", muxer)
		defer c.Close()
		write(t, p, e.Take(100)...)
		check(c, "watched since")
		s.Squeeze(0)
		write(t, p, e.Take(100)...)
		if n := a.share.ring.bytes; n < 2*bound || cap(a.share.chunk) < chunkSize/2 {
			t.Errorf("%d bytes when released", n)
		}
	})
}

// A viewer that lets time pass while the newest key picture has been given up waits for the next, and is told of the parameter sets that
// change before that comes.
func TestRejoinWithoutKey(t *testing.T) {
	s, m := New(Options{}), &recorder{}
	p, e := s.Publish(), sim.New(sim.Options{Video: av.H264, GOP: 10, Size: 1000, KeySize: 1000})
	p.Declare(true, false)
	write(t, p, e.Take(5)...)
	v, err := s.Watch("x", func() Muxer { return m })
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	pl := &player{t: t, m: m}
	read := func() {
		t.Helper()
		for v.Behind() {
			b, err := v.Next(t.Context(), 100_000)
			if err == nil {
				err = pl.read(b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	s.Squeeze(1)
	v.Rejoin()
	s.Squeeze(0)
	e.ChangeVideo()
	for range 16 { // to the next key picture but one: the change comes with the next, which the viewer may miss
		write(t, p, e.Next())
	}
	read()
}
