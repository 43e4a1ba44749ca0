package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// pieceTime is for the disk to read a piece of a file, or to open one.
const pieceTime = 10 * time.Second

// ErrNoFile says that there is nothing that can be read: no file, one that is hidden, or something that is neither a regular file nor a folder.
// It is fs.ErrNotExist too.
var ErrNoFile = fmt.Errorf("no such file: %w", fs.ErrNotExist)

// Tree is a folder whose files are read for others, through a volume: nobody waits longer than 10 s for the disk. Nothing outside is read, not by
// a link either, nor by a name of which a part begins with a dot; a link inside leads where it leads. The folder is opened for each file anew: it may come and go. Tree is
// safe for concurrent use.
type Tree struct {
	path   string
	volume *Volume
	never  []fs.FileInfo // folders that it must not be

	mu   sync.Mutex // guards what follows; memory only
	left []*os.File // that the volume had no time to close
}

// NewTree returns the folder at a path, which need not be there yet. Nothing is read as long as it is one of never, by whatever links.
func NewTree(path string, v *Volume, never ...fs.FileInfo) (*Tree, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("folder: %w", err)
	}
	return &Tree{path: abs, volume: v, never: never}, nil
}

// errSecret means that the folder has something in it that nobody may read. It is no fault of the disk.
var errSecret = fmt.Errorf("has something in it that nobody may read: %w", errOutOfReach)

// root opens the folder, on a worker.
func (t *Tree) root() (*os.Root, error) {
	root, err := os.OpenRoot(t.path)
	if err != nil || len(t.never) == 0 {
		return root, err
	}
	info, err := root.Stat(".")
	if err == nil && slices.ContainsFunc(t.never, func(secret fs.FileInfo) bool { return os.SameFile(secret, info) }) {
		err = fmt.Errorf("%s: %w", t.path, errSecret)
	}
	if err != nil {
		_ = root.Close() // it was only read
		return nil, err
	}
	return root, nil
}

// Path is the folder's absolute path.
func (t *Tree) Path() string { return t.path }

// PathOf is the absolute path of what is in the folder.
func (t *Tree) PathOf(name string) string { return filepath.Join(t.path, filepath.FromSlash(name)) }

// Volume is what the folder is read through.
func (t *Tree) Volume() *Volume { return t.volume }

// Look tells done whether the folder can be opened. It does not wait; done must not either.
func (t *Tree) Look(done func(error)) {
	look := func() error {
		root, err := t.root()
		if err != nil {
			return err
		}
		return root.Close()
	}
	if err := t.volume.Go(0, "look", look, done); err != nil {
		done(err)
	}
}

// Name is the name in the folder of what is at an absolute path, slash-separated; false: that is elsewhere.
func (t *Tree) Name(path string) (string, bool) {
	rel, err := filepath.Rel(t.path, path)
	if err != nil || !filepath.IsAbs(path) || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// Entry is what a folder has in it.
type Entry struct {
	Name   string
	Dir    bool
	Bytes  int64
	Change time.Time
}

// visible says whether a name is one that may be read: slash-separated, and nothing in it hidden. "." is the folder itself.
func visible(name string) bool {
	if name == "." {
		return true
	}
	hidden := func(part string) bool { return strings.HasPrefix(part, ".") }
	return filepath.IsLocal(filepath.FromSlash(name)) && name == path.Clean(name) && !strings.ContainsAny(name, "\\\x00") &&
		!slices.ContainsFunc(strings.Split(name, "/"), hidden)
}

// Open opens a file, or finds a folder, by its slash-separated name. ErrNoFile: there is none. Other errors are the disk's and the volume's.
func (t *Tree) Open(ctx context.Context, name string) (*File, error) {
	if !visible(name) {
		return nil, ErrNoFile
	}
	var made atomic.Pointer[File] // by whoever is first: the worker, or the caller who gives it up
	givenUp := &File{}
	err := t.do(ctx, "open", func() error {
		file, info, err := t.open(name)
		if err != nil {
			return err
		}
		f := &File{Info: info, tree: t, ctx: ctx}
		f.file.Store(file)
		if !made.CompareAndSwap(nil, f) && file != nil {
			return file.Close()
		}
		return nil
	})
	if err != nil && !made.CompareAndSwap(nil, givenUp) { // it was done just then
		t.close(made.Load().file.Load())
	}
	switch {
	case isNone(err):
		return nil, ErrNoFile
	case err != nil:
		return nil, err
	}
	return made.Load(), nil
}

// errOutOfReach means that a name leads out of the folder, or to what the process may not read. It is nobody's fault but the name's.
var errOutOfReach = fmt.Errorf("is out of reach: %w", fs.ErrInvalid)

// isNone says whether an error means that there is nothing to be read by a name.
func isNone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errOutOfReach) || errors.Is(err, syscall.ENOTDIR) ||
		errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.ELOOP)
}

