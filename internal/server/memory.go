package server

import (
	"context"
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
	keepFor     = 1500 * time.Millisecond // for a heap profile to be written: a little less than the governor waits
	doomFor     = 4800 * time.Millisecond // from the decision to end for want of memory to the end, whatever hangs

	ringsShare  = 4       // of the memory limit one part in so many is for rings while memory is short
	ringLeast   = 1 << 20 // bytes that a ring may keep then: about 2 s
	refuseShare = 4       // and when even publishers are refused, one part of that in so many
)

// newGovernor returns the governor of the server's memory, which tells the hub.
func (s *Server) newGovernor() *governor.Governor {
	limit := governor.Limit(int64(s.cfg.hub.Limits.Memory), os.DirFS("/"))
	l := &s.cfg.hub.Limits
	if ring := int64(l.RingBytes); l.Memory == 0 && limit > 0 && ring > limit/ringsShare { // else Doubts has said so
		s.logger.Warn("few streams with rare key pictures may take all memory: lower limits.ring_bytes", "ring_bytes", ring, "limit_bytes", limit)
	}
	return governor.New(governor.Options{
		Limit: limit,
		Log:   s.logger,
		Tell: func(l governor.Level) {
			s.hub.SetPressure(max(pressure(l), s.leastPressure()))
			s.hub.Squeeze(rings(l, limit))
		},
		Keep: s.keepProfile,
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

// rings is how many bytes the rings of all streams may keep at a level of the governor, and how many each may in any case; 0: as many as
// they are configured to.
func rings(l governor.Level, limit int64) (all, each int64) {
	switch l {
	case governor.Shed:
		return limit / ringsShare, ringLeast
	case governor.Refuse:
		return limit / ringsShare / refuseShare, ringLeast / refuseShare
	case governor.Calm:
	}
	return 0, 0
}

// memoryFigures are the pressure, and how many bytes are in use and may be.
func (s *Server) memoryFigures() (pressure int, used, limit int64) {
	return int(s.memory.Level()), s.memory.Used(), s.memory.Limit()
}

// keepProfile keeps a heap profile in the data folder, if its disk answers.
func (s *Server) keepProfile(profile []byte) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keepFor)
	defer cancel()
	return disk.Call(ctx, s.volume, int64(len(profile)), "keep the heap profile", func() (string, error) {
		return keepProfile(s.store, profile)
	})
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
