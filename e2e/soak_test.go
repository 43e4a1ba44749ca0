package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/sim"
)

// soakTime is how long TestSoak lasts: VIGIL_SOAK, or 5 s.
func soakTime(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("VIGIL_SOAK")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		t.Fatalf("VIGIL_SOAK=%q is no duration of a second or more", text)
	}
	return d
}

// soak is a server that is made use of.
type soak struct {
	t       testing.TB
	s       *server
	streams []string

	done   [works]atomic.Int64 // how often each piece of work was
	names  atomic.Int64
	failed atomic.Int64
}

const works = 5 // kinds of work

// soakWork is what goes on at the same time, and how many do it.
var soakWork = [works]struct {
	name    string
	workers int
	do      func(k *soak, ctx context.Context, r *rand.Rand) error
}{
	{"visits", 8, (*soak).visit},
	{"stalls", 3, (*soak).stall},
	{"publications", 2, (*soak).publish},
	{"clients", 1, (*soak).client},
	{"cuts", 1, (*soak).cut},
}

// churn has all work done again and again for d.
func (k *soak) churn(d time.Duration, seed uint64) {
	ctx, cancel := context.WithTimeout(k.t.Context(), d)
	defer cancel()
	var wg sync.WaitGroup
	for i, work := range soakWork {
		for w := range work.workers {
			r := rand.New(rand.NewPCG(seed, uint64(100*i+w)))
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := work.do(k, ctx, r); err != nil && ctx.Err() == nil && k.failed.Add(1) <= 20 {
						k.t.Errorf("%s: %v", work.name, err)
					}
					k.done[i].Add(1)
				}
			})
		}
	}
	wg.Wait()
}

func (k *soak) String() string {
	text := ""
	for i, work := range soakWork {
		text += fmt.Sprintf("%d %s, ", k.done[i].Load(), work.name)
	}
	return text + fmt.Sprintf("%d failures", k.failed.Load())
}

// between waits for some time from low to high, or for the context's end.
func between(ctx context.Context, r *rand.Rand, low, high time.Duration) time.Duration {
	d := low + time.Duration(r.Int64N(int64(high-low)))
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return d
}

func (k *soak) target(r *rand.Rand) faults.Target {
	return k.s.target(k.streams[r.IntN(len(k.streams))])
}

// visit watches a stream for a while.
func (k *soak) visit(ctx context.Context, r *rand.Rand) error {
	w := watch(ctx, k.target(r), ways[r.IntN(len(ways))])
	stayed := between(ctx, r, 50*time.Millisecond, 5*time.Second)
	w.close()
	if err := w.fault(); err != nil {
		return err
	}
	if stayed > 2*time.Second && w.units() == 0 {
		return fmt.Errorf("%s: no unit within %v", w.way, stayed)
	}
	return nil
}

// stall begins to play, never reads, and goes some time after it has been ended, or before.
func (k *soak) stall(ctx context.Context, r *rand.Rand) error {
	p, err := faults.Play(ctx, k.target(r), ways[r.IntN(len(ways))], true)
	if err != nil {
		return err
	}
	between(ctx, r, 50*time.Millisecond, 8*time.Second)
	if r.IntN(2) == 0 {
		return p.Reset()
	}
	_ = p.Close() // TLS complains when it cannot say goodbye
	return nil
}

// publish publishes for a while, to watchers who see all of it and its end. Now and then mpegts.js or rtmpdump is
// among them.
func (k *soak) publish(ctx context.Context, r *rand.Rand) error {
	name := fmt.Sprintf("short-%d", k.names.Add(1))
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
	tracks := e.Tracks()
	p, err := tryPublish(ctx, k.t, k.s, name, flv.Enhanced, tracks[0], tracks[1])
	if err != nil {
		return err
	}
	defer p.c.Close()
	limited, cancel := context.WithTimeout(ctx, time.Second+time.Duration(r.Int64N(int64(4*time.Second))))
	defer cancel()
	var watchers []*watcher
	for range 3 {
		watchers = append(watchers, watch(ctx, k.s.target(name), ways[r.IntN(len(ways))]))
	}
	reader := make(chan error, 1)
	switch r.IntN(5) {
	case 0:
		go func() { reader <- k.run(ctx, "node", "reader.mjs", k.s.wsURL(name)) }()
	case 1:
		go func() { reader <- k.run(ctx, "rtmpdump", "-q", "--live", "-r", k.s.rtmpURL(name), "-o", os.DevNull) }()
	default:
		reader <- nil
	}
	err = p.encode(limited, e)
	if err == nil {
		err = p.c.Unpublish()
	}
	for _, w := range watchers {
		select {
		case <-w.done:
			err = errors.Join(err, w.fault())
		case <-time.After(5 * time.Second):
			err = errors.Join(err, fmt.Errorf("%s: does not see the end", w.way))
		}
		w.close()
		if w.units() == 0 {
			err = errors.Join(err, fmt.Errorf("%s: no unit", w.way))
		}
	}
	return errors.Join(err, <-reader)
}

