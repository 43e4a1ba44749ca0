package supervise

import (
	"strings"
	"testing"
	"time"
)

// sound is what a worker that is well looks like, changed by how.
func sound(how func(*signs)) signs {
	s := signs{serving: time.Minute, probed: true, state: 'S'}
	how(&s)
	return s
}

// TestJudge goes through the signs: two that do not depend on each other must agree before a worker is replaced.
func TestJudge(t *testing.T) {
	t.Parallel()
	const s = time.Second
	stuck := beat{Doomed: "registry hub", DoomedAge: 9 * s}
	for _, c := range []struct {
		name     string
		how      func(*signs)
		what     string // contained in what is said; "": nothing is wrong
		replaced bool
	}{
		{"all is well", func(*signs) {}, "", false},
		{"a probe or two fail", func(g *signs) { g.misses = probeBad - 1 }, "", false},
		{"probes fail, heartbeats come", func(g *signs) { g.misses = 100 }, "100 probes have failed", false},
		{"silent for a moment", func(g *signs) { g.beatAge = beatLost; g.misses = 2 }, "", false},
		{"silent, probes succeed", func(g *signs) { g.beatAge = time.Hour }, "no heartbeat", false},
		{"silent, few probes fail", func(g *signs) { g.beatAge = 6 * s; g.misses = probeDead - 1 }, "no heartbeat", false},
		{"silent, probes fail", func(g *signs) { g.beatAge = 6 * s; g.misses = probeDead }, "for 6s, and 5 probes have failed", true},
		{"silent, nobody probes", func(g *signs) { g.beatAge = 9 * s; g.probed = false }, "no heartbeat", false},
		{"silent for long, nobody probes", func(g *signs) { g.beatAge = 11 * s; g.probed = false }, "no heartbeat for 11s", true},

		{"stopped for a moment", func(g *signs) { g.beatAge = 4 * s; g.state = 'T'; g.misses = 2 }, "", false},
		{"stopped, one probe fails", func(g *signs) { g.beatAge = 6 * s; g.state = 'T'; g.misses = 1 }, "stopped (state T)", false},
		{"stopped, probes fail", func(g *signs) { g.beatAge = 6 * s; g.state = 'T'; g.misses = probeSick }, "stopped (state T)", true},
		{"stopped, nobody probes", func(g *signs) { g.beatAge = 6 * s; g.state = 'T'; g.probed = false }, "stopped (state T)", true},
		{"a zombie", func(g *signs) { g.beatAge = 6 * s; g.state = 'Z'; g.misses = probeSick }, "state Z", true},
		{"stuck in the kernel", func(g *signs) { g.beatAge = 6 * s; g.state = 'D'; g.misses = probeSick }, "no heartbeat", false},

		{"a loop is stuck", func(g *signs) { g.beat = stuck }, "registry hub is stuck for 9s", false},
		{"a loop is stuck, probes fail", func(g *signs) { g.beat = stuck; g.misses = probeSick }, "registry hub", true},
		{"a loop was stuck when it was last heard", func(g *signs) { g.beat = stuck; g.beatAge = 3 * s; g.misses = probeSick }, "", false},

		{"debugged", func(g *signs) { g.beatAge = time.Hour; g.state = 'T'; g.misses = 100; g.traced = true }, "stopped", false},
		{"debugged, a loop is stuck", func(g *signs) { g.beat = stuck; g.misses = 100; g.traced = true }, "registry hub", false},
		{"just begun", func(g *signs) { g.beatAge = 9 * s; g.misses = 100; g.serving = 9 * s }, "no heartbeat", false},

		{"starved", func(g *signs) { g.beatAge = 4 * beatLost; g.misses = 4 * probeDead; g.starved = true }, "probes have failed", false},
		{"starved for long", func(g *signs) { g.beatAge = 21 * s; g.misses = 4 * probeDead; g.starved = true }, "no heartbeat for 21s", true},
		{"starved, few probes fail", func(g *signs) { g.beatAge = 21 * s; g.misses = 4*probeDead - 1; g.starved = true }, "no heartbeat", false},
		{"starved as it says itself, a loop is stuck", func(g *signs) {
			g.beat = stuck
			g.beat.Starved = true
			g.misses = 4*probeSick - 1
		}, "registry hub", false},
		{"starved, and stopped", func(g *signs) { g.beatAge = 6 * s; g.state = 'T'; g.misses = 2; g.starved = true }, "stopped", true},
		{"starved, and idle", func(g *signs) { g.beatAge = 6 * s; g.idle = true; g.misses = 5; g.starved = true }, "no heartbeat", true},
	} {
		f := judge(sound(c.how))
		if c.what == "" && f != (finding{}) {
			t.Errorf("%s: %+v, and nothing is wrong", c.name, f)
		}
		if c.what != "" && (!strings.Contains(f.what, c.what) || !f.evidence) {
			t.Errorf("%s: %+v does not say %q, or wants no evidence", c.name, f, c.what)
		}
		if f.replace != c.replaced {
			t.Errorf("%s: replaced is %v", c.name, f.replace)
		}
	}
}

// TestBudget: what is over the budget counts, too, and all of it is forgotten in time.
func TestBudget(t *testing.T) {
	t.Parallel()
	b, now := budget{most: 3, span: time.Minute}, time.Now()
	for i, want := range []bool{true, true, true, false, false} {
		if got := b.spend(now.Add(time.Duration(i) * time.Second)); got != want {
			t.Errorf("%d: %v", i, got)
		}
	}
	for after, want := range map[time.Duration]int{59 * time.Second: 5, 62 * time.Second: 2, 64 * time.Second: 0} {
		c := budget{most: b.most, span: b.span, at: b.at}
		if got := c.spent(now.Add(after)); got != want {
			t.Errorf("after %v: %d, want %d", after, got, want)
		}
	}
}
