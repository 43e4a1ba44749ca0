package egress

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	const ms = instant(time.Millisecond)
	type step struct {
		do     byte    // n(ote), p(rompt note), s(ent)
		at     instant // in ms
		poke   bool    // what note says
		due    instant // after it, in ms, without an interval
		spread instant // the same, with an interval of 100 ms
	}
	const hold, interval = 40 * time.Millisecond, 100 * time.Millisecond
	for name, steps := range map[string][]step{
		"nothing":               {{do: 's', at: 5}},
		"picture at once":       {{'p', 7, true, 7, 100}, {'s', 7, false, 0, 0}},
		"sound is held":         {{'n', 7, false, 47, 100}},
		"from the oldest on":    {{'n', 7, false, 47, 100}, {'n', 30, false, 47, 100}, {'n', 60, false, 47, 100}},
		"rides with picture":    {{'n', 7, false, 47, 100}, {'p', 20, true, 7, 100}, {'s', 20, false, 0, 0}},
		"one poke":              {{'p', 7, true, 7, 100}, {'p', 8, false, 7, 100}, {'n', 9, false, 7, 100}},
		"picture, then sound":   {{'p', 7, true, 7, 100}, {'s', 8, false, 0, 0}, {'n', 9, false, 49, 108}},
		"again after sent":      {{'p', 7, true, 7, 100}, {'s', 7, false, 0, 0}, {'p', 47, true, 47, 107}, {'s', 107, false, 0, 0}},
		"sound beyond interval": {{'s', 10, false, 0, 0}, {'n', 100, false, 140, 140}},
	} {
		t.Run(name, func(t *testing.T) {
			var p pace
			p.last = 0
			for i, s := range steps {
				switch s.do {
				case 's':
					p.sent(s.at * ms)
				default:
					if got := p.note(s.at*ms, s.do == 'p'); got != s.poke {
						t.Errorf("step %d: note says %v", i, got)
					}
				}
				if got := p.due(0, hold); got != s.due*ms {
					t.Errorf("step %d: due at %v, want %v ms", i, time.Duration(got), s.due)
				}
				if got := p.due(interval, hold); got != s.spread*ms {
					t.Errorf("step %d: with an interval due at %v, want %v ms", i, time.Duration(got), s.spread)
				}
			}
		})
	}
}

// The pace and a trivial model agree on any sequence.
func TestPaceModel(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var p pace
		var oldest, last instant
		prompt, now := false, instant(1)
		for step := range 200 {
			now += instant(rnd.IntN(30)) * instant(time.Millisecond)
			switch rnd.IntN(4) {
			case 0, 1:
				is := rnd.IntN(3) == 0
				want := is && !prompt
				if got := p.note(now, is); got != want {
					t.Fatalf("seed %d, step %d: note says %v, want %v", seed, step, got, want)
				}
				if oldest == 0 {
					oldest = now
				}
				prompt = prompt || is
			case 2:
				p.sent(now)
				oldest, prompt, last = 0, false, now
			}
			hold, interval := time.Duration(rnd.IntN(50))*time.Millisecond, time.Duration(rnd.IntN(200))*time.Millisecond
			want := instant(0)
			if oldest != 0 {
				want = oldest
				if !prompt {
					want = want.add(hold)
				}
				want = max(want, last.add(interval))
			}
			if got := p.due(interval, hold); got != want {
				t.Fatalf("seed %d, step %d: due at %d, want %d", seed, step, got, want)
			}
			if got := p.since(); got != oldest {
				t.Fatalf("seed %d, step %d: since %d, want %d", seed, step, got, oldest)
			}
		}
	}
}

// However many publishers note things, an owner that sleeps until it is poked sees each that should not wait.
func TestPaceLosesNoPrompt(t *testing.T) {
	var p pace
	var appended [4]atomic.Int64 // by each publisher
	wake := make(chan struct{}, 1)
	const each = 20_000
	var wg sync.WaitGroup
	for i := range appended {
		wg.Go(func() {
			for n := range instant(each) {
				prompt := n%3 == 0 || n == each-1
				appended[i].Store(int64(n) + 1)
				if p.note(n+1, prompt) {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	seen := func() (all int64) {
		for i := range appended {
			all += appended[i].Load()
		}
		return all
	}
	limit := time.After(30 * time.Second)
	for now, all := instant(1), int64(0); all < int64(len(appended))*each; now++ {
		select {
		case <-wake:
		case <-limit:
			t.Fatalf("a prompt note was lost: %d seen of %d", all, seen())
		}
		for p.due(0, time.Hour) != 0 && p.due(0, time.Hour) < instant(time.Minute) {
			p.sent(now)
			all = seen()
		}
	}
	wg.Wait()
}

func BenchmarkPace(b *testing.B) {
	var p pace
	for i := 0; b.Loop(); i++ {
		if p.note(instant(i+1), i%2 == 0) {
			p.sent(instant(i + 1))
		}
	}
}
