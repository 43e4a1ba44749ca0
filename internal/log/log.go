package log

import (
	"context"
	"io"
	"log/slog"

	"github.com/DeRuina/timberjack"

	"github.com/vigil-media/vigil/internal/task"
)

// The attributes that are columns of a text line.
const (
	ProtocolKey = "protocol"
	SessionKey  = "session"
)

// The attributes that a text line reads as part of the sentence: "publishing live/cam1: H264 1920x1080", "stopped
// playing live/cam1: the viewer left". Give the stream first, and the cause last.
const (
	StreamKey = "stream"
	TracksKey = "tracks"
	CauseKey  = "cause"
)

// Options is what a Log is made of.
type Options struct {
	Config  Config
	Console io.Writer // standard error as a rule; nil for none. It may block for ever

	// Bounds of each sink's queue; 0 means 8192 lines, 1 MiB.
	QueueLines int
	QueueBytes int
}

// Log is a logger and the sinks that it writes to.
type Log struct {
	logger *slog.Logger
	level  slog.LevelVar
	sinks  []*sink
}

// New makes a Log from options whose Config is valid. It opens nothing: the file is opened, and made, by the first
// write. Lines queue up until Run.
func New(o Options) *Log {
	l := &Log{}
	level, _ := ParseLevel(o.Config.Level)
	l.level.Set(level)
	if o.Console != nil {
		l.sinks = append(l.sinks, newSink("console", o.Console, o))
	}
	if o.Config.File != "" {
		const mib = 1 << 20
		l.sinks = append(l.sinks, newSink("file", &timberjack.Logger{
			Filename:    o.Config.File,
			MaxSize:     int((o.Config.FileSize + mib - 1) / mib),
			MaxBackups:  o.Config.FileKeep,
			LocalTime:   true,
			Compression: "none",
			FileMode:    0o640,
		}, o))
	}
	if o.Config.Format == FormatJSON {
		l.logger = slog.New(slog.NewJSONHandler(fan(l.sinks), &slog.HandlerOptions{Level: &l.level, ReplaceAttr: shorten}))
	} else {
		l.logger = slog.New(newText(fan(l.sinks), &l.level))
	}
	return l
}

// Logger gives the root logger.
func (l *Log) Logger() *slog.Logger { return l.logger }

// Level is the least severe level that is logged; it may be set at any time.
func (l *Log) Level() *slog.LevelVar { return &l.level }

// Stats gives the state of each sink, the console first. It never waits for one.
func (l *Log) Stats() []Stats {
	stats := make([]Stats, len(l.sinks))
	for i, s := range l.sinks {
		stats[i] = s.stats()
	}
	return stats
}

// Run writes what is logged until ctx ends, then what is queued, and closes the file. It returns at most [DrainTime]
// after ctx has ended, with an error that names a sink that blocked and what was lost. A write that blocks for ever
// cannot be called back: its goroutine is left behind, the only one in Vigil that may be. What is logged afterwards
// is dropped. Run may be called once; end it last.
func (l *Log) Run(ctx context.Context) error {
	g, ctx := task.NewGroup(ctx)
	for _, s := range l.sinks {
		g.Go("log "+s.name, s.run)
	}
	<-ctx.Done()
	return g.Wait()
}

// fan is the sinks as one writer that never blocks. Each Write is a line.
type fan []*sink

// Write implements io.Writer.
func (f fan) Write(line []byte) (int, error) {
	for _, s := range f {
		s.push(line)
	}
	return len(line), nil
}

// shorten is a slog.HandlerOptions.ReplaceAttr that bounds what a peer can make of a line.
func shorten(_ []string, a slog.Attr) slog.Attr {
	switch {
	case a.Value.Kind() == slog.KindString:
		a.Value = slog.StringValue(cut(a.Value.String()))
	case a.Value.Kind() == slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.AnyValue(shortError{err})
		}
	}
	return a
}

// shortError is an error whose text is bounded. It is asked for it where a panic is caught.
type shortError struct{ error }

// Error implements error.
func (e shortError) Error() string { return cut(e.error.Error()) }
