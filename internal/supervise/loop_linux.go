package supervise

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/task"
)

// Options are what a Supervisor is made of.
type Options struct {
	Executable string   // the worker's program
	Args       []string // its arguments
	Env        []string
	Log        *slog.Logger
	Console    *os.File // the worker's log goes there
	Screen     *os.File // the worker's start-up screen goes there

	Health     string        // address of the health paths; "" none
	HealthMust bool          // that it cannot be listened on is an error
	Probe      time.Duration // between two probes; 0: none
	DryRun     bool          // replacements that the watch decides are only told of
	Recycle    time.Duration // after which a worker is replaced as planned; 0: never

	// Check says whether a new worker's configuration is sound, before the old one is told to go. It may wait. nil: it is.
	Check func() error
	// Secret returns the SHA-256 of the API's secret, as the configuration has it that Check looks at. It may wait. nil: it never changes.
	Secret func() ([]byte, error)
	// Keep keeps evidence and returns where. It may wait: it is given a goroutine. asked says that a person wants it.
	Keep func(ctx context.Context, reason string, asked bool, data []byte) (string, error)
	// Compose makes evidence of what is left of a worker: why it was ended, its last words, its number among processes, or 0.
	// nil: there is none.
	Compose func(reason string, last []byte, pid int) ([]byte, error)
	// Starved says whether processes wait for processors for much of the time. nil: they never do.
	Starved func() bool
}

// How long things may take.
const (
	tick        = 250 * time.Millisecond
	tickLate    = tick * 3 / 2
	startMost   = 30 * time.Second        // to be ready
	stopMost    = 4600 * time.Millisecond // to end on SIGTERM
	retireMost  = 30 * time.Second        // to run out after another has taken over
	dumpTime    = 2 * time.Second         // for the last words of one that is wedged
	killTime    = time.Second             // after which one that was killed is taken to be stuck in the kernel
	probeTime   = 2 * time.Second
	probeFresh  = 6 * time.Second // a probe that has succeeded within so long says that the server is ready
	bundleEvery = time.Minute     // evidence is asked for at most so often
	safeTime    = 5 * time.Minute // after which a worker in safe mode is replaced by a usual one
	soundTime   = 30 * time.Second
	settleTime  = 300 * time.Millisecond
	sidesMost   = 16 // evidence and last words that may be written at the same time
	waitsMost   = 16 // workers that may live at the same time, those that cannot be ended included

	plannedEvery = time.Minute // a planned replacement that has failed is tried again
)

// Exits of workers are budgeted: see I20 of the reliability rules.
const (
	replacedMost = 3
	replacedSpan = 10 * time.Minute
	diedMost     = 5
	diedSpan     = time.Minute
	backoffLeast = 100 * time.Millisecond // before the third worker within diedSpan; twice that before the next
	backoffMost  = 5 * time.Second
)

// Supervisor keeps a worker running. Make it with New, then Run it.
type Supervisor struct {
	opt       Options
	log       *slog.Logger
	token     string
	health    *healthServer
	startMost time.Duration

	state   atomic.Pointer[Health]
	secret  atomic.Pointer[[]byte] // SHA-256 of the API's, as the newest worker has told it
	asking  atomic.Bool            // somebody asks for the configuration's secret, and owns
	asked   time.Time              // when that was last done
	events  chan func()            // to the loop
	notices chan string            // to systemd
	group   *task.Group
	sides   *task.Pool // of what may hang with a disk or a console
	waits   *task.Pool // for workers to end
	sockets sockets
	runCtx  context.Context //nolint:containedctx // of what the loop starts

	loopState
}

// loopState is what the loop alone reads and writes.
type loopState struct {
	number  int
	workers []*child       // one serves at the most, and one is being started
	left    map[int]bool   // process ids of those that were left behind
	held    map[place]bool // what the newest worker that was ready listens on
	stands  stands
	probes  probes

	done     bool       // shutting down
	exit     *ExitError // how Run ends
	ready1   bool       // a worker has been ready
	ticked   time.Time
	base     time.Time // silence before it does not count: there was a pause
	watchdog time.Time // systemd was told that all is well
	informed time.Time // the worker was told of the state of health

	died     budget
	replaced budget
	own      bool      // the next worker is to be of the program that this process runs, since what is in its place now does not get far
	absent   time.Time // since when no worker serves; zero: one does
	again    time.Time // when the next worker may be started
	planned  time.Time // when the next planned replacement may be tried
	safe     bool      // the next worker is to let no media in
	safeAt   time.Time
	restarts int
	lastWhy  string
	evidence time.Time // when it was asked for
	told     bool      // of what is wrong with the worker
}

