package server

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/vigil-media/vigil/internal/api"
	apizlm "github.com/vigil-media/vigil/internal/api/zlm"
	"github.com/vigil-media/vigil/internal/conf"
	confzlm "github.com/vigil-media/vigil/internal/conf/zlm"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/files"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
)

// keptSection is the section of what came from ZLMediaKit's configuration and is no setting here.
const keptSection = "zlm."

// newDialect returns the API that ZLMediaKit's clients know.
func (s *Server) newDialect(c *control.Control, gate *api.Gate, seen *files.Files) *apizlm.API {
	return apizlm.New(apizlm.Options{
		Allowed: s.mayCall, Control: c, Log: gate.Guard.Log, Secret: gate.Secret, Guard: gate.Guard, CORS: "*",
		ReadConfig: s.dialectSettings, WriteConfig: s.changeInDialect, Statistic: s.statistic, Download: seen.Download,
		Reader: func(k hub.Key) *stream.Reader {
			if st := s.hub.Stream(k); st != nil {
				return st.NewReader()
			}
			return nil
		},
	})
}

// mayCall says whether the API may be called from an address.
func (s *Server) mayCall(addr netip.Addr) bool {
	from := s.live.now.Load().cfg.api.From
	return len(from) == 0 || slices.ContainsFunc(from, func(a conf.Addresses) bool { return a.Has(addr) })
}

// statistic is what ZLMediaKit calls that, for the API and the keep-alive hook.
func (s *Server) statistic() any { return apizlm.Statistic(s.objects()) }

// dialectSettings are all settings by ZLMediaKit's keys, the secret included.
func (s *Server) dialectSettings() map[string]string {
	ours, kept := s.live.now.Load().values()
	ours["api.secret"] = s.apiSecret.Load().Reveal()
	ours["hooks.server_id"] = s.hooks.ServerID()
	return confzlm.Settings(ours, kept)
}

// values are the settings by their keys, and apart from them what is kept for ZLMediaKit's, by theirs.
func (h *held) values() (ours, kept map[string]string) {
	ours, kept = h.conf.Values(), map[string]string{}
	for key, text := range ours {
		if name, ok := strings.CutPrefix(key, keptSection); ok {
			kept[name] = text
			delete(ours, key)
		}
	}
	return ours, kept
}

// changeInDialect changes settings by ZLMediaKit's keys, all or none, and returns how many say something else now.
func (s *Server) changeInDialect(ctx context.Context, set map[string]string) (changed int, err error) {
	var before map[string]string
	if _, err := s.live.change(ctx, func(h *held) (map[string]string, error) {
		before = s.dialectSettings()
		return s.fromDialect(set, h)
	}); err != nil {
		return 0, err
	}
	for key, text := range s.dialectSettings() {
		if before[key] != text {
			changed++
		}
	}
	return changed, nil
}

// fromDialect is a change by ZLMediaKit's keys as one of ours, of a configuration.
func (s *Server) fromDialect(set map[string]string, h *held) (map[string]string, error) {
	now, _ := h.values()
	ours, kept, notes, err := confzlm.Changes(set, now)
	if err != nil {
		return nil, err
	}
	for _, n := range notes {
		s.logger.Warn("a setting of ZLMediaKit's", "key", n.Key, "kind", n.Kind, "note", n.Text)
	}
	all := maps.Clone(ours)
	if all == nil {
		all = map[string]string{}
	}
	for name, text := range kept {
		if strings.Count(name, ".") == 1 { // others are none of ZLMediaKit's
			all[keptSection+name] = text
		}
	}
	return all, nil
}
