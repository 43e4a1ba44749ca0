package bundle

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
)

const (
	shelfFolder = "bundles"
	shelfKeep   = 10 // bundles
	shelfEvery  = 60 * time.Second
	shelfPrefix = "vigil-"
	shelfSuffix = ".tar.gz"
	shelfTime   = "20060102T150405.000Z"
	reasonMax   = 40 // bytes of a reason, in the name
)

var (
	// ErrTooSoon is returned by Put less than 60 s after another one.
	ErrTooSoon = errors.New("a bundle was kept less than a minute ago")
	// ErrShelfBusy is returned while another bundle is being written: the disk may hang.
	ErrShelfBusy = errors.New("a bundle is being written already")
)

// Shelf keeps the newest 10 bundles in a folder. Its methods do what the disk makes them do, and may hang with it: call them where that
// is no harm. They are safe for concurrent use.
type Shelf struct {
	store *disk.Store

	mu      sync.Mutex // guards what follows; memory only
	busy    bool
	begun   time.Time // when the last bundle was to be kept that nobody asked for
	stamped time.Time // in the name of the last one
}

// NewShelf returns a shelf in the folder bundles of store.
func NewShelf(store *disk.Store) *Shelf { return &Shelf{store: store} }

// Put keeps a bundle under the time and reason, with mode 0600, and returns its absolute path. The oldest make room for it. One that comes
// less than 60 s after the one before, or after an attempt to keep it, gets ErrTooSoon.
func (s *Shelf) Put(reason string, data []byte) (string, error) { return s.put(reason, data, false) }

// Force keeps a bundle that a person has asked for: however soon it comes.
func (s *Shelf) Force(reason string, data []byte) (string, error) { return s.put(reason, data, true) }

func (s *Shelf) put(reason string, data []byte, force bool) (string, error) {
	at, err := s.reserve(force)
	if err != nil {
		return "", err
	}
	defer s.release()
	if err = s.makeRoom(); err != nil {
		return "", err
	}
	name := shelfFolder + "/" + shelfPrefix + at.Format(shelfTime) + "-" + slug(reason) + shelfSuffix
	if err = s.store.WriteFile(name, data, 0o600); err != nil {
		return "", err
	}
	return s.store.PathOf(name), nil
}

// reserve says whether a bundle may be kept now, and the time for its name, which no other has.
func (s *Shelf) reserve(force bool) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case s.busy:
		return time.Time{}, ErrShelfBusy
	case !force && !s.begun.IsZero() && now.Sub(s.begun) < shelfEvery:
		return time.Time{}, ErrTooSoon
	case !force:
		s.begun = now
	}
	s.busy = true
	at := now.UTC().Truncate(time.Millisecond)
	if !at.After(s.stamped) {
		at = s.stamped.Add(time.Millisecond)
	}
	s.stamped = at
	return at, nil
}

func (s *Shelf) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

// makeRoom removes the oldest bundles, so that there is room for one, and what was left by a process that died while it wrote.
func (s *Shelf) makeRoom() error {
	names, err := s.store.List(shelfFolder)
	if err != nil {
		return err
	}
	kept := bundles(names)
	var errs []error
	for _, name := range kept[:max(0, len(kept)-shelfKeep+1)] {
		errs = append(errs, s.store.Remove(shelfFolder+"/"+name))
	}
	for _, name := range names {
		if strings.HasPrefix(name, "."+shelfPrefix) && strings.HasSuffix(name, ".tmp") {
			errs = append(errs, s.store.Remove(shelfFolder+"/"+name))
		}
	}
	return errors.Join(errs...)
}

// bundles is the names that are ours.
func bundles(names []string) []string {
	var ours []string
	for _, name := range names {
		if strings.HasPrefix(name, shelfPrefix) && strings.HasSuffix(name, shelfSuffix) {
			ours = append(ours, name)
		}
	}
	return ours
}

// List gives the absolute paths of the bundles, the oldest first.
func (s *Shelf) List() ([]string, error) {
	names, err := s.store.List(shelfFolder)
	if err != nil {
		return nil, fmt.Errorf("bundles: %w", err)
	}
	paths := bundles(names)
	for i, name := range paths {
		paths[i] = s.store.PathOf(shelfFolder + "/" + name)
	}
	return paths, nil
}

// slug makes a reason fit a file's name.
func slug(reason string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(reason) {
		switch {
		case b.Len() == reasonMax:
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	if text := strings.Trim(b.String(), "-"); text != "" {
		return text
	}
	return "no-reason"
}
