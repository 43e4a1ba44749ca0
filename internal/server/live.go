package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/disk"
)

// keptFile holds what was changed while the server ran, under the data folder.
const keptFile = "overrides.yaml"

// live is the configuration as it holds. It implements control.Settings.
type live struct {
	server *Server
	turn   chan struct{}     // who changes something holds it: there is one at a time
	read   map[string]string // what of the file is known; who has the turn may use it
	heir   bool              // another worker may still write the file
	now    atomic.Pointer[held]
	writes atomic.Uint64 // of the file; only the newest is made
}

// held is a configuration that holds. It is immutable.
type held struct {
	conf *conf.Config
	cfg  config
	kept map[string]string // what of it was changed while a server ran, by dotted keys
}

// frozenSections are those that are read before what was changed is: they are set where the server is started.
const frozenSections = "data log watch"

// frozenKeys are those that say what of the disk can be read from outside: who has the API's secret is not to read everything.
const frozenKeys = "files.root files.aliases files.download"

// liveKeys are what the keys begin with that hold at once. All others are for the next start.
const liveKeys = "publish. play. serve. auth. hooks. zlm. api. files.listing"

// liveLimits are the limits of the section "limits" that hold at once too: those of the hub.
const liveLimits = "publishers publishers_per_app publishers_per_address viewers viewers_per_stream viewers_per_app viewers_per_address " +
	"bandwidth bandwidth_per_stream bandwidth_per_app bandwidth_per_address publisher_bandwidth ring_units ring_bytes ring_age max_skips"

// holdsAtOnce says whether a change of a key holds without another start.
func holdsAtOnce(key string) bool {
	if limit, ok := strings.CutPrefix(key, "limits."); ok {
		return slices.Contains(strings.Fields(liveLimits), limit)
	}
	return slices.ContainsFunc(strings.Fields(liveKeys), func(p string) bool {
		return key == p || strings.HasSuffix(p, ".") && strings.HasPrefix(key, p)
	})
}

// readKept adds what was changed while a server ran to the configuration. What of it cannot be used is said and left out, and nothing else: it
// must not keep the server from starting, nor open it to everybody.
func (s *Server) readKept(ctx context.Context) error {
	s.live = &live{server: s, turn: make(chan struct{}, 1)}
	s.live.heir = s.opt.Parent != nil && s.opt.Parent.Why() != ""
	set, err := s.loadKept(ctx)
	s.live.read = maps.Clone(set)
	c := s.opt.Config
	if err == nil && len(set) > 0 {
		c, err = s.withUsable(set) //nolint:contextcheck // nothing is opened
	}
	if c == nil {
		c = s.opt.Config
	}
	if err != nil {
		s.logger.Error("what was changed while the server ran is left out", "file", keptFile, "cause", err)
		s.book.raise(alarmKept, "", keptFile+" cannot be used: "+err.Error())
	}
	cfg, err := decode(c)
	if err != nil {
		return err
	}
	cfg.hub.Probe = s.cfg.hub.Probe
	s.opt.Config, s.cfg = c, cfg
	s.live.now.Store(&held{c, cfg, set})
	return nil
}

