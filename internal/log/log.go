package log

import (
	"context"
	"io"
	"log/slog"

	"github.com/DeRuina/timberjack"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
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

	// KindLines is how many lines of one kind (level and message) are logged a second, after the first 1000; 0 means 100, less than 0
	// as many as come.
	KindLines int
}

// Log is a logger and the sinks that it writes to.
type Log struct {
	logger *slog.Logger
	inner  *slog.Logger // the same, of which nothing is held back
	level  slog.LevelVar
	sinks  []*sink
	recent *recent
	kinds  *kinds
	board  *watch.Board
}

// New makes a Log from options whose Config is valid. It opens nothing: the file is opened, and made, by the first
// write. Lines queue up until Run.
func New(o Options) *Log {
	l := &Log{recent: newRecent(recentLines, recentBytes), kinds: newKinds(o.KindLines)}
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
	var h slog.Handler
	if o.Config.Format == FormatJSON {
		h = slog.NewJSONHandler(fan{l.recent, l.sinks}, &slog.HandlerOptions{Level: &l.level, ReplaceAttr: shorten})
	} else {
		h = newText(fan{l.recent, l.sinks}, &l.level)
	}
	l.inner, l.logger = slog.New(h), slog.New(gate{h, l.kinds})
	return l
}

// Watch has the writer of each sink noted on b, so that one that hangs is noticed and its queue given up. Call it before Run. A log that
// is not watched drops lines only when a queue is full.
func (l *Log) Watch(b *watch.Board) { l.board = b }

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

// Recent gives the newest lines, at most n, the oldest of them first, as they were formatted, without newlines. The newest 2000 are kept
// in memory, fewer if they are more than 1 MiB, whatever the sinks have taken. It never waits for a sink.
func (l *Log) Recent(n int) []string { return l.recent.last(n) }

// Counts lists how many records there were of each kind (level and message), the most severe kinds first. There are at most 512 kinds, and
// [OtherKind] of each level for the rest.
func (l *Log) Counts() []Count { return l.kinds.counts() }

// Run writes what is logged until ctx ends, then what is queued, and closes the file. It returns at most [DrainTime]
// after ctx has ended, with an error that names a sink that blocked and what was lost. A write that blocks for ever
// cannot be called back: its goroutine is left behind, the only one in Vigil that may be. What is logged afterwards
// is dropped. Run may be called once; end it last.
func (l *Log) Run(ctx context.Context) error {
	g, _ := task.NewGroup(context.WithoutCancel(ctx))
	for _, s := range l.sinks {
		cell := l.board.Claim(watch.Label{Class: watch.Sink, Name: s.name, Heal: s.giveUp})
		g.Go("log "+s.name, func(ctx context.Context) error { return s.run(ctx, cell) })
	}
	l.kinds.run(ctx, l.inner)
	g.Stop(nil)
	return g.Wait()
}

// fan is the ring in memory and the sinks as one writer that never blocks. Each Write is a line.
type fan struct {
	recent *recent
	sinks  []*sink
}

// Write implements io.Writer.
func (f fan) Write(line []byte) (int, error) {
	f.recent.push(line)
	for _, s := range f.sinks {
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
