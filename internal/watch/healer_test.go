package watch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// heals runs a healer over findings and returns what it told of them.
func heals(t *testing.T, o HealerOptions, all ...Finding) (h *Healer, out []Outcome) {
	t.Helper()
	o.Tell = func(_ Finding, is Outcome) { out = append(out, is) }
	h = NewHealer(o)
	ctx, cancel := context.WithCancel(t.Context())
	findings, done := make(chan Finding), make(chan error, 1)
	go func() { done <- h.Run(ctx, findings) }()
	for _, f := range all {
		findings <- f
	}
	synctest.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return h, out
}

func TestHealer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healed := 0
		l := &Label{Class: Fanout, Heal: func(Finding) { healed++ }}
		var evidence []Stage
		h, out := heals(t, HealerOptions{Evidence: func(f Finding, _ Outcome) { evidence = append(evidence, f.Stage) }},
			Finding{Label: l, Stage: Warned}, Finding{Label: l, Stage: Bundled}, Finding{Label: l, Stage: Acted},
			Finding{Label: l, Stage: Acted, Again: 1}, Finding{Label: l}, Finding{Label: &Label{}, Stage: Acted})
		if want := []Outcome{Noted, Noted, Healed, Healed, Sounds, Baffled}; !slices.Equal(out, want) || healed != 2 || h.Count(Fanout) != 2 {
			t.Errorf("%v, healed %d times, counted %d", out, healed, h.Count(Fanout))
		}
		if !slices.Equal(evidence, []Stage{Bundled, Acted, Acted, Acted}) {
			t.Errorf("evidence at %v", evidence)
		}
	})
}

func TestHealerSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := Finding{Label: &Label{Class: Fanout, Heal: func(Finding) { t.Error("it does something") }}, Stage: Acted}
		if h, out := heals(t, HealerOptions{DryRun: true}, f); out[0] != Spared || h.Count(Fanout) != 1 {
			t.Errorf("%v, %d", out, h.Count(Fanout))
		}
		if h, out := heals(t, HealerOptions{Hold: func() bool { return true }}, f); out[0] != Withheld || h.Count(Fanout) != 0 {
			t.Errorf("%v, %d", out, h.Count(Fanout))
		}
		full := func(string, func()) error { return errors.New("full") }
		f.Label.Class = Registry
		h, out := heals(t, HealerOptions{Go: full}, f, f, f, f)
		if slices.ContainsFunc(out, func(o Outcome) bool { return o != Crowded }) || h.Count(Registry) != 0 { // nor does it cost the budget
			t.Errorf("%v, %d", out, h.Count(Registry))
		}
	})
}

// What takes long is done elsewhere: the next finding does not wait for it.
func TestHealerDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block, names := make(chan struct{}), ""
		f := Finding{Label: &Label{Class: Fanout, Name: "x", Heal: func(Finding) { <-block }}, Stage: Acted}
		_, out := heals(t, HealerOptions{Go: func(name string, fn func()) error { names += name + ";"; go fn(); return nil }}, f, f)
		if !slices.Equal(out, []Outcome{Healed, Healed}) || names != "heal x;heal x;" {
			t.Errorf("%v, %q", out, names)
		}
		close(block)
	})
}

// What comes while too much is being healed is seen to as soon as there is room, and not only when the guard tells of it again.
func TestHealerTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, all = 8, 64
		busy, healed := 0, 0
		var mu sync.Mutex
		f := Finding{Stage: Acted, Label: &Label{Class: Request, Heal: func(Finding) { mu.Lock(); healed++; mu.Unlock() }}}
		run := func(_ string, fn func()) error {
			mu.Lock()
			defer mu.Unlock()
			if busy == most {
				return errors.New("full")
			}
			busy++
			go func() {
				time.Sleep(time.Millisecond)
				fn()
				mu.Lock()
				busy--
				mu.Unlock()
			}()
			return nil
		}
		h := NewHealer(HealerOptions{Go: run})
		ctx, cancel := context.WithCancel(t.Context())
		findings, done := make(chan Finding), make(chan error, 1)
		go func() { done <- h.Run(ctx, findings) }()
		for range all {
			findings <- f
		}
		time.Sleep(time.Second)
		cancel()
		err := <-done
		mu.Lock()
		defer mu.Unlock()
		if err != nil || healed != all || h.Count(Request) != all || len(h.queue) != 0 {
			t.Errorf("%d of %d are healed, %d counted, %d left: %v", healed, all, h.Count(Request), len(h.queue), err)
		}
	})
}

// A class has a budget of its own, that comes back with time.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealer(HealerOptions{})
		see := func(c Class) Outcome {
			return h.see(Finding{Label: &Label{Class: c, Heal: func(Finding) {}}, Stage: Acted})
		}
		most := Registry.Limits().Budget
		for i := range most + 3 {
			if got := see(Registry); (got == Healed) != (i < most) || i >= most && got != Spent {
				t.Errorf("number %d: %v", i, got)
			}
			time.Sleep(time.Second)
		}
		if see(Accept) != Healed || see(Fanout) != Healed || see(Timer) != Healed {
			t.Error("one class uses up the budget of another")
		}
		time.Sleep(BudgetTime - time.Duration(most+3)*time.Second - time.Millisecond)
		if see(Registry) != Spent {
			t.Error("it comes back too early")
		}
		time.Sleep(time.Millisecond)
		if see(Registry) != Healed || see(Registry) != Spent {
			t.Error("it does not come back one by one")
		}
		for range 100 {
			if see(Fanout) != Healed {
				t.Error("a class without a budget has one")
			}
		}
		if h.Count(Registry) != uint64(most+1) {
			t.Errorf("%d are counted", h.Count(Registry))
		}
	})
}
