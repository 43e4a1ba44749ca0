package watch

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// A loop of each class hangs in a step: each stage is told once, at its time, and the last again for each time that it lasts.
func TestStages(t *testing.T) {
	for _, class := range Classes() {
		staged(t, func(t *testing.T, s *scene) {
			limits := class.Limits()
			type told struct {
				stage Stage
				at    time.Duration
			}
			var want, got []told
			for _, w := range []told{{Warned, limits.Warn}, {Bundled, limits.Bundle}, {Acted, limits.Act}, {Acted, 2 * limits.Act}} {
				if w.at == 0 || w.stage == Bundled && limits.Act < limits.Bundle && limits.Act > 0 {
					continue // it is beyond that by then
				}
				want = append(want, w)
			}
			slices.SortFunc(want, func(a, b told) int { return int(a.at - b.at) })
			c := s.Claim(Label{Class: class, Name: "x"})
			defer c.Free()
			c.Begin()
			begin := time.Now()
			for time.Since(begin) < 2*limits.Act+limits.Act/2+limits.Bundle+time.Second {
				time.Sleep(10 * time.Millisecond)
				for _, f := range s.found() {
					got = append(got, told{f.Stage, time.Since(begin)})
					if f.Label.Name != "x" || f.Age > time.Since(begin) || f.Age < time.Since(begin)-20*time.Millisecond {
						t.Errorf("%v: %+v", class.Name(), f)
					}
				}
			}
			got = got[:min(len(got), len(want))] // and so on
			if len(got) != len(want) {
				t.Fatalf("%s: told %v, want %v", class.Name(), got, want)
			}
			for i := range want {
				if got[i].stage != want[i].stage || got[i].at < want[i].at || got[i].at > want[i].at+scanEvery+10*time.Millisecond {
					t.Errorf("%s: told %v, want %v", class.Name(), got, want)
				}
			}
		})
	}
}

// A loop that has nothing to do is never stuck, nor one that does much, nor one whose steps follow each other without an End.
func TestNotStuck(t *testing.T) {
	for name, step := range map[string]func(c *Cell){
		"idle": func(*Cell) {}, "busy": func(c *Cell) { c.End(); c.Begin() }, "one after the other": (*Cell).Begin,
		"between steps": func(c *Cell) { c.Begin(); c.End() },
	} {
		staged(t, func(t *testing.T, s *scene) {
			c := s.Claim(Label{Class: Registry})
			for range 1000 {
				step(c)
				time.Sleep(90 * time.Millisecond)
			}
			if f := s.found(); len(f) > 0 || s.newest().Stuck > 0 || s.newest().Worst.Label != nil {
				t.Errorf("%s: %+v, %+v", name, f, s.newest())
			}
			if name == "busy" && (s.newest().Busy != 1 || s.newest().Moved != 1) || name == "idle" && s.newest().Busy+s.newest().Moved > 0 {
				t.Errorf("%s: %+v", name, s.newest())
			}
			c.Free()
		})
	}
}

// A loop with a beat is stuck when it does not beat.
func TestBeat(t *testing.T) {
	staged(t, func(t *testing.T, s *scene) {
		c := s.Claim(Label{Class: Registry, Beat: time.Second})
		defer c.Free()
		for range 60 {
			c.Begin()
			c.End()
			time.Sleep(900 * time.Millisecond)
		}
		if f := s.found(); len(f) > 0 {
			t.Fatalf("while it beats: %+v", f)
		}
		time.Sleep(4600 * time.Millisecond) // with what has passed, that is 5.5 s
		if got := s.stages(); !slices.Equal(got, []Stage{Warned, Bundled}) {
			t.Errorf("%v", got)
		}
		time.Sleep(4 * time.Second)
		if got := s.stages(); !slices.Equal(got, []Stage{Acted}) {
			t.Errorf("%v", got)
		}
		c.Begin() // it is enough that it goes on
		time.Sleep(300 * time.Millisecond)
		if got := s.stages(); !slices.Equal(got, []Stage{Sound}) {
			t.Errorf("%v", got)
		}
	})
}

// That a loop moves again is told, once, if it was told that it is stuck; the next step has all its time.
func TestRecovery(t *testing.T) {
	for name, end := range map[string]func(c *Cell){
		"idle": (*Cell).End, "next": func(c *Cell) { c.End(); c.Begin() }, "free": (*Cell).Free,
	} {
		staged(t, func(t *testing.T, s *scene) {
			c := s.Claim(Label{Class: Fanout})
			c.Begin()
			time.Sleep(3500 * time.Millisecond)
			s.found()
			end(c)
			time.Sleep(900 * time.Millisecond)
			f := s.found()
			if len(f) != 1 || f[0].Stage != Sound || f[0].Age < 3250*time.Millisecond || f[0].Age > 3750*time.Millisecond {
				t.Errorf("%s: %+v", name, f)
			}
			if name == "next" {
				time.Sleep(350 * time.Millisecond)
				if got := s.stages(); !slices.Equal(got, []Stage{Warned}) {
					t.Errorf("%v", got)
				}
			}
			if name != "free" {
				c.Free()
			}
		})
	}
}

