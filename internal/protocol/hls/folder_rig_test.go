package hls

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
	"github.com/vigil-media/vigil/internal/sim"
)

// The troubles of a memoryDisk.
var (
	errNoRoom  = errors.New("no space left on device")
	errRefused = errors.New("the disk has not answered for too long")
)

// memoryDisk is a folder in memory, and its disk, with all the troubles of one. It holds whoever uses it to what a folder is promised: no playlist
// names what is not there, nothing is removed that one names, and operations on the files of one playlist do not overtake each other.
type memoryDisk struct {
	t testing.TB

	mu      sync.Mutex
	files   map[string][]byte
	thawed  chan struct{}                      // closed: the disk is not frozen
	refuse  error                              // what is asked for is refused
	fails   func(operation, name string) error // nil: nothing does
	latency time.Duration
	named   map[string][]string // by playlist that was written
	running map[string]int      // operations by playlist
	bytes   int                 // that operations hold
	most    int                 // of those
	asked   int
}

func newMemoryDisk(t testing.TB) *memoryDisk {
	t.Helper()
	d := &memoryDisk{t: t, files: map[string][]byte{}, thawed: make(chan struct{}), running: map[string]int{}, named: map[string][]string{}}
	close(d.thawed)
	return d
}

func (d *memoryDisk) with(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
}

func (d *memoryDisk) freeze() { d.with(func() { d.thawed = make(chan struct{}) }) }

func (d *memoryDisk) thaw() { d.with(func() { close(d.thawed) }) }

// listOf is the playlist that a file belongs to.
func listOf(name string) string {
	dir, base := path.Split(name)
	for _, f := range []segment.Format{segment.TS, segment.FMP4} {
		if oursOf(f, base) {
			return dir + playlistOf(f)
		}
	}
	return ""
}

// ask queues an operation.
func (d *memoryDisk) ask(operation, name string, size int, op func() error, done func(error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.refuse != nil {
		return d.refuse
	}
	list := listOf(name)
	if d.running[list]++; d.running[list] > 1 && list != "" {
		d.t.Errorf("%d operations for %s", d.running[list], list)
	}
	d.bytes += size
	d.most = max(d.most, d.bytes)
	thawed, latency := d.thawed, d.latency
	go func() {
		if latency > 0 {
			<-time.After(latency)
		}
		<-thawed
		d.mu.Lock()
		var err error
		if d.fails != nil {
			err = d.fails(operation, name)
		}
		if err == nil {
			err = op()
		}
		d.running[list]--
		d.bytes -= size
		d.mu.Unlock()
		done(err)
	}()
	return nil
}

// named are the files that a playlist names.
func named(list string, body []byte) (all []string) {
	dir := path.Dir(list)
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if uri, ok := strings.CutPrefix(line, `#EXT-X-MAP:URI="`); ok {
			line = strings.TrimSuffix(uri, `"`)
		}
		if line != "" && line[0] != '#' {
			all = append(all, path.Join(dir, line))
		}
	}
	return all
}

// Write implements protocol.Folder.
func (d *memoryDisk) Write(name string, pieces [][]byte, done func(error)) error {
	body := bytes.Join(pieces, nil)
	return d.ask("write", name, len(body), func() error {
		if strings.HasSuffix(name, ".m3u8") {
			for _, file := range named(name, body) {
				if d.files[file] == nil {
					d.t.Errorf("%s names %s, which is not there", name, file)
				}
			}
		}
		d.files[name] = body
		if strings.HasSuffix(name, ".m3u8") {
			d.named[name] = named(name, body)
		}
		return nil
	}, done)
}

// Remove implements protocol.Folder.
func (d *memoryDisk) Remove(names []string, done func(error)) error {
	return d.ask("remove", names[0], 0, func() error {
		for _, name := range names {
			delete(d.files, name)
			if slices.Contains(named(listOf(name), d.files[listOf(name)]), name) {
				d.t.Errorf("%s was removed, and is in the playlist", name)
			}
		}
		return nil
	}, done)
}

// Sweep implements protocol.Folder.
func (d *memoryDisk) Sweep(dir string, unwanted func(string, bool) bool, done func(int, error)) error {
	removed := 0
	return d.ask("sweep", dir, 0, func() error {
		for name := range maps.Clone(d.files) {
			of, temporary := strings.CutSuffix(path.Base(name), ".tmp")
			if path.Dir(name) == dir && unwanted(of, temporary) {
				if list := listOf(name); slices.Contains(d.named[list], name) {
					d.t.Errorf("%s was swept away, and is in the playlist", name)
				}
				delete(d.files, name)
				removed++
			}
		}
		return nil
	}, func(err error) { done(removed, err) })
}

