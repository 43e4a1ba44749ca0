package hub

import (
	"context"
	"errors"
	"testing"
	"time"
)

// accepts returns what a publication does from its beginning to its end: it is let in, writes one unit, finishes.
func accepts(t testing.TB) func() {
	t.Helper()
	h, u, q := New(DefaultConfig(), nil), encoder(0).Next(), requestFrom("a", 1)
	return func() {
		l, err := h.Publish(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		unit := *u
		if err := l.Write(&unit); err != nil {
			t.Fatal(err)
		}
		l.Finish(nil)
	}
}

var denies = authorizer(func(context.Context, Action, Request) (Permit, error) { return Permit{}, ErrDenied })

// refusals are the ways in which an attempt is refused for next to nothing.
var refusals = []struct {
	name   string
	change func(c *Config)
	auth   Authorizer
	want   error
}{
	{"reject", reject, nil, ErrBusy},
	{"challenge", nil, nil, ErrBusy},
	{"denied", nil, denies, ErrDenied},
}

// refuses returns such an attempt, by one that has tried a moment ago.
func refuses(t testing.TB, change func(c *Config), auth Authorizer, want error) func() {
	t.Helper()
	h, q := New(config(change), auth), requestFrom("a", 2)
	a, v := attempt{q.Remote.Addr(), q.Key}, verdict{err: ErrDenied}
	if auth == nil {
		l := take(t, h, requestFrom("a", 1))
		t.Cleanup(func() { l.Release(nil) })
		v = verdict{owner: l}
	}
	n := 0
	return func() {
		if n++; n%1000 == 1 && h.cfg().Publish.OnConflict != Reject {
			if _, ask, _ := h.attempts.begin(a, q.Query); ask { // or else it gets too old
				h.attempts.settle(a, v, false)
			}
		}
		if _, err := h.Publish(ctx, q); !errors.Is(err, want) {
			t.Fatal(err)
		}
	}
}

// BenchmarkPublish is a publication of one unit.
func BenchmarkPublish(b *testing.B) {
	f := accepts(b)
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}

// BenchmarkRefused is an attempt to publish that fails: because of a healthy owner that nobody may displace, or that has answered
// a challenge of the same address a moment ago, or because the authorizer has denied it a moment ago.
func BenchmarkRefused(b *testing.B) {
	for _, r := range refusals {
		b.Run(r.name, func(b *testing.B) {
			f := refuses(b, r.change, r.auth, r.want)
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

// A refusal costs less than a tenth of an acceptance: in allocations, which are always the same. The times are for the reader:
// without the race detector they were 0.2 to 4 µs, an eighteenth.
func TestRefusalIsCheap(t *testing.T) {
	const runs = 300
	accept := accepts(t)
	most := testing.AllocsPerRun(runs, accept) / 10
	t.Logf("accepted: %v, %v allocations", quickest(accept), most*10)
	for _, r := range refusals {
		f := refuses(t, r.change, r.auth, r.want)
		n := testing.AllocsPerRun(runs, f)
		t.Logf("%s: %v, %v allocations", r.name, quickest(f), n)
		if n > most {
			t.Errorf("%s: %v allocations, may have %v", r.name, n, most)
		}
	}
}

// quickest is what f takes when nobody is in its way.
func quickest(f func()) time.Duration {
	best := time.Hour
	for range 20 {
		const runs = 50
		begin := time.Now()
		for range runs {
			f()
		}
		best = min(best, time.Since(begin)/runs)
	}
	return best
}