// scanAt has a guard that nobody runs look, at a time of the board's clock.
func scanAt(g *Guard, at time.Duration) { g.scan(int64(at)) }

// The process was paused, in the middle of a step: it has the rest of its time, and two seconds more; what begins soon after it as well.
func TestPause(t *testing.T) {
	for _, pause := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 45 * time.Second, time.Hour} {
		for _, early := range []bool{true, false} {
			b := NewBoard()
			g := NewGuard(GuardOptions{Board: b})
			g.last.Store(int64(time.Second))
			c := b.Claim(Label{Class: Fanout})
			at, left := time.Second, 5*time.Second
			if early { // 4 s before the pause
				c.since.Store(int64(at))
				for range 16 {
					at += scanEvery
					scanAt(g, at)
				}
				left = time.Second - scanEvery // the time of the scan that is late counts as one
			}
			at += pause
			scanAt(g, at)
			awake := at
			if !early {
				c.since.Store(int64(at - time.Second)) // read before the pause, stored after it
			}
			for len(g.found) > 0 {
				<-g.found
			}
			for acted := false; !acted && at < awake+time.Minute; {
				at += scanEvery
				scanAt(g, at)
				for len(g.found) > 0 {
					acted = acted || (<-g.found).Stage == Acted
				}
			}
			if got, want := at-awake, left+afterward; got < want-scanEvery || got > want+scanEvery {
				t.Errorf("pause of %v, step begun before: %v: acted after %v, want %v", pause, early, got, want)
			}
			if g.pulse.Pauses != 1 {
				t.Errorf("%d pauses", g.pulse.Pauses)
			}
		}
	}
}

// A process that is paused again and again still finds what hangs in it.
func TestPausesWithoutEnd(t *testing.T) {
	b := NewBoard()
	g := NewGuard(GuardOptions{Board: b})
	c := b.Claim(Label{Class: Fanout})
	c.since.Store(1)
	for at := time.Duration(0); at < time.Minute; at += 400 * time.Millisecond {
		scanAt(g, at)
	}
	if len(g.found) == 0 || g.pulse.Pauses < 100 || g.pulse.Worst.Age < 20*time.Second {
		t.Errorf("%d findings, %+v", len(g.found), g.pulse)
	}
}