// loadKept reads the file of what was changed. That there is none is no error.
func (s *Server) loadKept(ctx context.Context) (map[string]string, error) {
	text, err := disk.Call(ctx, s.volume, 0, "changed settings", func() ([]byte, error) { return s.store.ReadFile(keptFile) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return conf.ReadKept(text)
}

// withUsable is the configuration with those of some changes that can be used; the others are taken out of set. The error says why, and the
// configuration is nil if none can.
func (s *Server) withUsable(set map[string]string) (*conf.Config, error) {
	var all error
	for len(set) > 0 {
		c, err := s.withKept(set)
		if err == nil {
			return c, all
		}
		all = errors.Join(all, err)
		problems, _ := errors.AsType[conf.Problems](err)
		left := len(set)
		for _, p := range problems {
			maps.DeleteFunc(set, func(key, _ string) bool { return blames(&p, key) })
		}
		if len(set) == left { // it does not say which
			clear(set)
		}
	}
	return nil, all
}

// blames says whether a problem is one of a key.
func blames(p *conf.Problem, key string) bool {
	return key == p.Key || strings.HasPrefix(p.Key, key+"[") || strings.HasPrefix(key, p.Key+".")
}

// asked is err without the lines that what is to be changed would have had in the file: it is in none.
func asked(err error, set map[string]string) error {
	problems, ok := errors.AsType[conf.Problems](err)
	if !ok {
		return err
	}
	problems = slices.Clone(problems)
	for i := range problems {
		for key := range set {
			if blames(&problems[i], key) {
				problems[i].At = conf.Position{}
			}
		}
	}
	return problems
}

// withKept is the configuration with some changes, if it is sound.
func (s *Server) withKept(set map[string]string) (*conf.Config, error) {
	c, err := s.opt.Config.With(conf.WriteKept(set))
	if err != nil {
		return nil, err
	}
	return c, Check(c)
}

// Settings are the configuration as it holds.
func (s *Server) Settings() control.Settings { return s.live }

// All implements control.Settings.
func (l *live) All() map[string]string {
	return l.now.Load().conf.Masked()
}

// Change implements control.Settings.
func (l *live) Change(ctx context.Context, set map[string]string) (control.Change, error) {
	return l.change(ctx, func(*held) (map[string]string, error) { return set, nil })
}

// change is Change with what is made of the configuration that holds when it is its turn, so that nothing that was changed meanwhile is lost.
func (l *live) change(ctx context.Context, of func(*held) (map[string]string, error)) (control.Change, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return control.Change{}, fmt.Errorf("settings: another change is under way: %w", context.Cause(ctx))
	}
	select {
	case <-l.server.retired:
		return control.Change{}, errSucceeded
	default:
	}
	l.refresh(ctx) // another worker may have written the file, while one takes over from the other
	before := l.now.Load()
	set, err := of(before)
	if err != nil {
		return control.Change{}, err
	}
	if err = before.allows(set); err != nil {
		return control.Change{}, err
	}
	kept := maps.Clone(before.kept)
	if kept == nil {
		kept = map[string]string{}
	}
	maps.Copy(kept, set)
	c, err := l.server.withKept(kept) //nolint:contextcheck // nothing is opened
	if err != nil {
		return control.Change{}, asked(err, set)
	}
	after, err := before.with(c, kept)
	if err != nil {
		return control.Change{}, err
	}
	done := changes(before.conf.Values(), c.Values())
	if len(done.Changed) == 0 {
		return done, nil
	}
	if len(done.Later) > 0 {
		if err := canOpen(ctx, before, after); err != nil {
			return control.Change{}, err
		}
	}
	if err := l.keep(ctx, kept); err != nil {
		return control.Change{}, err
	}
	l.hold(after)
	l.server.doubt(doubtsSince(before.conf, c))
	l.server.logger.Info("settings were changed", "keys", strings.Join(done.Changed, " "), "next_start", strings.Join(done.Later, " "))
	return done, nil
}

// with is another configuration, with what of it was changed while a server ran.
func (h *held) with(c *conf.Config, kept map[string]string) (*held, error) {
	cfg, err := decode(c)
	cfg.hub.Probe = h.cfg.hub.Probe
	return &held{c, cfg, kept}, err
}

// hold makes a configuration hold. Who calls it has the turn.
func (l *live) hold(h *held) {
	l.now.Store(h)
	l.server.apply(&h.cfg)
}

// allows refuses keys that cannot be changed while the server runs.
func (h *held) allows(set map[string]string) error {
	var problems conf.Problems
	values, masked := h.conf.Values(), h.conf.Masked()
	for _, key := range slices.Sorted(maps.Keys(set)) {
		section, _, _ := strings.Cut(key, ".")
		switch fixed := h.conf.Fixed(key); {
		case strings.ContainsRune(key, '='): // what is kept is cut there, and would be another key than the one that was looked at
			problems = append(problems, conf.Problem{Key: key, Message: "is no key: it has a ="})
		case set[key] == conf.Secret("").String(), set[key] == masked[key] && masked[key] != values[key]:
			problems = append(problems, conf.Problem{Key: key, Message: "is what stands in the place of a secret, and none"})
		case key == "api.secret" && set[key] == "": // it would end with the next start, and nobody would know the next one
			problems = append(problems, conf.Problem{Key: key, Message: "is empty: want another secret"})
		case slices.Contains(strings.Fields(frozenSections), section), slices.Contains(strings.Fields(frozenKeys), key):
			problems = append(problems, conf.Problem{Key: key, Message: "is set where the server is started, and not while it runs"})
		case fixed != "":
			problems = append(problems, conf.Problem{Key: key, Message: "is set by " + fixed + ", which wins"})
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// errLate is why what was changed is not written: nobody waits for it any more.
var errLate = errors.New("given up")

// keep writes down what was changed. Secrets may be among it. What was not written in time is not written after it, unless the disk is at it
// already.
func (l *live) keep(ctx context.Context, kept map[string]string) error {
	text, number := conf.WriteKept(kept), l.writes.Add(1)
	err := l.server.volume.Do(ctx, int64(len(text)), "keep changed settings", func() error {
		if l.writes.Load() != number {
			return errLate
		}
		return l.server.store.WriteFile(keptFile, text, 0o600)
	})
	if err != nil {
		l.writes.Add(1)
		return err
	}
	l.read = kept
	return nil
}

// changes says what differs.
func changes(before, after map[string]string) control.Change {
	var c control.Change
	note := func(key string) {
		c.Changed = append(c.Changed, key)
		if !holdsAtOnce(key) {
			c.Later = append(c.Later, key)
		}
	}
	for key, text := range after {
		if old, known := before[key]; !known || old != text {
			note(key)
		}
	}
	for key := range before {
		if _, still := after[key]; !still {
			note(key)
		}
	}
	slices.Sort(c.Changed)
	slices.Sort(c.Later)
	return c
}

// apply makes a configuration hold, as far as it can without another start.
func (s *Server) apply(cfg *config) {
	s.hub.Configure(s.hubConfig(cfg))
	s.auth.Configure(cfg.auth)
	s.hooks.Configure(cfg.hook)
	if secret := cfg.api.Secret; secret != "" && secret != *s.apiSecret.Load() {
		s.apiSecret.Store(&secret)
		s.ready()
	}
}