// open is what a worker does. The file is nil for a folder.
func (t *Tree) open(name string) (*os.File, fs.FileInfo, error) {
	root, err := t.root()
	if err != nil {
		return nil, nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	info, err := root.Stat(name)
	switch {
	case err != nil:
		return nil, nil, reach(err)
	case info.IsDir():
		return nil, info, nil
	case !info.Mode().IsRegular(): // to open a device may have an effect, and to open a pipe may wait
		return nil, nil, ErrNoFile
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may have become a pipe
	if err != nil {
		return nil, nil, reach(err)
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = ErrNoFile
	}
	if err != nil {
		_ = file.Close() // it was not read
		return nil, nil, err
	}
	return file, info, nil
}

// reach tells apart what is wrong with a name and what is wrong with the disk: os.Root has no error that can be named for names that lead out.
func reach(err error) error {
	pe, ok := errors.AsType[*fs.PathError](err)
	if ok && strings.Contains(pe.Err.Error(), "escapes") || errors.Is(err, fs.ErrPermission) {
		return errOutOfReach
	}
	return err
}

// do has an operation done within its time, after what has been left to close.
func (t *Tree) do(ctx context.Context, name string, op func() error) error {
	ctx, cancel := context.WithTimeout(ctx, pieceTime)
	defer cancel()
	return t.volume.Do(ctx, pieceBytes, name, func() error {
		t.mu.Lock()
		left := t.left
		t.left = nil
		t.mu.Unlock()
		for _, f := range left {
			_ = f.Close() // it was only read
		}
		return op()
	})
}

// close has a file closed, now or, while the disk does not answer, later.
func (t *Tree) close(f *os.File) {
	if f == nil {
		return
	}
	err := t.volume.Go(0, "close", f.Close, nil)
	if err == nil {
		return
	}
	t.mu.Lock()
	t.left = append(t.left, f)
	t.mu.Unlock()
}

// List gives what is in a folder by its name, folders first and sorted, without what is hidden, and most entries at the most; more says that there
// are others.
func (t *Tree) List(ctx context.Context, name string, most int) (entries []Entry, more bool, err error) {
	if !visible(name) {
		return nil, false, ErrNoFile
	}
	var got atomic.Pointer[[]Entry]
	err = t.do(ctx, "list", func() error {
		root, fault := t.root()
		if fault != nil {
			return fault
		}
		defer root.Close() //nolint:errcheck // it was only read
		dir, fault := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if fault != nil {
			return reach(fault)
		}
		defer dir.Close() //nolint:errcheck // it was only read
		all, fault := readEntries(dir, most+1)
		got.Store(&all)
		return fault
	})
	switch {
	case isNone(err):
		return nil, false, ErrNoFile
	case err != nil:
		return nil, false, err
	}
	entries = *got.Load()
	if more = len(entries) > most; more {
		entries = entries[:most]
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if a.Dir != b.Dir {
			if a.Dir {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return entries, more, nil
}

// readEntries reads what is in a folder and can be read by others.
func readEntries(dir *os.File, most int) ([]Entry, error) {
	const batch = 256
	out := []Entry{}
	for len(out) < most {
		some, err := dir.ReadDir(batch)
		for _, e := range some {
			if !visible(e.Name()) || !e.IsDir() && !e.Type().IsRegular() {
				continue
			}
			if info, gone := e.Info(); gone == nil { // else it has gone meanwhile
				out = append(out, Entry{Name: e.Name(), Dir: e.IsDir(), Bytes: info.Size(), Change: info.ModTime()})
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, err
		}
	}
	return out[:most], nil
}
