package server

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/metrics"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/supervise"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
	"github.com/vigil-media/vigil/internal/watch/bundle"
	"github.com/vigil-media/vigil/internal/wedge"
)

const (
	healsMost  = 8                // that may be under way: one may get stuck itself
	watchGrace = 10 * time.Second // after the start nothing is done about what is stuck
)

// watcher is how the server watches itself.
type watcher struct {
	board  *watch.Board
	guard  *watch.Guard
	healer *watch.Healer
	heals  *task.Pool

	recorder  *bundle.Recorder
	always    bool          // it records, and not only when something may be stuck
	suspicion chan struct{} // something may be
	collector *bundle.Collector
	begun     time.Time
	gathered  atomic.Int64  // nanoseconds after begun: when evidence was, that nobody had asked for; 0: never
	shelf     *bundle.Shelf // where there is no supervisor to keep evidence
}

// newWatcher returns the watch of the server's loops, which have yet to note their progress on its board.
func (s *Server) newWatcher() *watcher {
	w := &watcher{
		board: watch.NewBoard(), heals: task.NewPool(healsMost, s.healPanicked), collector: bundle.NewCollector(),
		recorder: bundle.NewRecorder(), always: s.cfg.watch.Trace, suspicion: make(chan struct{}, 1),
		begun: time.Now(),
	}
	grace := wedge.Grace(watchGrace)
	o := watch.GuardOptions{Board: w.board, Starved: NewStarved()}
	if parent := s.opt.Parent; parent != nil {
		o.Beat = func(p *watch.Pulse) { parent.Beat(p, s.vitals()) }
	}
	w.guard = watch.NewGuard(o)
	w.healer = watch.NewHealer(watch.HealerOptions{
		DryRun: s.cfg.watch.DryRun,
		Go: func(name string, fn func()) error {
			return w.heals.Go(context.Background(), name, func(context.Context) { fn() })
		},
		Hold:     func() bool { return time.Since(w.begun) < grace || watch.Held() },
		Tell:     s.tellFinding,
		Evidence: s.gatherFor,
	})
	return w
}

// NewStarved is watch.NewStarved, but for programs that are built to be made to hang: those are judged as if nothing else ran.
func NewStarved() func() bool {
	if wedge.Enabled {
		return func() bool { return false }
	}
	return watch.NewStarved()
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	g, _ := task.NewGroup(ctx)
	g.Go("recorder", w.record)
	g.Go("guard", w.guard.Run)
	g.Go("healer", func(ctx context.Context) error { return w.healer.Run(ctx, w.guard.Findings()) })
	return g.Wait()
}

// suspectFor is how long is recorded after a loop was found to be stuck.
const suspectFor = time.Minute

// record has the recorder run until ctx ends: always, or for a while when a loop is found to be stuck. To record costs a publisher
// without viewers a fifth of its time.
func (w *watcher) record(ctx context.Context) error {
	limit := time.NewTimer(suspectFor)
	defer limit.Stop()
	for {
		if !w.always {
			select {
			case <-w.suspicion:
			case <-ctx.Done():
				return nil
			}
		}
		if w.recorder.Start() != nil { //nolint:contextcheck // it takes 2 s at the most
			w.always = false // there is another: bundles go without
			continue
		}
		w.keepRecording(ctx, limit)
		w.recorder.Stop() //nolint:contextcheck // the same
	}
}

// keepRecording returns when ctx ends, or, unless it is always recorded, when nothing has been suspicious for a while.
func (w *watcher) keepRecording(ctx context.Context, limit *time.Timer) {
	for {
		limit.Reset(suspectFor)
		select {
		case <-ctx.Done():
			w.always = false
			return
		case <-w.suspicion:
		case <-limit.C:
			if !w.always {
				return
			}
		}
	}
}

// suspect has what happens from now on recorded. It does not wait.
func (w *watcher) suspect() {
	select {
	case w.suspicion <- struct{}{}:
	default:
	}
}

// tellFinding logs what the guard has found, and what was done about it.
func (s *Server) tellFinding(f watch.Finding, o watch.Outcome) {
	log := s.logger.With("loop", f.Label.Class.Name()+" "+f.Label.Name)
	if f.Label.Session != "" {
		log = log.With("session", f.Label.Session)
	}
	if f.Stage >= watch.Warned {
		s.watch.suspect()
	}
	age := f.Age.Round(10 * time.Millisecond)
	switch {
	case f.Stage == watch.Sound:
		log.Info("what was stuck goes on", "after", age)
	case f.Stage == watch.Warned:
		log.Warn("a loop is stuck", "for", age)
	case f.Stage == watch.Bundled:
		log.Error("a loop is stuck: evidence is gathered", "for", age)
	case f.Again == 0:
		s.book.raise(alarmStuck, f.Label.Class.Name()+" "+f.Label.Name, "a loop is stuck: "+string(o))
		log.Error("a loop is stuck: something is done about it", "for", age, "outcome", o, "then", f.Label.Class.Limits().Then)
	default:
		log.Debug("a loop is still stuck", "for", age, "outcome", o)
	}
}

func (s *Server) healPanicked(p *task.PanicError) {
	s.logger.Error("healing panicked", "cause", p, "stack", string(p.Stack))
}

