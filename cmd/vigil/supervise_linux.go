package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/log"
	"github.com/vigil-media/vigil/internal/server"
	"github.com/vigil-media/vigil/internal/supervise"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch/bundle"
)

// canSupervise says whether this system has what a supervisor needs.
const canSupervise = true

// evidenceSignals are those that a server obeys while it serves.
func evidenceSignals() []os.Signal { return []os.Signal{syscall.SIGHUP, syscall.SIGUSR2} }

// worker is a worker's line to its supervisor. A nil worker is none.
type worker struct {
	*supervise.Post
	srv  chan *server.Server // of one
	own  *server.Server      // what came of it; running's
	gone atomic.Bool         // the supervisor has ended
}

// attach returns the line to the supervisor, or nil if there is none.
func attach() (*worker, error) {
	p, err := supervise.Attach()
	if err != nil || p == nil {
		return nil, err
	}
	return &worker{Post: p, srv: make(chan *server.Server, 1)}, nil
}

// attend hears the supervisor until ctx ends, and ends the server when the supervisor is gone.
func (w *worker) attend(ctx context.Context, o *server.Options, cancel context.CancelCauseFunc) {
	if w == nil {
		return
	}
	o.Console, o.Parent = w.Console(), w
	g, _ := task.NewGroup(ctx)
	g.Go("supervisor", func(ctx context.Context) error {
		if err := w.Run(ctx, supervise.Orders{Retire: w.retire, Bundle: w.gather}); err != nil {
			w.orphaned(err, cancel)
		}
		return nil
	})
}

// running is the server, or nil if there is none yet. Only who hears the supervisor asks.
func (w *worker) running() *server.Server {
	if w.own == nil {
		select {
		case w.own = <-w.srv:
		default:
		}
	}
	return w.own
}

func (w *worker) retire() {
	if s := w.running(); s != nil {
		s.Retire()
	}
}

func (w *worker) gather(reason string, asked bool) {
	if s := w.running(); s != nil {
		s.Gather(reason, asked)
	}
}

// orphaned ends the server: its ports, at once, since whoever takes the supervisor's place needs them.
func (w *worker) orphaned(err error, cancel context.CancelCauseFunc) {
	w.gone.Store(true)
	time.AfterFunc(exitTime, func() { os.Exit(exitGone) })
	s := w.running()
	if s == nil {
		cancel(err)
		return
	}
	s.Note("the supervisor has ended: so does this worker, and frees its ports for another")
	s.Retire()
}

// lost is why a worker ends that nobody has told to.
func (w *worker) lost() error {
	if w != nil && w.gone.Load() {
		return supervise.ErrGone
	}
	return nil
}

// Keep hands evidence to the supervisor. It implements server.Parent.
func (w *worker) Keep(ctx context.Context, reason string, asked bool, data []byte) (string, error) {
	path, err := w.Post.Keep(ctx, reason, asked, data)
	if err != nil && err.Error() == bundle.ErrTooSoon.Error() { // it has come as words
		err = bundle.ErrTooSoon
	}
	return path, err
}

// serves says which server the supervisor's orders are for.
func (w *worker) serves(s *server.Server) {
	if w != nil {
		w.srv <- s
	}
}

// failed tells the supervisor why the server cannot serve: its words reach the person who has started it.
func (w *worker) failed(err error) {
	if w.Failed(err, code(err)) == nil {
		os.Exit(code(err))
	}
}

