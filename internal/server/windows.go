package server

import (
	"context"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/metrics"
	"github.com/vigil-media/vigil/internal/page"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/wedge"
	"github.com/vigil-media/vigil/web"
)

// windows mounts what people and programs see the server through: health, metrics, the API in both dialects, the page.
func (s *Server) windows(mux *protocol.Mux, m *metrics.Metrics) error {
	gate := &api.Gate{Secret: func() conf.Secret { return *s.apiSecret.Load() }, Guard: &api.Guard{Log: s.logger.With("protocol", "api")}}
	s.healthPaths(mux)
	mux.Handle("/metrics", gate.Require(m.Handler(s.hub, s.egress, s.opt.Version,
		metrics.NewConnections(s.net.figures), metrics.NewMemory(s.memoryFigures), metrics.NewWatch(metrics.Watch{
			Board: s.watch.board, Guard: s.watch.guard, Healer: s.watch.healer, Supervisor: s.supervisorFigures,
		}), metrics.NewUnreliable(s.unreliable), metrics.NewHooks(s.hookFigures))))
	c := s.newControl()
	native := api.New(api.Options{
		Control: c, Snapshot: s.hub.Snapshot, Counts: s.hub.Sessions, Events: s.events, Hooks: s.hooksSay, Health: s.healthChecks(), Started: s.watch.begun,
		Watched: api.Watched{
			Board: s.watch.board, Guard: s.watch.guard, Healer: s.watch.healer, Supervisor: s.supervisorSays,
			Lines: s.log.Recent, Alarms: s.book.list,
			Evidence: func(ctx context.Context) (string, error) { return s.Evidence(ctx, "asked through the API") },
		},
	})
	mux.Handle("/api/", gate.RequireOrProbe(s.cfg.hub.Probe, native))
	seen, err := s.newFiles(api.NotFound())
	if err != nil {
		return err
	}
	dialect := s.newDialect(c, gate, seen)
	mux.Handle(dialectPath, dialect)
	mux.Handle(dialectList+"{$}", dialect)
	s.sends = func(path string) bool { return native.Sends(path) || dialect.Sends(path) }
	if wedge.Enabled {
		mux.Handle("/api/v1/wedge/", gate.Require(wedge.Handler(func(ctx context.Context, op func() error) error {
			return s.volume.Do(ctx, 0, "wedge", op)
		})))
	}
	pages, err := page.Handler(web.Files(), seen)
	if err != nil {
		return err
	}
	mux.Handle("/", pages)
	return nil
}

// hooksSay is how the hooks get on, for the API.
func (s *Server) hooksSay() []api.Hook {
	all := []api.Hook{}
	for _, f := range s.hooks.Figures() {
		all = append(all, api.Hook{
			Name: string(f.Hook), Calls: f.Calls, Failures: f.Failures, Refusals: f.Refusals, Busy: f.Busy, Open: f.Open,
			Waiting: f.Waiting, Dropped: f.Dropped,
		})
	}
	return all
}
