package server

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/governor"
	"github.com/vigil-media/vigil/internal/hub"
)

// ErrMemory is what Run ends with when the server needs more memory than it may have.
var ErrMemory = governor.ErrMemory

const (
	profilesMax = 3                       // that are kept; the newest has the number 1
	doomFor     = 4800 * time.Millisecond // from the decision to end for want of memory to the end, whatever hangs
)

// newGovernor returns the governor of the server's memory, which tells the hub.
func (s *Server) newGovernor() *governor.Governor {
	return governor.New(governor.Options{
		Limit:   governor.Limit(int64(s.cfg.hub.Limits.Memory), os.DirFS("/")),
		Log:     s.logger,
		Changed: func(l governor.Level) { s.hub.SetPressure(pressure(l)) },
		Keep:    func(profile []byte) (string, error) { return keepProfile(s.store, profile) },
		Doomed: func() {
			if s.opt.Exit != nil {
				time.AfterFunc(doomFor, s.opt.Exit)
			}
		},
	})
}

// pressure says what a level of the governor is to the hub.
func pressure(l governor.Level) hub.Pressure {
	switch l {
	case governor.Shed:
		return hub.Shed
	case governor.Refuse:
		return hub.Refuse
	case governor.Calm:
	}
	return hub.Calm
}

// memoryFigures are the pressure, and how many bytes are in use and may be.
func (s *Server) memoryFigures() (pressure int, used, limit int64) {
	return int(s.memory.Level()), s.memory.Used(), s.memory.Limit()
}

// keepProfile keeps a heap profile and forgets the oldest, if there are too many. It returns the file's path.
func keepProfile(store *disk.Store, profile []byte) (string, error) {
	name := func(n int) string { return "profiles/heap-" + strconv.Itoa(n) + ".pb.gz" }
	for n := profilesMax; n > 1; n-- {
		if err := store.Rename(name(n-1), name(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if err := store.WriteFile(name(1), profile, 0o600); err != nil {
		return "", err
	}
	return store.PathOf(name(1)), nil
}