// verdict is what a health path answers: what the supervisor says, if it has said it a moment ago, and otherwise what this process knows
// of itself.
func (s *Server) verdict(pick func(*supervise.Health) supervise.Answer, own func() api.Verdict) func() api.Verdict {
	return func() api.Verdict {
		v := own()
		if !v.OK || s.opt.Parent == nil {
			return v
		}
		h := s.opt.Parent.Health()
		switch {
		case h == nil:
			return api.Verdict{Status: "the supervisor has not said anything yet"}
		case time.Since(h.Heard()) > supervisorSilent:
			return api.Verdict{Status: "the supervisor is silent"}
		}
		a := pick(h)
		return api.Verdict{OK: a.OK, Status: a.Status}
	}
}

// supervisorSilent is how long the supervisor may say nothing, before its word is worth nothing.
const supervisorSilent = 5 * time.Second

// healthPaths adds the health paths.
func (s *Server) healthPaths(mux *protocol.Mux) {
	for i, c := range s.healthChecks() {
		mux.Handle([...]string{"/livez", "/readyz", "/startupz", "/overload"}[i], api.Health(c.Judge))
	}
}

// healthChecks are the judgements of the health paths, in their order.
func (s *Server) healthChecks() []api.Check {
	live := func() api.Verdict {
		if s.hub.Stalled() > hubStalled {
			return api.Verdict{Status: "the control loop is stuck"}
		}
		if looked := s.watch.guard.Looked(); looked > guardStalled {
			return api.Verdict{Status: "the guard is stuck"}
		}
		return api.Verdict{OK: true, Status: "ok"}
	}
	ready := s.verdict(func(h *supervise.Health) supervise.Answer { return h.Ready }, func() api.Verdict {
		switch {
		case s.closing.Load():
			return api.Verdict{Status: "shutting down"}
		case s.safe():
			return api.Verdict{Status: "safe mode: no media are let in"}
		case s.hub.Pressure() >= hub.Refuse:
			return api.Verdict{Status: "short of memory"}
		}
		return live()
	})
	return []api.Check{
		{Name: "live", Judge: live}, // it must not hang on the supervisor, whom others watch
		{Name: "ready", Judge: ready},
		{Name: "startup", Judge: func() api.Verdict { return api.Verdict{OK: true, Status: "ok"} }},
		{Name: "overload", Judge: func() api.Verdict {
			if s.vitals().Overloaded {
				return api.Verdict{Status: "load is being shed"}
			}
			return api.Verdict{OK: true, Status: "ok"}
		}},
	}
}

const (
	guardStalled = 5 * time.Second // how late the guard may be, which looks four times a second

	// hubStalled is the same of the hub's loop: longer than it takes to replace one that hangs, a pause included, so that nobody ends a
	// process that is being healed.
	hubStalled = 15 * time.Second
)

// supervisorSays is for the API.
func (s *Server) supervisorSays() any {
	if s.opt.Parent == nil || s.opt.Parent.Health() == nil {
		return nil
	}
	return s.opt.Parent.Health()
}

// supervisorFigures is for the metrics.
func (s *Server) supervisorFigures() (replaced, misses int, latency, age float64, ok bool) {
	if s.opt.Parent == nil {
		return 0, 0, 0, 0, false
	}
	h := s.opt.Parent.Health()
	if h == nil {
		return 0, 0, 0, 0, false
	}
	return h.Restarts, h.ProbeMisses, h.Latency / 1000, h.ProbeAge, true
}

// Note has a sentence logged.
func (s *Server) Note(sentence string) { s.logger.Info(sentence) } //nolint:sloglint // of the command's own

// Aside takes what libraries write to the standard logger, such as what the HTTP client says of a target that speaks unasked: it goes to the log, at
// the level debug.
func (s *Server) Aside() io.Writer {
	return slog.NewLogLogger(s.logger.With("protocol", "library").Handler(), slog.LevelDebug).Writer()
}

// unreliable is for the metrics.
func (s *Server) unreliable() metrics.Unreliable {
	u := metrics.Unreliable{Alarms: s.book.figures()}
	for _, c := range s.log.Counts() {
		if c.Level < slog.LevelInfo {
			continue // its kinds may be of peers' making
		}
		u.Lines = append(u.Lines, metrics.Lines{Level: c.Level.String(), Kind: c.Kind, Logged: c.N - c.Dropped, Held: c.Dropped})
	}
	for _, st := range s.log.Stats() {
		sink := metrics.Sink{Name: st.Name, Dropped: st.Dropped, Waiting: st.Lines, Stuck: st.Stuck}
		if !st.WritingSince.IsZero() {
			sink.Writing = time.Since(st.WritingSince)
		}
		u.Sinks = append(u.Sinks, sink)
	}
	for _, v := range s.volumes() {
		f := v.Figures()
		u.Volumes = append(u.Volumes, metrics.Volume{
			Name: f.Name, State: int(f.State), Ops: f.Ops, Errors: f.Errors, Refused: f.Refused, Waiting: f.Waiting, Running: f.Running,
			Oldest: f.Oldest,
		})
	}
	return u
}
