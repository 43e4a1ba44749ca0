package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/disk"
)

// The kinds of alarms: short stable words, for metrics, the API, and whoever is to be called.
const (
	alarmGhost    = "ghost"    // publishers are refused because of an owner that sends nothing
	alarmDuel     = "duel"     // two publishers take a stream from each other
	alarmMute     = "mute"     // a track has stopped
	alarmStuck    = "stuck"    // a loop hangs
	alarmReplaced = "replaced" // this worker takes the place of one that has died or was wedged
	alarmSafe     = "safe"     // no media are let in, because workers die again and again
	alarmClock    = "clock"    // the wall clock has jumped
	alarmPause    = "pause"    // the process did not run for a while
	alarmDisk     = "disk"     // a volume does not answer, or fails
	alarmLog      = "log"      // a sink takes nothing
	alarmKept     = "kept"     // settings that were changed while a server ran cannot be used
)

// alarmKinds lists them all.
func alarmKinds() []string {
	return []string{alarmGhost, alarmDuel, alarmMute, alarmStuck, alarmReplaced, alarmSafe, alarmClock, alarmPause, alarmDisk, alarmLog, alarmKept}
}

// alarmsKept is how many alarms the API tells.
const alarmsKept = 100

// alarmBook counts what somebody should look at, and remembers the newest. Its methods are safe for concurrent use.
type alarmBook struct {
	mu     sync.Mutex // guards what follows; memory only
	counts map[string]uint64
	newest []api.Alarm // a ring
	next   int
}

func newAlarmBook() *alarmBook { return &alarmBook{counts: map[string]uint64{}} }

// raise notes an alarm. about is what it is about: a stream's key, a loop, a volume.
func (b *alarmBook) raise(kind, about, text string) {
	a := api.Alarm{At: time.Now(), Kind: kind, About: about, Text: text}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[kind]++
	if len(b.newest) < alarmsKept {
		b.newest = append(b.newest, a)
		return
	}
	b.newest[b.next] = a
	b.next = (b.next + 1) % alarmsKept
}

// list returns the newest alarms, the oldest of them first.
func (b *alarmBook) list() []api.Alarm {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(append([]api.Alarm{}, b.newest[b.next:]...), b.newest[:b.next]...)
}

// figures are how often there was an alarm of each kind.
func (b *alarmBook) figures() map[string]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]uint64{}
	for _, kind := range alarmKinds() {
		all[kind] = b.counts[kind]
	}
	return all
}

const (
	patrolEvery = time.Second
	clockJump   = 2 * time.Second // that the wall clock moves more or less than time passes
	pauseLeast  = time.Second     // that a turn is late
)

// patrol looks at what raises no events of its own: the clock, the disk, the log.
type patrol struct {
	*Server
	wall time.Time // without a monotonic clock
	mono time.Time
	disk map[*disk.Volume]disk.VolumeState
	log  map[string]bool // sinks that are stuck
}

// patrols until ctx ends.
func (s *Server) patrols(ctx context.Context) error {
	now := time.Now()
	p := &patrol{Server: s, wall: now.Round(0), mono: now, disk: map[*disk.Volume]disk.VolumeState{}, log: map[string]bool{}}
	t := time.NewTicker(patrolEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			p.look(time.Now())
		}
	}
}

func (p *patrol) look(now time.Time) {
	wall := now.Round(0)
	if jump := wall.Sub(p.wall) - now.Sub(p.mono); jump.Abs() >= clockJump {
		p.logger.Warn("the wall clock has jumped", "by", jump.Round(time.Millisecond))
		p.book.raise(alarmClock, "", fmt.Sprintf("the wall clock has jumped by %v", jump.Round(time.Millisecond)))
	}
	if late := now.Sub(p.mono) - patrolEvery; late >= pauseLeast {
		p.logger.Warn("this process did not run: it was stopped, or waited for a processor or for memory", "for", late.Round(time.Millisecond))
		p.book.raise(alarmPause, "", fmt.Sprintf("this process did not run for %v", late.Round(time.Millisecond)))
	}
	p.wall, p.mono = wall, now
	for _, v := range p.volumes() {
		f := v.Figures()
		if f.State > p.disk[v] && f.State >= disk.Failing {
			p.book.raise(alarmDisk, f.Name, "the volume is "+f.State.String())
		}
		p.disk[v] = f.State
	}
	for _, s := range p.Server.log.Stats() {
		if s.Stuck && !p.log[s.Name] {
			p.book.raise(alarmLog, s.Name, "the log's "+s.Name+" takes nothing: lines are dropped")
		}
		p.log[s.Name] = s.Stuck
	}
}