// client plays for two seconds with a program of somebody else's.
func (k *soak) client(ctx context.Context, r *rand.Rand) error {
	name := k.streams[r.IntN(len(k.streams))]
	switch r.IntN(3) {
	case 0:
		return k.run(ctx, "ffmpeg", "-v", "fatal", "-nostdin", "-t", "2", "-i", k.s.rtmpURL(name), "-c", "copy", "-f", "null", "-")
	case 1:
		return k.run(ctx, "ffmpeg", "-v", "fatal", "-nostdin", "-t", "2", "-i", k.s.flvURL(name), "-c", "copy", "-f", "null", "-")
	default:
		return k.run(ctx, "gst-launch-1.0", "-q", "souphttpsrc", "num-buffers=8", "location="+k.s.flvURL(name), "!", "fakesink")
	}
}

// run runs a client to its end, within a bound.
func (k *soak) run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, playLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "reader"
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%.500s", cmd.Args, err, out)
	}
	return nil
}

// cut breaks a session anywhere.
func (k *soak) cut(ctx context.Context, r *rand.Rand) error {
	cy := faults.NewCycle(r, k.s.target(k.streams[0]))
	if cy.How == faults.Deaf { // TestCycles has those: it takes the server 20 s to know
		cy.How = faults.RST
	}
	_, err := cy.Run(ctx, k.target(r), fmt.Sprintf("cut-%d", k.names.Add(1)))
	between(ctx, r, 0, 100*time.Millisecond)
	return err
}

// TestSoak publishes to viewers that stay, while others join, leave, stall, publish and are cut off, for as long as is asked
// for. No healthy viewer misses a unit; when it is over, goroutines, descriptors and memory are what they were.
func TestSoak(t *testing.T) {
	t.Parallel()
	length := soakTime(t)
	s := serveTLS(t, "egress.stall_timeout=2s", "play.wait=2s")
	k := &soak{t: t, s: s, streams: []string{"both", "picture", "sound"}}
	broadcast(t, s, "both", sim.Options{Video: av.H264, Audio: av.AAC, Size: 8000, KeySize: 20_000})
	broadcast(t, s, "picture", sim.Options{Video: av.H264, BFrames: 2}) // FFmpeg 5.1 finds no track in the enhanced form
	broadcast(t, s, "sound", sim.Options{Audio: av.AAC})
	var stay []*watcher
	for _, name := range k.streams {
		stay = append(stay, audience(t, s.target(name), len(ways))...)
	}
	alone := func() bool { return s.has(t, len(k.streams), len(stay)) }

	k.churn(min(max(length/5, 2*time.Second), time.Minute), 1) // so that what grows once has grown
	within(t, time.Minute, "the sessions of the warm-up are gone", alone)
	base := s.footprint(t)
	t.Logf("warm: %v, %v", k, base)

	stop := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		tick := time.NewTicker(max(length/10, 10*time.Second))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.Logf("%v, %v", k, s.footprint(t))
			case <-stop:
				return
			}
		}
	})
	k.churn(length, 2)
	close(stop)
	told.Wait()
	began, end := time.Now(), footprint{}
	ok := eventually(time.Minute, func() bool { end = s.footprint(t); return alone() && end.within(base) })
	t.Logf("%v: %v; before: %v; %v after: %v", length, k, base, time.Since(began).Round(time.Millisecond), end)
	if !ok {
		t.Errorf("before %v, after %v: %v", base, length, end)
	}
	judgeAll(t, stay)
}
