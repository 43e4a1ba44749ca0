package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"sync"

	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/protocol"
)

// folder is a folder that a room writes to, with a volume of its own: that its disk hangs is nobody else's business. It is opened by the first
// operation, on a worker, and opened again when something else is at its path. It implements protocol.Folder.
type folder struct {
	path   string
	log    *slog.Logger
	volume *disk.Volume

	mu    sync.Mutex // guards what follows; memory only
	store *disk.Store
}

const (
	folderFilePerm = fs.FileMode(0o644) // other servers read them
	sweepMost      = 1000               // files that one operation removes
)

// folder is protocol.Env.Folder.
func (s *Server) folder(name, path string) (protocol.Folder, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f := &folder{
		path: abs, log: s.logger.With("volume", name),
		volume: disk.NewVolume(disk.VolumeOptions{Name: name, Log: s.logger, Board: s.watch.board}),
	}
	s.folders = append(s.folders, f)
	return f, nil
}

// volumes are those of all disks.
func (s *Server) volumes() []*disk.Volume {
	all := []*disk.Volume{s.volume}
	for _, f := range s.folders {
		all = append(all, f.volume)
	}
	for _, t := range s.trees {
		all = append(all, t.Volume())
	}
	return all
}

// runVolume serves a volume until ctx ends.
func (s *Server) runVolume(ctx context.Context, v *disk.Volume) error {
	if err := v.Run(ctx); err != nil { // goroutines that hang with the disk are left behind
		s.logger.Warn("the disk does not answer", "cause", err)
	}
	return nil
}

// run serves the folder until ctx ends.
func (f *folder) run(ctx context.Context, s *Server) error {
	// An operator who has mistyped the path is to know before anybody publishes.
	_ = f.volume.Go(0, "open", func() error { _, err := f.open(); return err }, func(err error) {
		if err != nil {
			f.log.Error("cannot open a folder: nothing is written to it until that works", "folder", f.path, "cause", err)
		}
	})
	err := s.runVolume(ctx, f.volume)
	f.mu.Lock()
	store := f.store
	f.store = nil
	f.mu.Unlock()
	if store != nil {
		_ = store.Close() // whatever hangs has its own hold on it
	}
	return err
}

// open returns the store. It is called on a worker.
func (f *folder) open() (*disk.Store, error) {
	f.mu.Lock()
	store := f.store
	f.mu.Unlock()
	if store != nil && store.Current() {
		return store, nil
	}
	next, err := disk.OpenShared(f.path)
	if err != nil {
		return nil, errors.New(err.Error()) // without its kind: whatever is wrong with the path, the volume fails
	}
	extra := store
	f.mu.Lock()
	if f.store == store {
		f.store = next
	} else { // another worker was faster
		next, extra = f.store, next
	}
	f.mu.Unlock()
	if extra != nil {
		_ = extra.Close() // operations that use it go on
	}
	if next == nil {
		return nil, fs.ErrClosed
	}
	return next, nil
}

// do has an operation on the store done.
func (f *folder) do(bytes int64, name string, op func(*disk.Store) error, done func(error)) error {
	return f.volume.Go(bytes, name, func() error {
		store, err := f.open()
		if err != nil {
			return err
		}
		if err = op(store); !errors.Is(err, fs.ErrClosed) {
			return err
		}
		if store, err = f.open(); err != nil { // another worker has opened it again in between
			return err
		}
		return op(store)
	}, done)
}

// Write implements protocol.Folder.
func (f *folder) Write(name string, pieces [][]byte, done func(error)) error {
	var bytes int64
	for _, b := range pieces {
		bytes += int64(len(b))
	}
	return f.do(bytes, "write "+path.Base(name), func(s *disk.Store) error { return s.Put(name, pieces, folderFilePerm) }, done)
}

// Remove implements protocol.Folder.
func (f *folder) Remove(names []string, done func(error)) error {
	return f.do(0, "remove", func(s *disk.Store) error { return s.Prune(names) }, done)
}

// Sweep implements protocol.Folder.
func (f *folder) Sweep(dir string, unwanted func(name string, temporary bool) bool, done func(removed int, err error)) error {
	removed := 0 // the worker's, and then done's
	return f.do(0, "sweep", func(s *disk.Store) error {
		names, err := s.List(dir)
		if err != nil {
			return err
		}
		var all []string
		for _, name := range names {
			of, temporary := disk.Temporary(name)
			if !temporary {
				of = name
			}
			if unwanted(of, temporary) && len(all) < sweepMost {
				all = append(all, path.Join(dir, name))
			}
		}
		if err = s.Prune(all); err == nil {
			removed = len(all)
		}
		return err
	}, func(err error) { done(removed, err) })
}

// noFolder is the folder of a server that is only checked. It implements protocol.Folder.
type noFolder struct{}

// Write implements protocol.Folder.
func (noFolder) Write(string, [][]byte, func(error)) error { return errors.ErrUnsupported }

// Remove implements protocol.Folder.
func (noFolder) Remove([]string, func(error)) error { return errors.ErrUnsupported }

// Sweep implements protocol.Folder.
func (noFolder) Sweep(string, func(string, bool) bool, func(int, error)) error {
	return errors.ErrUnsupported
}
