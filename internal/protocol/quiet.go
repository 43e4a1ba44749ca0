package protocol

import (
	"context"
	"log/slog"

	"github.com/vigil-media/vigil/internal/hub"
)

// SessionLog is the log for what the session of a key does: log, or, for the server's own probe, which comes every other second, one
// whose lines up to Info are for debugging.
func SessionLog(log *slog.Logger, h *hub.Hub, k hub.Key) *slog.Logger {
	if !h.Probe(k) {
		return log
	}
	return slog.New(quiet{log.Handler()})
}

// quiet lowers what is up to Info to Debug. It implements slog.Handler.
type quiet struct{ slog.Handler }

func lower(l slog.Level) slog.Level {
	if l <= slog.LevelInfo {
		return slog.LevelDebug
	}
	return l
}

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(l))
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
