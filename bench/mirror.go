//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Limits of a mirror.
const (
	mirrorEvery    = 50 * time.Millisecond // between two looks at the playlist
	mirrorSegments = 3                     // in the playlist before viewers come
	mirrorKeeps    = 2                     // playlists for which a segment is kept that is in none any more
	mirrorLimit    = 64 << 20              // bytes of a file
)

// mirror copies the segments of a live stream into a folder, and after them the playlist that names them, again and again.
type mirror struct {
	from string // URL of the playlist
	dir  string

	cookie string
	last   []byte          // the playlist as it was written last
	kept   map[string]bool // files in the folder
	passed []string        // of them, those that are in the playlist no more, oldest first

	mu     sync.Mutex
	broken error
}

// err says what went wrong while it ran.
func (m *mirror) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken
}

// get fetches a file. It keeps the cookie it is given, so that the server has one more viewer and not many.
func (m *mirror) get(ctx context.Context, url string) ([]byte, int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept-Encoding", "identity")
	if m.cookie != "" {
		r.Header.Set("Cookie", m.cookie)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer a.Body.Close() //nolint:errcheck // it was read
	for _, c := range a.Cookies() {
		m.cookie = c.Name + "=" + c.Value
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, mirrorLimit))
	return b, a.StatusCode, err
}

// ready asks for the playlist from first on, and waits until it has some segments, and until then.
func (m *mirror) ready(ctx context.Context, first, then time.Time) error {
	limit, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	poll := time.NewTicker(4 * mirrorEvery)
	defer poll.Stop()
	var code int
	var err error
	for {
		if now := time.Now(); !now.Before(first) {
			var b []byte
			b, code, err = m.get(limit, m.from)
			if err == nil && code == http.StatusOK && len(segments(b)) >= mirrorSegments && !now.Before(then) {
				return nil
			}
		}
		select {
		case <-limit.Done():
			return fmt.Errorf("no playlist with %d segments at %s: HTTP %d, %w", mirrorSegments, m.from, code, errors.Join(err, limit.Err()))
		case <-poll.C:
		}
	}
}

// run copies until ctx ends.
func (m *mirror) run(ctx context.Context) {
	tick := time.NewTicker(mirrorEvery)
	defer tick.Stop()
	for {
		if err := m.step(ctx); err != nil && ctx.Err() == nil {
			m.mu.Lock()
			m.broken = errors.Join(m.broken, fmt.Errorf("copying for nginx: %w", err))
			m.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// step copies what is new.
func (m *mirror) step(ctx context.Context) error {
	list, code, err := m.get(ctx, m.from)
	if err != nil || code != http.StatusOK {
		return fmt.Errorf("%s: HTTP %d, %w", m.from, code, err)
	}
	if bytes.Equal(list, m.last) {
		return nil
	}
	if m.kept == nil {
		m.kept = map[string]bool{}
	}
	names := segments(list)
	for _, name := range names {
		if m.kept[name] {
			continue
		}
		b, code, err := m.get(ctx, m.from[:strings.LastIndexByte(m.from, '/')+1]+name)
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("%s: HTTP %d, %w", name, code, err)
		}
		if err := m.write(name, b); err != nil {
			return err
		}
		m.kept[name] = true
	}
	if err := m.write(path.Base(m.from), list); err != nil {
		return err
	}
	m.passed = append(m.passed, missing(segments(m.last), names)...)
	m.last = list
	for len(m.passed) > mirrorKeeps*len(names) {
		if err := os.Remove(filepath.Join(m.dir, m.passed[0])); err != nil {
			return err
		}
		delete(m.kept, m.passed[0])
		m.passed = m.passed[1:]
	}
	return nil
}

// write makes a file appear whole.
func (m *mirror) write(name string, b []byte) error {
	file := filepath.Join(m.dir, name)
	if err := os.WriteFile(file+".part", b, 0o644); err != nil { //nolint:gosec // nginx's workers are another user
		return err
	}
	return os.Rename(file+".part", file)
}

// segments returns the names of a playlist's segments. Those that are not in the playlist's own folder are left out.
func segments(list []byte) []string {
	var names []string
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != '.' && !strings.ContainsAny(line, "/\\?") {
			names = append(names, line)
		}
	}
	return names
}

// missing returns those of a that are not in b.
func missing(a, b []string) []string {
	in := map[string]bool{}
	for _, s := range b {
		in[s] = true
	}
	var out []string
	for _, s := range a {
		if !in[s] {
			out = append(out, s)
		}
	}
	return out
}