// New returns a supervisor.
func New(o Options) (*Supervisor, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	s := &Supervisor{
		opt: o, log: o.Log, token: hex.EncodeToString(b[:]), startMost: startMost,
		events: make(chan func(), 64), notices: make(chan string, noticesMost),
		sides: task.NewPool(sidesMost, nil), waits: task.NewPool(waitsMost, nil),
		sockets: sockets{open: map[place]*socket{}},
	}
	s.left = map[int]bool{}
	s.died, s.replaced = budget{most: diedMost, span: diedSpan}, budget{most: replacedMost, span: replacedSpan}
	begins := wrong("starting")
	s.state.Store(&Health{Live: begins, Ready: begins, Started: begins, Overload: okay(), Probe: "pending", made: time.Now()})
	return s, nil
}

// Signals are what Run wants to be told of.
func Signals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2}
}

// Run starts the worker and keeps it running until a signal or ctx ends it. It returns nil when the worker has ended in order then, and
// an *ExitError when not, or when the first worker could not start.
func (s *Supervisor) Run(ctx context.Context, signals <-chan os.Signal) error {
	h, err := listenHealth(ctx, s)
	if err != nil {
		return err
	}
	s.health = h
	g, gctx := task.NewGroup(context.WithoutCancel(ctx)) // it ends when the loop does
	s.group, s.runCtx = g, gctx
	if h != nil {
		g.Go("health", h.run)
	}
	s.side(gctx, "systemd", s.sendNotices)
	g.Go("supervisor", func(gctx context.Context) error {
		defer g.Stop(nil)
		defer close(s.notices) // what is in it is still sent
		defer s.sockets.keep(nil)
		defer s.stands.close()
		return s.loop(gctx, ctx.Done(), signals)
	})
	err = g.Wait()
	s.settle()
	if err == nil && s.exit != nil {
		return s.exit
	}
	return err
}

// settle gives what may hang a little time to end: last words, evidence.
func (s *Supervisor) settle() {
	limit := time.NewTimer(settleTime)
	defer limit.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for s.sides.Len() > 0 {
		select {
		case <-poll.C:
		case <-limit.C:
			return
		}
	}
}

// do has the loop run fn. It reports false if the loop has ended.
func (s *Supervisor) do(ctx context.Context, fn func()) bool {
	select {
	case s.events <- fn:
		return true
	case <-ctx.Done():
		return false
	}
}

// loop owns the state.
func (s *Supervisor) loop(ctx context.Context, quit <-chan struct{}, signals <-chan os.Signal) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	defer s.abandon()
	s.ticked = time.Now()
	s.base = s.ticked
	if err := s.spawn(ctx, ""); err != nil {
		return err
	}
	for {
		select {
		case <-quit:
			quit = nil
			s.stop()
		case sig := <-signals:
			s.signalled(sig)
		case fn := <-s.events:
			fn()
		case <-t.C:
			s.turn(ctx)
		}
		if s.done && len(s.workers) == 0 {
			return nil
		}
	}
}

// abandon ends what is left when the loop ends, however it does.
func (s *Supervisor) abandon() {
	for _, c := range s.workers {
		c.signal(syscall.SIGKILL)
		c.close()
	}
}

// turn looks at everything.
func (s *Supervisor) turn(ctx context.Context) {
	now := time.Now()
	if now.Sub(s.ticked) > tickLate {
		s.base = now.Add(afterward) // a pause of this process: most likely the workers' too
	}
	s.ticked = now
	if s.absent.IsZero() && s.present() == nil {
		s.absent = now
	}
	for _, c := range slices.Clone(s.workers) {
		s.hasten(ctx, c, now)
	}
	if c := s.present(); c != nil && !s.done {
		s.examine(ctx, c, now)
	}
	s.respawn(ctx)
	s.probe(now)
	s.schedule(ctx, now)
	s.tell(now)
	if os.Getpid() == 1 {
		reap(s.isWorker)
	}
}

// signalled obeys a signal.
func (s *Supervisor) signalled(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		if c := s.present(); c != nil { // one that has just been started would die of it
			c.signal(syscall.SIGHUP)
		}
	case syscall.SIGUSR2:
		s.askEvidence("SIGUSR2")
	default:
		if s.done { // a second one ends all at once
			s.exit = &ExitError{1, "told to end at once"}
			for _, c := range s.workers {
				s.kill(c, time.Now())
			}
			return
		}
		s.log.Info("shutting down", "cause", sig)
		s.stop()
	}
}

// stop ends all workers.
func (s *Supervisor) stop() {
	if s.done {
		return
	}
	s.done = true
	s.notify("STOPPING=1")
	s.stands.close()
	s.sockets.keep(nil) // so that they are closed as soon as the worker closes its own, even if that cannot end
	for _, c := range s.workers {
		c.answer(errEnding)
		if c.phase == condemned {
			continue
		}
		c.phase, c.limit = retiring, time.Now().Add(stopMost)
		c.signal(syscall.SIGTERM)
	}
}
