package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/hook"
	"github.com/vigil-media/vigil/internal/metrics"
)

// serverFile is where the name is kept by which platforms know this server, under the data folder.
const serverFile = "server-id"

// decisionSpare is what the hub gives a question beyond what hooks may take for it, so that it is they who say what went wrong.
const decisionSpare = 500 * time.Millisecond

// newHooks returns the hooks, which know no hub yet.
func (s *Server) newHooks(ctx context.Context) (*hook.Hooks, error) {
	id, err := disk.Call(ctx, s.volume, 0, "server id", func() ([]byte, error) {
		b, _, err := s.store.ReadOrCreate(serverFile, 0o644, newServerID)
		return b, err
	})
	if err != nil {
		return nil, err
	}
	return hook.New(hook.Options{
		Config: s.cfg.hook, ServerID: trimSpace(id), Log: s.logger, Board: s.watch.board,
		Statistic: s.statistic, Settings: s.dialectSettings,
	}), nil
}

// newServerID makes up a name.
func newServerID() ([]byte, error) {
	var b [8]byte
	_, err := rand.Read(b[:])
	return []byte(hex.EncodeToString(b[:]) + "\n"), err
}

// hookFigures are those of all hooks, for metrics.
func (s *Server) hookFigures() []metrics.Hook {
	var all []metrics.Hook
	for _, f := range s.hooks.Figures() {
		all = append(all, metrics.Hook{
			Name: string(f.Hook), Calls: f.Calls, Failures: f.Failures, Refusals: f.Refusals, Busy: f.Busy, Open: f.Open,
			Waiting: f.Waiting, Dropped: f.Dropped,
		})
	}
	return all
}
