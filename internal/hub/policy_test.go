package hub

import (
	"testing"
	"time"
)

func TestFits(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"live/a", "live/a", true},
		{"live/a", "live/ab", false},
		{"live/a", "xlive/a", false},
		{"", "", true},
		{"", "live/a", false},
		{"*", "", true},
		{"*", "live/a/b", true},
		{"live/*", "live/a/b", true},
		{"live/*", "live/", true},
		{"live/*", "lives/a", false},
		{"*/a", "live/a", true},
		{"*/a", "live/b/a", true},
		{"*/a", "live/ab", false},
		{"live/*/hd", "live/a/hd", true},
		{"live/*/hd", "live/hd", false}, // the slashes do not overlap
		{"live/*/hd", "live//hd", true},
		{"live/*/hd", "live/a/hd/x", false},
		{"*a*b*", "xaxbx", true},
		{"*a*b*", "xbxax", false},
		{"a*a", "a", false}, // one letter is not two
		{"a*a", "aa", true},
		{"ab*ba", "aba", false},
		{"a**b", "ab", true},
		{"**", "", true},
		{"*ab*abc", "xabababc", true},
		{"*aab", "aaab", true},
		{"*aab*", "aaab", true},
		{"live/?", "live/a", false}, // no other sign is special
		{"live/[a]", "live/a", false},
		{"live/Küche*", "live/Küche 1", true},
	} {
		if got := Fits(tc.pattern, tc.name); got != tc.want {
			t.Errorf("%q and %q: %v", tc.pattern, tc.name, got)
		}
	}
}

func TestPolicyFor(t *testing.T) {
	c := PublishConfig{OnConflict: Challenge, Conflicts: map[string]Policy{
		"*": Standby, "live/*": Takeover, "live/stage*": Reject, "*/stage1": Challenge, "other.example/live/*": Standby,
	}}
	for _, tc := range []struct {
		k    Key
		want Policy
	}{
		{key("x"), Takeover},
		{key("stage"), Reject},
		{key("stage1"), Reject}, // the longer pattern
		{Key{DefaultVHost, "app", "stage1"}, Challenge},
		{Key{DefaultVHost, "app", "x"}, Standby},
		{Key{"other.example", "live", "x"}, Standby},
	} {
		if got := c.policyFor(tc.k); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.k, got, tc.want)
		}
	}
	c.Conflicts = nil
	if got := c.policyFor(key("x")); got != Challenge {
		t.Error(got)
	}
}

// Two patterns of the same length that fit the same name: the choice is always the same.
func TestPolicyOfEqualPatterns(t *testing.T) {
	c := PublishConfig{OnConflict: Challenge, Conflicts: map[string]Policy{"live/a*": Takeover, "live/*a": Reject}}
	first := c.policyFor(key("a"))
	for range 100 {
		if got := c.policyFor(key("a")); got != first {
			t.Fatalf("%v, and then %v", first, got)
		}
	}
}

func TestConflictsByPattern(t *testing.T) {
	scene(t, func(c *Config) {
		c.Publish.Conflicts = map[string]Policy{"live/t*": Takeover, "live/r*": Reject, "live/s*": Standby}
	}, nil,
		func(t *testing.T, h *Hub, _ *journal) {
			for name, want := range map[string]Policy{"t": Takeover, "r": Reject, "s": Standby, "c": Challenge} {
				first := publish(t, h, name, encoder(0))
				got := <-try(ctx, h, request(name))
				is := map[bool]Policy{true: Takeover, false: Standby}[first.Context().Err() != nil]
				switch {
				case got.err != nil:
					is = Reject
				case got.took > 0:
					is = Challenge
				}
				if is != want {
					t.Errorf("%s: %v, want %v", name, is, want)
				}
				if got.err == nil {
					got.Release(nil)
				}
				first.Release(nil)
			}
		})
}

// The table of phases is complete.
func TestPhases(t *testing.T) {
	for p, l := range Phases(DefaultConfig()) {
		if l.Age+l.Silence == 0 || l.Then == "" {
			t.Errorf("phase %d: %+v", p, l)
		}
	}
	c := config(func(c *Config) { c.Publish.ChallengeTimeout, c.Publish.MaxSilence = 7*time.Second, 9*time.Second })
	if p := Phases(c); p[Contest].Age != 7*time.Second || p[Steady].Silence != 9*time.Second {
		t.Errorf("%+v", p)
	}
}
