package server

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vigil-media/vigil/internal/auth"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
)

// rules is about who may publish and play.
func (d *doubting) rules() {
	c := &d.cfg.auth
	for i := range c.Rules {
		for _, pattern := range c.Rules[i].Streams {
			d.pattern("auth.rules", fmt.Sprintf("rule %d: ", i+1), pattern)
		}
		if first := slices.IndexFunc(c.Rules[:i], func(earlier auth.Rule) bool { return covers(&earlier, &c.Rules[i]) }); first >= 0 {
			d.add("auth.rules", "rule %d is never reached: rule %d is about the same and more, and the first that fits decides; one rule may name users, tokens and signed", i+1, first+1)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		for _, pattern := range c.Tokens[name].Streams {
			d.pattern("auth.tokens", fmt.Sprintf("%q: ", name), pattern)
		}
	}
	d.proofs()
	d.trusted("hooks.on_publish", hub.ActionPublish)
	d.trusted("hooks.on_play", hub.ActionPlay)
	d.trusted("hooks.on_rtsp_realm", hub.ActionPlay)
}

// proofs is about those that no rule asks for.
func (d *doubting) proofs() {
	c := &d.cfg.auth
	unasked := func(of func(r auth.Rule) bool) bool { return !slices.ContainsFunc(c.Rules, of) }
	if len(c.Users) > 0 && unasked(func(r auth.Rule) bool { return len(r.Users) > 0 }) {
		d.add("auth.users", "no rule of auth.rules names one of them: they let nobody in, and keep nobody out")
	}
	if len(c.Tokens) > 0 && unasked(func(r auth.Rule) bool { return len(r.Tokens) > 0 }) {
		d.add("auth.tokens", "no rule of auth.rules names one of them: they let nobody in, and keep nobody out")
	}
	if c.SignKey != "" && unasked(func(r auth.Rule) bool { return r.Signed }) {
		d.add("auth.sign_key", "no rule of auth.rules says signed: signed URLs let nobody in, and nobody needs one")
	}
}

// trusted is about a hook that nobody is left for to be asked about.
func (d *doubting) trusted(key string, action hub.Action) {
	trusts, asks := false, false
	for i := range d.cfg.auth.Rules {
		r := &d.cfg.auth.Rules[i]
		if !r.Deny && (r.Action == "" || r.Action == string(action)) {
			trusts, asks = trusts || r.Trusted, asks || !r.Trusted
		}
	}
	if trusts && !asks && d.all[key] != "" && d.cfg.hook.Enabled {
		d.add(key, "is never asked: everybody whom auth.rules let %s is trusted", action)
	}
}

// pattern is about a pattern of names that none can fit: they are app/name.
func (d *doubting) pattern(key, where, pattern string) {
	switch {
	case strings.HasPrefix(pattern, "/"), strings.HasSuffix(pattern, "/"), strings.Contains(pattern, "//"):
		d.add(key, "%sno stream fits %q: names are app/name, without other slashes at their ends", where, pattern)
	case !strings.ContainsAny(pattern, "/*"):
		d.add(key, "%sno stream fits %q: names are app/name; %q is that name in every application", where, pattern, "*/"+pattern)
	}
}

// covers says whether all that a rule is about an earlier one is about too.
func covers(earlier, r *auth.Rule) bool {
	if earlier.Action != "" && earlier.Action != r.Action {
		return false
	}
	streams := r.Streams
	if len(streams) == 0 {
		streams = []string{"*/*"} // every stream
	}
	// A pattern that another fits, taken as a name, is fitted by all that fits it: * is in no pattern but for any text.
	for _, pattern := range streams {
		if len(earlier.Streams) > 0 && !slices.ContainsFunc(earlier.Streams, func(e string) bool { return hub.Fits(e, pattern) }) {
			return false
		}
	}
	return coversAddresses(earlier.From, r.From)
}

// coversAddresses says whether some addresses are certainly among others. None are all.
func coversAddresses(earlier, later []conf.Addresses) bool {
	if len(earlier) == 0 || len(later) == 0 {
		return len(earlier) == 0
	}
	for _, a := range later {
		one, err := netip.ParseAddr(a.String())
		if !slices.ContainsFunc(earlier, func(e conf.Addresses) bool { return e == a || err == nil && e.Has(one) }) {
			return false
		}
	}
	return true
}