// list are the names of the files that there are.
func (d *memoryDisk) list() (names []string) {
	d.with(func() { names = slices.Sorted(maps.Keys(d.files)) })
	return names
}

func (d *memoryDisk) read(name string) (body string) {
	d.with(func() { body = string(d.files[name]) })
	return body
}

// studio is a server's mirrors, and streams that are cut for them. All is done in a bubble, where time does not pass unless the test waits: what
// makes the stream wait fails the test.
type studio struct {
	t     testing.TB
	disk  *memoryDisk
	log   logLines
	all   *mirrors
	looks time.Time
}

// logLines is a log in memory.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func newStudio(t testing.TB) *studio {
	t.Helper()
	s := &studio{t: t, disk: newMemoryDisk(t), looks: time.Now()}
	cfg := Default()
	cfg.Dir = "copies"
	env := protocol.Env{
		Hub: hub.New(hub.DefaultConfig(), nil), Log: slog.New(slog.NewTextHandler(&s.log, nil)),
		Folder: func(name, path string) (protocol.Folder, error) { return s.disk, nil },
	}
	var err error
	var stopped atomic.Bool
	if s.all, err = newMirrors(env, cfg, stopped.Load); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopped.Store(true)
		<-time.After(time.Minute) // for what is under way
	})
	return s
}

// film is a stream that is being cut.
type film struct {
	*studio
	dir     string
	format  segment.Format
	encoder *sim.Encoder
	cutter  *segment.Cutter
	copies  *copying
	begun   time.Time
	next    *av.AccessUnit
	edition *segment.Edition
}

// films counts, so that each has a token of its own.
var films int

// film begins one with segments of 2 s, seven in a playlist.
func (s *studio) film(name string, f segment.Format) *film {
	s.t.Helper()
	key, err := hub.ParseKey(name)
	if err != nil {
		s.t.Fatal(err)
	}
	films++
	token := fmt.Sprintf("aaaaaaaaaaaaaa%c%c", 'a'+films/26%26, 'a'+films%26)
	first := uint64(time.Now().Unix()) //nolint:gosec // not negative
	return &film{
		studio: s, dir: name, format: f, encoder: sim.New(sim.Options{Video: av.H264, FPS: 5, GOP: 5}), begun: time.Now(),
		cutter: segment.New(segment.Options{
			Format: f, Token: token, First: first, Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7, Bytes: 64 << 20,
			GOP: time.Second, Frame: 200 * time.Millisecond,
		}),
		copies: s.all.open(key, f, token),
	}
}

// run goes on for a while.
func (m *film) run(d time.Duration) *film {
	until := time.Now().Add(d)
	for {
		if m.next == nil {
			m.next = m.encoder.Next()
		}
		at := m.begun.Add(m.next.DTS)
		if at.After(until) {
			m.wait(time.Until(until))
			synctest.Wait()
			return m
		}
		m.wait(time.Until(at))
		changed := m.cutter.Add(segment.Entry{Unit: m.next, Tracks: m.encoder.Tracks(), Came: at})
		m.next = nil
		if changed {
			m.show()
		}
	}
}

func (m *film) show() {
	m.t.Helper()
	m.edition = m.cutter.Edition()
	before := time.Now()
	m.copies.offer(m.edition)
	if took := time.Since(before); took > 0 {
		m.t.Errorf("the stream waited %v", took)
	}
}

// end ends it.
func (m *film) end() {
	m.cutter.End()
	m.show()
	m.copies.close(nil)
}

// wait lets time pass, and looks.
func (s *studio) wait(d time.Duration) {
	until := time.Now().Add(d)
	for {
		next := s.looks.Add(lookEvery)
		if next.After(until) {
			<-time.After(time.Until(until))
			synctest.Wait()
			return
		}
		<-time.After(time.Until(next))
		s.looks = next
		s.all.look(next)
	}
}

// playlist is the one in the folder.
func (m *film) playlist() string { return m.disk.read(m.dir + "/" + playlistOf(m.format)) }

// segments is how many it names, and whether the newest that there is is the last of them.
func (m *film) segments() (n int, newest bool) {
	list := m.playlist()
	_, suffix, _ := strings.Cut(m.edition.SegmentName(0), "-0")
	return strings.Count(list, suffix+"\n"), strings.Contains(list, m.edition.SegmentName(m.edition.Next()-1)+"\n")
}
