package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
)

// FileBytesMax is the most that Store reads or writes as one file.
const FileBytesMax = 16 << 20

// folderPerm is the mode of folders that we make: what is kept is nobody else's business.
const folderPerm fs.FileMode = 0o700

// ErrTooLarge is wrapped by errors about files of more than FileBytesMax bytes.
var ErrTooLarge = errors.New("larger than a kept file may be")

// Store is an open folder and all beneath it. Names are slash-separated and relative to it.
type Store struct {
	root *os.Root
	path string      // absolute, for messages
	perm fs.FileMode // of folders that are made
}

// Open opens the folder at path and makes it, with mode 0700, when it is absent.
func Open(path string) (*Store, error) {
	s, err := openStore(path, folderPerm)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	return s, nil
}

func openStore(path string, perm fs.FileMode) (*Store, error) {
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err = os.MkdirAll(abs, perm); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return &Store{root: root, path: abs, perm: perm}, nil
}

// Path is the folder's absolute path, to show.
func (s *Store) Path() string { return s.path }

// PathOf is the absolute path of a file of the folder, to show.
func (s *Store) PathOf(name string) string { return filepath.Join(s.path, filepath.FromSlash(name)) }

// Close lets go of the folder.
func (s *Store) Close() error { return s.root.Close() }

// ReadFile reads a regular file of at most FileBytesMax bytes. An absent one gives an error that is fs.ErrNotExist.
func (s *Store) ReadFile(name string) ([]byte, error) {
	data, _, err := s.read(name)
	return data, err
}

// read gives the contents and what the file is. It opens nothing but regular files: a FIFO would block.
func (s *Store) read(name string) ([]byte, fs.FileInfo, error) {
	info, err := s.root.Stat(name)
	if err != nil {
		return nil, nil, s.wrap("read", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, s.wrap("read", name, errors.New("not a regular file"))
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, nil, s.wrap("read", name, err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, FileBytesMax+1))
	if err == nil && len(data) > FileBytesMax {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, nil, s.wrap("read", name, err)
	}
	return data, info, nil
}

// WriteFile makes the file with perm, or replaces it as a whole: whoever reads it, also after a loss of power, finds
// the old or the new contents. Folders on the way are made.
func (s *Store) WriteFile(name string, data []byte, perm fs.FileMode) error {
	tmp, err := s.temporary(name, data, perm)
	if err != nil {
		return s.wrap("write", name, err)
	}
	if err := s.root.Rename(tmp, name); err != nil {
		_ = s.root.Remove(tmp)
		return s.wrap("write", name, err)
	}
	return s.wrap("write", name, s.syncFolder(path.Dir(name)))
}

// Rename gives a file another name, and replaces what had that. An absent one gives an error that is fs.ErrNotExist.
func (s *Store) Rename(from, to string) error {
	if err := s.root.Rename(from, to); err != nil {
		return s.wrap("rename", from, err)
	}
	return s.wrap("rename", from, s.syncFolder(path.Dir(to)))
}

// Remove removes a file or an empty folder. An absent one gives an error that is fs.ErrNotExist.
func (s *Store) Remove(name string) error { return s.wrap("remove", name, s.root.Remove(name)) }

// List gives the names of the regular files in a folder, without those beneath it, sorted. A folder that is absent has none.
func (s *Store) List(dir string) ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), path.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.wrap("list", dir, err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// temporary writes data, down to the disk, under a new name beside name.
func (s *Store) temporary(name string, data []byte, perm fs.FileMode) (tmp string, err error) {
	if len(data) > FileBytesMax {
		return "", ErrTooLarge
	}
	dir, _ := path.Split(name)
	if dir != "" {
		if err = s.root.MkdirAll(path.Clean(dir), s.perm); err != nil {
			return "", err
		}
	}
	tmp = temporaryName(name)
	f, err := s.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = s.root.Remove(tmp)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return tmp, errors.Join(err, f.Close())
}

// syncFolder makes a rename or link durable. Windows does not know that.
func (s *Store) syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// wrap says in an error what was done to which file, with its whole path and once.
func (s *Store) wrap(operation, name string, err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	} else if le, ok := errors.AsType[*os.LinkError](err); ok {
		err = le.Err
	}
	return fmt.Errorf("%s %s: %w", operation, s.PathOf(name), err)
}
