package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
)

// ExposedError says that others may read or write a file that should be secret. It is a warning: what comes with it
// is valid, and the caller decides.
type ExposedError struct {
	Path string      // absolute
	Perm fs.FileMode // as it is
	Want fs.FileMode // the most that it should be
}

// Error says what to do.
func (e *ExposedError) Error() string {
	return fmt.Sprintf("%s has mode %04o, so that others than its owner have access to it: chmod %04o %s",
		e.Path, e.Perm, e.Want, e.Path)
}

// ReadOrCreate reads the file or, when it is absent, makes it with perm and what generate gives, and tells which.
// Of several goroutines or processes that create it at once one wins, and all get the winner's contents; a file is
// never replaced, and never seen half written. generate is called at most once.
//
// When the file has permissions beyond perm, the error is an *[ExposedError] and data are valid all the same.
func (s *Store) ReadOrCreate(name string, perm fs.FileMode, generate func() ([]byte, error)) (
	data []byte, created bool, err error,
) {
	data, err = s.readSecret(name, perm)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, false, err
	}
	if data, err = generate(); err != nil {
		return nil, false, s.wrap("create", name, err)
	}
	created, err = s.create(name, data, perm)
	if err != nil {
		return nil, false, s.wrap("create", name, err)
	}
	if !created {
		data, err = s.readSecret(name, perm)
	}
	return data, created, err
}

// create makes a file that is not there yet; false means that somebody else has been faster. A hard link, unlike a
// rename, does not replace. Where the file system has none, a rename must do: then of processes that race the last
// wins, which matters on their first start only.
func (s *Store) create(name string, data []byte, perm fs.FileMode) (created bool, err error) {
	tmp, err := s.temporary(name, data, perm)
	if err != nil {
		return false, err
	}
	defer func() { _ = s.root.Remove(tmp) }()
	switch err := s.root.Link(tmp, name); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		if err := s.root.Rename(tmp, name); err != nil {
			return false, err
		}
	}
	return true, s.syncFolder(path.Dir(name))
}

func (s *Store) readSecret(name string, perm fs.FileMode) ([]byte, error) {
	data, info, err := s.read(name)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&^perm != 0 && runtime.GOOS != "windows" {
		return data, &ExposedError{Path: s.PathOf(name), Perm: mode, Want: perm}
	}
	return data, nil
}