// While others have the processors all may take four times as long, beats too.
func TestStarved(t *testing.T) {
	for _, beat := range []time.Duration{0, time.Second} {
		staged(t, func(t *testing.T, s *scene) {
			s.starved.Store(true)
			c := s.Claim(Label{Class: Fanout, Beat: beat})
			defer c.Free()
			if beat == 0 {
				c.Begin()
			}
			time.Sleep(patience*(5*time.Second+beat) - 100*time.Millisecond)
			if got := s.stages(); !slices.Equal(got, []Stage{Warned, Bundled}) || s.newest().Stuck > 0 || !s.newest().Starved {
				t.Errorf("%v, %+v", got, s.newest())
			}
			time.Sleep(2 * scanEvery)
			if got := s.stages(); !slices.Equal(got, []Stage{Acted}) || s.newest().Stuck != 1 {
				t.Errorf("%v, %+v", got, s.newest())
			}
			s.starved.Store(false) // it is no recovery when that ends, or begins
			time.Sleep(scanEvery)
			s.starved.Store(true)
			time.Sleep(scanEvery)
			for _, f := range s.found() {
				if f.Stage != Acted {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// Only those for which the process may be replaced doom it, and only when they were not healed within a second.
func TestDoomed(t *testing.T) {
	staged(t, func(t *testing.T, s *scene) {
		one, other := s.Claim(Label{Class: Fanout, Name: "one"}), s.Claim(Label{Class: Registry, Name: "other"})
		one.Begin()
		time.Sleep(time.Second)
		other.Begin()
		time.Sleep(8500 * time.Millisecond)
		if p := s.newest(); p.Doomed.Label != nil || p.Stuck != 2 || p.Worst.Label.Name != "one" {
			t.Errorf("%+v", p)
		}
		time.Sleep(time.Second)
		if p := s.newest(); p.Doomed.Label == nil || p.Doomed.Label.Name != "other" || p.Busy != 2 || p.Moved != 0 {
			t.Errorf("%+v", p)
		}
		other.Abandon()
		time.Sleep(scanEvery)
		if p := s.newest(); p.Doomed.Label != nil || p.Stuck != 1 {
			t.Errorf("%+v", p)
		}
		one.Free()
		other.Free()
	})
}

// What the healer does not take is bounded, and told later.
func TestFindingsAreBounded(t *testing.T) {
	staged(t, func(t *testing.T, s *scene) {
		cells := make([]*Cell, findings+10)
		for i := range cells {
			cells[i] = s.Claim(Label{Class: Fanout, Name: strconv.Itoa(i)})
			cells[i].Begin()
		}
		time.Sleep(1300 * time.Millisecond)
		synctest.Wait()
		seen := map[string]bool{}
		for range 2 {
			if len(s.guard.found) != min(findings, len(cells)-len(seen)) {
				t.Errorf("%d findings", len(s.guard.found))
			}
			for _, f := range s.found() {
				seen[f.Label.Name] = true
			}
			time.Sleep(scanEvery)
			synctest.Wait()
		}
		if len(seen) != len(cells) || s.guard.Lost() == 0 {
			t.Errorf("%d cells were told of, %d findings were lost", len(seen), s.guard.Lost())
		}
		for _, c := range cells {
			c.Free()
		}
	})
}

// A cell that is given back and taken again between two looks, in whatever state, is a new one.
func TestReclaimed(t *testing.T) {
	for _, busy := range []bool{true, false} {
		staged(t, func(t *testing.T, s *scene) {
			c := s.Claim(Label{Class: Fanout, Name: "old"})
			c.Begin()
			time.Sleep(4900 * time.Millisecond)
			s.found()
			c.Free()
			d := s.Claim(Label{Class: Fanout, Name: "new", Beat: time.Second})
			if d != c {
				t.Fatal("it is another cell")
			}
			if busy {
				d.Begin()
			}
			time.Sleep(900 * time.Millisecond)
			if f := s.found(); len(f) != 1 || f[0].Stage != Sound || f[0].Label.Name != "old" {
				t.Errorf("%+v", f)
			}
			d.Free()
		})
	}
}

// A loop that was given up on is nobody's trouble any more; its goroutine frees the cell when it goes on.
func TestAbandon(t *testing.T) {
	staged(t, func(t *testing.T, s *scene) {
		c := s.Claim(Label{Class: Registry, Name: "x", Session: "y"})
		c.Begin()
		time.Sleep(8500 * time.Millisecond)
		s.found()
		c.Abandon()
		time.Sleep(time.Minute)
		if f := s.found(); len(f) > 0 || s.newest().Stuck > 0 {
			t.Errorf("%+v, %+v", f, s.newest())
		}
		st := s.States()
		if len(st) != 1 || st[0].Class != Abandoned || st[0].Name != "x" || st[0].Session != "y" || st[0].Busy < time.Minute {
			t.Errorf("%+v", st)
		}
		c.End()
		c.Begin()
		c.End()
		c.Free()
		c.Abandon() // too late: it does not come back
		time.Sleep(scanEvery)
		if len(s.States()) > 0 || s.newest().Cells > 0 || len(s.found()) > 0 {
			t.Errorf("%+v, %+v", s.States(), s.newest())
		}
	})
}

// The guard's look at a thousand cells, of which some are stuck, and at those that come and go, allocates nothing.
func TestScanAllocatesNothing(t *testing.T) {
	b := NewBoard()
	g := NewGuard(GuardOptions{Board: b, Starved: NewStarved(), Beat: func(*Pulse) {}})
	cells := make([]*Cell, 2000)
	for i := range cells {
		cells[i] = b.Claim(Label{Class: Class(i) % classes, Beat: time.Duration(i%2) * time.Second}) //nolint:gosec // a handful
	}
	at := time.Second
	if n := testing.AllocsPerRun(1000, func() {
		at += scanEvery
		for i, c := range cells {
			switch i % 3 {
			case 0: // hangs
				c.since.CompareAndSwap(0, int64(at))
			case 1:
				c.done.Add(1)
			}
		}
		scanAt(g, at)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if g.pulse.Cells != len(cells) || g.pulse.Stuck == 0 || g.Lost() == 0 {
		t.Errorf("%+v, %d lost", g.pulse, g.Lost())
	}
}

// How the guard itself is: what it tells others of that.
func TestGuardTells(t *testing.T) {
	staged(t, func(t *testing.T, s *scene) {
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s.guard.Scans() != 40 || s.newest().Scan != 40 || s.guard.Looked() > scanEvery || s.newest().Pauses > 0 {
			t.Errorf("%d scans, %v ago, %+v", s.guard.Scans(), s.guard.Looked(), s.newest())
		}
	})
}

func BenchmarkScan(b *testing.B) {
	board := NewBoard()
	g := NewGuard(GuardOptions{Board: board})
	for range 1000 {
		board.Claim(Label{Class: Session})
	}
	at := time.Second
	for b.Loop() {
		at += scanEvery
		scanAt(g, at)
	}
}
