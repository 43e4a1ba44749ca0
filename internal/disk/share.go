package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// sharedPerm is the mode of folders that other programs are to read, as far as the process's umask allows.
const sharedPerm fs.FileMode = 0o755

// OpenShared is [Open] for a folder of files that other programs are to read: it, and folders beneath, are made with mode 0755.
func OpenShared(path string) (*Store, error) {
	s, err := openStore(path, sharedPerm)
	if err != nil {
		return nil, fmt.Errorf("folder: %w", err)
	}
	return s, nil
}

// Current says whether what is at the folder's path is still the folder that was opened: it may have been removed, or another file system may have been
// mounted there.
func (s *Store) Current() bool {
	ours, err := s.root.Stat(".")
	if err != nil {
		return false
	}
	theirs, err := os.Stat(s.path)
	return err == nil && os.SameFile(ours, theirs)
}

// Put makes the file of the pieces, with perm, or replaces it as a whole for whoever opens it from then on. Nothing is made durable: after a loss
// of power the file may be the old one, empty, or gone. Folders on the way are made. There is no limit of size.
func (s *Store) Put(name string, pieces [][]byte, perm fs.FileMode) error {
	const tries = 3 // somebody may remove an empty folder on the way just then
	var err error
	for range tries {
		// What is made on the way may have been there when it was to be made, and be gone when it is looked at.
		if err = s.put(name, pieces, perm); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return s.wrap("write", name, err)
}

func (s *Store) put(name string, pieces [][]byte, perm fs.FileMode) (err error) {
	dir, _ := path.Split(name)
	if dir != "" {
		if err = s.root.MkdirAll(path.Clean(dir), s.perm); err != nil {
			return err
		}
	}
	tmp := temporaryName(name)
	f, err := s.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	for _, b := range pieces {
		if _, err = f.Write(b); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(tmp, name)
	}
	if err != nil {
		_ = s.root.Remove(tmp)
	}
	return err
}

// temporarySuffix ends the names of files in the making, which begin with a dot.
const temporarySuffix = ".tmp"

// temporaryName makes up a name beside name.
func temporaryName(name string) string {
	dir, base := path.Split(name)
	return dir + "." + base + "." + rand.Text() + temporarySuffix
}

// Temporary says of which file one with this name is what an interrupted write has left: "x" of ".x.ABC.tmp". Names are without folders.
func Temporary(name string) (of string, ok bool) {
	rest, ok := strings.CutSuffix(name, temporarySuffix)
	if !ok {
		return "", false
	}
	dot := strings.LastIndexByte(rest, '.')
	if dot < 2 || rest[0] != '.' || len(rest)-dot-1 != len(rand.Text()) {
		return "", false
	}
	if strings.Trim(rest[dot+1:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return "", false
	}
	return rest[1:dot], true
}

// Prune removes files and empty folders, in order, and goes on after an error, of which it returns the first. Those that are absent, and folders
// that are not empty, are left as they are.
func (s *Store) Prune(names []string) (first error) {
	for _, name := range names {
		err := s.root.Remove(name)
		if first == nil && err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) { // ErrExist: not empty
			first = s.wrap("remove", name, err)
		}
	}
	return first
}
