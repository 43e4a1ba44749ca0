package server

import (
	"context"
	"errors"
	"maps"
	"time"
)

// A worker that takes over has read what was changed while the one before it still served, and could change more. For inheritTime it looks for
// that: the one before takes no changes once it has been told to retire, and none that it has begun by then lasts longer.
const (
	inheritTime  = 6 * time.Second
	inheritEvery = 100 * time.Millisecond
)

// errSucceeded is why settings are not changed through this process.
var errSucceeded = errors.New("another worker has taken over: ask again")

// inherit makes hold what the worker before this one still changes. It returns when that is over, or when ctx ends.
func (l *live) inherit(ctx context.Context) error {
	over := time.NewTimer(inheritTime)
	defer over.Stop()
	tick := time.NewTicker(inheritEvery)
	defer tick.Stop()
	for l.heir {
		select {
		case <-tick.C:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		}
		select {
		case l.turn <- struct{}{}:
			l.refresh(ctx)
			<-l.turn
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// refresh reads the file again, and makes hold what another process has written there. What cannot be read or used changes nothing. Who calls it
// holds the turn.
func (l *live) refresh(ctx context.Context) {
	set, err := l.server.loadKept(ctx)
	if err != nil || maps.Equal(set, l.read) {
		return
	}
	l.read = maps.Clone(set)
	c, err := l.server.withUsable(set) //nolint:contextcheck // nothing is opened
	if err != nil {
		l.server.logger.Warn("some of what another worker has changed is left out", "file", keptFile, "cause", err)
	}
	if c == nil {
		return
	}
	if after, err := l.now.Load().with(c, set); err == nil {
		l.hold(after)
		l.server.logger.Info("settings were changed through another worker")
	}
}