// supervised watches over a server in another process, until a signal ends both.
func supervised(flags *settings, cfg *conf.Config) error {
	if err := server.Check(cfg); err != nil {
		return err
	}
	set, err := server.WatchingOf(cfg)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to start it as a worker: %w", err)
	}
	set.Log.File = "" // it is the worker's
	l := log.New(log.Options{Config: set.Log, Console: os.Stderr})
	logs, _ := task.NewGroup(context.Background())
	logs.Go("log", l.Run)
	if set.Yields != "" {
		l.Logger().Warn("health is answered on http.listen only, and vigil reload does not work: set watch.listen to a free address",
			"cause", set.Yields+" has its usual port")
	}
	keeper := newKeeper(set.Bundles)
	s, err := supervise.New(supervise.Options{
		Executable: exe, Args: os.Args[1:], Env: os.Environ(), Log: l.Logger().With(log.ProtocolKey, "watch"),
		Console: os.Stderr, Screen: os.Stdout, Health: set.Listen, HealthMust: set.ListenMust,
		Probe: set.Probe, Recycle: set.Recycle, DryRun: set.DryRun, Starved: server.NewStarved(),
		Check: func() error { return sound(flags) }, Secret: func() ([]byte, error) { return secretHash(flags) },
		Keep: keeper.keep, Compose: compose,
	})
	if err != nil {
		return err
	}
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, supervise.Signals()...)
	err = s.Run(context.Background(), ch)
	logs.Stop(nil)
	_ = logs.Wait() // a log that nobody reads has lost lines; the server has not failed
	return err
}

// secretHash is the SHA-256 of the API's secret, as the configuration has it by now.
func secretHash(flags *settings) ([]byte, error) {
	cfg, err := flags.load()
	if err != nil {
		return nil, err
	}
	set, err := server.WatchingOf(cfg)
	if err != nil {
		return nil, err
	}
	secret, err := set.ReadSecret()
	hash := sha256.Sum256([]byte(secret.Reveal()))
	return hash[:], err
}

// keeper keeps evidence in a folder, and where that is not possible in the one for temporary files.
type keeper struct{ shelves []*shelf }

type shelf struct {
	dir  string
	pool *task.Pool // of one
	*bundle.Shelf
}

func newKeeper(dirs ...string) *keeper {
	k := &keeper{}
	for _, dir := range append(dirs, filepath.Join(os.TempDir(), "vigil-"+strconv.Itoa(os.Getuid()))) {
		k.shelves = append(k.shelves, &shelf{dir: dir, pool: task.NewPool(1, nil)})
	}
	return k
}

// shelfTime is what a disk may take to keep evidence, before another is tried.
const shelfTime = 3 * time.Second

// keep keeps evidence and returns its path.
func (k *keeper) keep(ctx context.Context, reason string, asked bool, data []byte) (string, error) {
	var errs []error
	for _, s := range k.shelves {
		path, err := s.within(ctx, func() (string, error) { return s.put(reason, asked, data) })
		if err == nil || errors.Is(err, bundle.ErrTooSoon) {
			return path, err
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// within calls fn on a goroutine of its own, and waits for it for shelfTime. One that hangs with its disk is left behind, and there is no
// second one.
func (s *shelf) within(ctx context.Context, fn func() (string, error)) (string, error) {
	type result struct {
		path string
		err  error
	}
	ctx, cancel := context.WithTimeout(ctx, shelfTime)
	defer cancel()
	ch := make(chan result, 1)
	err := s.pool.Go(ctx, "keep evidence", func(context.Context) {
		path, err := fn()
		ch <- result{path, err}
	})
	if err != nil {
		return "", fmt.Errorf("%s: the disk does not answer", s.dir)
	}
	select {
	case r := <-ch:
		return r.path, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("%s: the disk does not answer: %w", s.dir, ctx.Err())
	}
}

// put writes evidence. It may hang with the disk.
func (s *shelf) put(reason string, asked bool, data []byte) (string, error) {
	if s.Shelf == nil {
		store, err := disk.Open(s.dir)
		if err != nil {
			return "", err
		}
		s.Shelf = bundle.NewShelf(store)
	}
	if asked {
		return s.Force(reason, data)
	}
	return s.Put(reason, data)
}

// compose makes evidence of what is left of a worker.
func compose(reason string, last []byte, pid int) ([]byte, error) {
	d := bundle.Goroutines(last)
	files := []bundle.File{
		{Name: "verdict.txt", Data: []byte(strings.Join(bundle.Verdict(&bundle.Case{Reason: reason, Dump: d}), "\n") + "\n")},
		{Name: "goroutines-grouped.txt", Data: d.Text()},
		{Name: "last-words.txt", Data: last},
	}
	if pid > 0 {
		files = append(files, bundle.File{Name: "process.txt", Data: bundle.Process(context.Background(), pid)})
	}
	return bundle.Compose(files)
}
