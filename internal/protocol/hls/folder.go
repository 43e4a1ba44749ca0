package hls

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// folderName stands for the folder in the log and in metrics.
const folderName = "hls"

// mirrors are what hls.dir gets: for each stream and format a mirror. Nothing here waits for the disk. A nil one does nothing. Locks: mu, then a
// mirror's; trouble's is a leaf.
type mirrors struct {
	folder   protocol.Folder
	env      protocol.Env
	trouble  trouble
	stopping func() bool

	mu  sync.Mutex // guards what follows; memory only
	all map[mirrorKey]*mirror
}

// mirrorKey names a mirror: the path of its folder, folded, as there is one of "live/Cam" and "live/cam" on some disks.
type mirrorKey struct {
	path   string
	format segment.Format
}

// newMirrors returns the mirrors of the folder that is configured, or nil.
func newMirrors(env protocol.Env, cfg *Config, stopping func() bool) (*mirrors, error) {
	if cfg.Dir == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	if env.Folder == nil {
		return nil, conf.Problems{{Key: "hls.dir", Message: "this server has no disk"}}
	}
	folder, err := env.Folder(folderName, cfg.Dir)
	if err != nil {
		return nil, conf.Problems{{Key: "hls.dir", Message: err.Error()}}
	}
	return &mirrors{
		folder: folder, env: env, stopping: stopping, all: map[mirrorKey]*mirror{},
		trouble: trouble{log: env.Log.With("folder", cfg.Dir)},
	}, nil
}

// copying is a rendition that is copied. A nil one is not.
type copying struct {
	*mirror
	token string
}

// open has a rendition copied from now on, in the place of whichever was copied there before. It returns nil if there is no folder for it.
func (a *mirrors) open(name hub.Key, format segment.Format, token string) *copying {
	if a == nil || a.env.Hub.Probe(name) {
		return nil
	}
	m, err := a.mirror(name, format)
	if err != nil {
		a.env.Refusals.Logger(a.env.Log, "hls.dir", netip.Addr{}).Warn("a stream is not copied into the folder", "stream", name, "cause", err)
		return nil
	}
	m.adopt(token)
	return &copying{m, token}
}

// errTaken means that there is a stream already whose folder would be the same.
var errTaken = errors.New("another stream has a folder that differs in capital letters only")

// mirror returns the mirror of a stream, and makes it if there is none.
func (a *mirrors) mirror(name hub.Key, format segment.Format) (*mirror, error) {
	path, err := folderOf(name)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range []segment.Format{segment.TS, segment.FMP4} {
		if other := a.all[mirrorKey{folded(path), f}]; other != nil && other.path != path {
			return nil, fmt.Errorf("%w: %s", errTaken, other.path)
		}
	}
	key := mirrorKey{folded(path), format}
	m := a.all[key]
	if m == nil {
		m = &mirror{mirrors: a, name: name, path: path, format: format}
		a.all[key] = m
	}
	m.claim() // so that look does not take it away
	return m, nil
}

// look sees to what has become due. It is called every second.
func (a *mirrors) look(now time.Time) {
	if a == nil {
		return
	}
	a.mu.Lock()
	all := make([]*mirror, 0, len(a.all))
	for _, m := range a.all {
		all = append(all, m)
	}
	a.mu.Unlock()
	for _, m := range all {
		m.advance(now)
	}
	a.mu.Lock()
	for key, m := range a.all {
		if m.over() {
			delete(a.all, key)
		}
	}
	a.mu.Unlock()
	a.trouble.look(now)
}

// quietFor is how long nothing fails before it is said that all is well again.
const quietFor = 5 * time.Second

// trouble says when copies cannot be written, and when they can again: two lines, however many copies that are.
type trouble struct {
	log *slog.Logger

	mu           sync.Mutex // guards what follows; memory only
	since        time.Time  // zero: there is none
	newest       time.Time  // failure
	works        bool       // something was done since
	failed, lost int
}

// note takes the outcome of an operation, and how many segments were given up.
func (t *trouble) note(name hub.Key, err error, lost int) {
	if t.begins(err, lost) {
		if err == nil {
			err = errBehind
		}
		t.log.Warn("copies of segments are not written", "stream", name, "cause", err)
	}
}

// begins is note, and says whether something is to be said.
func (t *trouble) begins(err error, lost int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && lost == 0 {
		t.works = true
		return false
	}
	t.lost += lost
	if err != nil {
		t.failed++
	}
	t.newest, t.works = time.Now(), false
	if !t.since.IsZero() {
		return false
	}
	t.since = t.newest
	return true
}

// look says that all is well again.
func (t *trouble) look(now time.Time) {
	t.mu.Lock()
	if t.since.IsZero() || !t.works || now.Sub(t.newest) < quietFor {
		t.mu.Unlock()
		return
	}
	after, failed, lost := now.Sub(t.since), t.failed, t.lost
	t.since, t.failed, t.lost = time.Time{}, 0, 0
	t.mu.Unlock()
	t.log.Info("copies of segments are written again", "after", after.Round(time.Millisecond), "failed", failed, "lost", lost)
}

// errBehind means that the disk takes less than is cut.
var errBehind = errors.New("the disk is too slow: older segments are given up")
