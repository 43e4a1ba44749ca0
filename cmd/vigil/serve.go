package main

import (
	"context"
	"errors"
	stdlog "log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
	"github.com/vigil-media/vigil/internal/task"
)

type serveCommand struct{}

// Run serves until a signal ends it: in a process of its own, over which this one watches.
func (serveCommand) Run(flags *settings) error {
	w, err := attach()
	if err != nil {
		return err
	}
	err = run(flags, w)
	if err != nil && w != nil {
		w.failed(err)
	}
	return err
}

func run(flags *settings, w *worker) error {
	cfg, notes, err := flags.loadWithNotes()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a log collector that dies must not take the server with it
	if w == nil && !flags.NoSupervisor && canSupervise {
		return supervised(flags, cfg)
	}
	return serve(cfg, worthTelling(notes), w)
}

// serve serves in this process. notes are for the log, w is the line to its supervisor, or nil.
func serve(cfg *conf.Config, notes []string, w *worker) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o := server.Options{
		Config: cfg, Version: version, Console: os.Stderr, Screen: os.Stdout, Exit: func() { os.Exit(exitMemory) },
		Notes: notes,
	}
	w.attend(ctx, &o, cancel)
	s, err := server.New(o)
	if err != nil {
		return err
	}
	stdlog.SetFlags(0)
	stdlog.SetOutput(s.Aside())
	w.serves(s)
	g, gctx := task.NewGroup(ctx)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, evidenceSignals()...) // before the supervisor sends any
	defer signal.Stop(ch)
	g.Go("signals", func(ctx context.Context) error { obey(ctx, s, ch); return nil })
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends the process at once
		time.AfterFunc(exitTime, func() { os.Exit(exitFailure) })
	})
	err = s.Run(gctx)
	g.Stop(nil)
	_ = g.Wait() // it has nothing to say
	return errors.Join(err, w.lost())
}

// obey does what signals say, until ctx ends.
func obey(ctx context.Context, s *server.Server, ch <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-ch:
			if sig == syscall.SIGHUP {
				s.Note("SIGHUP: a changed configuration is taken up by vigil reload --worker; certificates are read anew when they change")
				continue
			}
			s.Gather("SIGUSR2", true) //nolint:contextcheck // it outlives its being asked for
		}
	}
}
