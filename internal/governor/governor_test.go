package governor

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a governor of a limit of 100 bytes, with readings that a test sets.
type rig struct {
	*Governor
	mu      sync.Mutex // guards reading
	reading Reading
	levels  []Level // that were new
	told    int     // how often any was
	log     bytes.Buffer

	frees, collects, doomed int
	collected               func(*Reading) // what a forced collection changes
}

func newRig(keep func([]byte) (string, error)) *rig {
	r := &rig{}
	r.Governor = New(Options{
		Limit: 100, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Keep: keep,
		Tell:   r.tell,
		Doomed: func() { r.doomed++ },
		Read: func() Reading {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.reading
		},
		Free: func() { r.frees++ },
		Collect: func() {
			r.collects++
			if r.collected != nil {
				r.set(r.collected)
			}
		},
	})
	return r
}

func (r *rig) tell(l Level) {
	r.told++
	if n := len(r.levels); n == 0 || r.levels[n-1] != l {
		r.levels = append(r.levels, l)
	}
}

// set changes what the governor reads.
func (r *rig) set(change func(*Reading)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.reading)
}

// run runs the governor in a bubble until the test is over, and returns what Run will.
func (r *rig) run(t *testing.T) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		synctest.Wait()
	})
	return ended
}

// hold gives the governor n readings.
func (r *rig) hold(used int64, n int) {
	r.set(func(x *Reading) { x.Used = used })
	time.Sleep(time.Duration(n) * period)
	synctest.Wait()
}

// Each level is reached at its share of the limit, and left well under it.
func TestLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		ended := r.run(t)
		for _, step := range []struct {
			used int64
			want Level
		}{
			{0, Calm},
			{69, Calm},
			{70, Shed},
			{66, Shed},
			{65, Shed},
			{64, Calm},
			{69, Calm},
			{84, Shed},
			{85, Refuse},
			{84, Refuse},
			{80, Refuse},
			{79, Shed},
			{84, Shed},
			{94, Refuse},
			{64, Calm},
			{94, Refuse},
			{66, Shed},
			{0, Calm},
		} {
			before, was := len(r.levels), r.Level()
			r.hold(step.used, 1)
			if r.Level() != step.want || r.Used() != step.used {
				t.Fatalf("at %d: %v with %d in use, want %v", step.used, r.Level(), r.Used(), step.want)
			}
			var news []Level
			if was != step.want {
				news = []Level{step.want}
			}
			if told := r.levels[before:]; !slices.Equal(told, news) {
				t.Errorf("at %d: was told of %v, want %v", step.used, told, news)
			}
		}
		if n := strings.Count(r.log.String(), "\n"); n != len(r.levels) {
			t.Errorf("%d lines for %d changes", n, len(r.levels))
		}
		select {
		case err := <-ended:
			t.Errorf("ended: %v", err)
		default:
		}
		// While memory is short each reading is told, for what has come since; else changes only.
		for _, step := range []struct {
			used int64
			want int
		}{{0, 0}, {75, 10}, {90, 10}, {75, 10}, {0, 1}, {10, 0}} {
			before := r.told
			if r.hold(step.used, 10); r.told-before != step.want {
				t.Errorf("at %d: was told %d times in 10 readings, want %d", step.used, r.told-before, step.want)
			}
		}
	})
}

// A short peak is no level for long, and the end only after two seconds of it.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []byte
		r := newRig(func(b []byte) (string, error) { kept = b; return "/data/heap", nil })
		ended := r.run(t)
		for range 5 {
			r.hold(100, lastReadings-1)
			r.hold(94, 1)
		}
		if r.Level() != Refuse {
			t.Fatal(r.Level())
		}
		r.hold(10, 20)
		before := r.collects
		r.collected = func(x *Reading) {
			if r.collects == before+2 {
				x.Used = 94 // it was garbage, as is found at the very last
			}
		}
		r.hold(100, lastReadings)
		if r.collects != before+2 || r.doomed != 0 || r.Level() != Refuse {
			t.Fatalf("%d collections, %v", r.collects-before, r.Level())
		}
		r.collected = nil
		r.hold(95, lastReadings-1)
		if r.doomed != 0 {
			t.Fatal("ends too early")
		}
		r.hold(95, 1)
		if r.doomed != 1 {
			t.Fatalf("doomed %d times", r.doomed)
		}
		if err := <-ended; !errors.Is(err, ErrMemory) {
			t.Errorf("ended with %v", err)
		}
		z, err := gzip.NewReader(bytes.NewReader(kept))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(z); err != nil || len(b) == 0 {
			t.Errorf("a profile of %d bytes: %v", len(b), err)
		}
		if !strings.Contains(r.log.String(), "profile=/data/heap") {
			t.Errorf("the log does not say where the profile is:\n%s", r.log.String())
		}
	})
}

// A disk that fails, or hangs, does not hold up the end.
func TestEndsWithoutDisk(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			r := newRig(func([]byte) (string, error) {
				if hangs {
					<-release
				}
				return "", errors.New("the disk is full")
			})
			ended, began := r.run(t), time.Now()
			r.set(func(x *Reading) { x.Used = 200 })
			if err := <-ended; !errors.Is(err, ErrMemory) {
				t.Errorf("ended with %v", err)
			}
			if took, most := time.Since(began), lastReadings*period+evidenceFor; took > most {
				t.Errorf("ended after %v, want %v at the most", took, most)
			}
			if want := map[bool]string{true: "not written in time", false: "the disk is full"}[hangs]; !strings.Contains(r.log.String(), want) {
				t.Errorf("the log:\n%s", r.log.String())
			}
			close(release)
			synctest.Wait()
		})
	}
}

// What was allocated since the newest garbage collection is looked at before it is a shortage, but not all the time.
func TestCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		r.run(t)
		atMost := func(n int64) { r.set(func(x *Reading) { x.AtMost = n }) }
		atMost(69)
		r.hold(40, 40)
		if r.collects != 0 {
			t.Fatalf("%d collections without need", r.collects)
		}
		atMost(90) // all of it is garbage
		r.hold(40, 40)
		if want := int(40 * period / collectEvery); r.collects != want || r.Level() != Calm {
			t.Fatalf("%d collections in 10 s, want %d; %v", r.collects, want, r.Level())
		}
		atMost(69)
		r.hold(40, 40)
		r.collected = func(x *Reading) { x.Used = 80 } // none of it is
		atMost(90)
		r.hold(40, 1)
		if r.Level() != Shed || len(r.levels) != 1 {
			t.Errorf("was told of %v", r.levels)
		}
		atMost(80)
		r.collected = func(x *Reading) { x.Used, x.AtMost = 10, 10 } // it is given up, and nothing is allocated any more
		r.hold(80, int(collectEvery/period))
		if r.Level() != Calm {
			t.Errorf("%v with memory that is not needed any more", r.Level())
		}
	})
}

// While memory is short it is given back to the system now and then.
func TestFrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		r.run(t)
		r.hold(60, 100)
		if r.frees != 0 {
			t.Errorf("gave memory back %d times without need", r.frees)
		}
		r.hold(75, 100) // 25 s
		if r.frees != 3 {
			t.Errorf("gave memory back %d times in 25 s", r.frees)
		}
	})
}

// A collector that takes half of the processors for ten seconds is a shortage, one that does so for less is none.
func TestCollecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		r.run(t)
		collect := func(share float64, n int) {
			for range n {
				r.set(func(x *Reading) { x.All, x.Collector = x.All+1, x.Collector+share })
				r.hold(10, 1)
			}
		}
		want := func(l Level) {
			t.Helper()
			if r.Level() != l {
				t.Fatalf("%v, want %v", r.Level(), l)
			}
		}
		collect(0.1, 2*collectorReadings)
		want(Calm)
		collect(0.5, collectorReadings/2)
		want(Calm)
		collect(0.1, 2*collectorReadings)
		want(Calm)
		collect(0.5, collectorReadings)
		want(Refuse)
		collect(0.4, collectorReadings)
		want(Refuse)
		collect(0.3, collectorReadings)
		want(Calm)
		collect(0.5, collectorReadings)
		want(Refuse)
		r.hold(10, 2*collectorReadings) // nothing is collected any more
		want(Calm)
	})
}

func TestUnknownLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		r.opt.Limit = 0
		r.run(t)
		r.hold(math.MaxInt64, 100)
		if r.Level() != Calm || !strings.Contains(r.log.String(), "limits.memory") {
			t.Errorf("%v\n%s", r.Level(), r.log.String())
		}
	})
}

var garbage []byte // a variable of the package, lest the compiler leave it out

// What lives is counted, garbage is not.
func TestReading(t *testing.T) {
	read := newReader()
	runtime.GC()
	before := read()
	if before.Used < 1<<20 || before.Used > 1<<30 || before.All <= 0 || before.Collector < 0 || before.Collector > before.All {
		t.Fatalf("%+v", before)
	}
	const size = 64 << 20
	block := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	runtime.GC()
	if grown := read().Used - before.Used; grown < size*9/10 || grown > size*12/10 {
		t.Errorf("%d bytes more in use with a block of %d", grown, size)
	}
	runtime.KeepAlive(block)
	debug.FreeOSMemory()
	if grown := read().Used - before.Used; grown > size/10 {
		t.Errorf("%d bytes more in use with a block that was given back", grown)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nothing is collected from here on
	garbage = make([]byte, size)
	garbage = nil
	after := read()
	if grown := after.Used - before.Used; grown > size/10 {
		t.Errorf("%d bytes more in use with a block that is garbage", grown)
	}
	if grown := after.AtMost - before.AtMost; grown < size*9/10 {
		t.Errorf("%d bytes more at most with a block of %d", grown, size)
	}
	if n := testing.AllocsPerRun(100, func() { read() }); n > 1 {
		t.Errorf("a reading allocates %v times", n)
	}
}

// The runtime's limit is set while the governor runs, unless the operator has set one.
func TestRuntimeLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64)
	undo := limitRuntime(10 << 30)
	if got := debug.SetMemoryLimit(-1); got != 9<<30 {
		t.Errorf("the runtime's limit is %d", got)
	}
	undo()
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("the runtime's limit is %d afterwards", got)
	}
	debug.SetMemoryLimit(5 << 30)
	defer limitRuntime(10 << 30)()
	if got := debug.SetMemoryLimit(-1); got != 5<<30 {
		t.Errorf("the operator's limit has become %d", got)
	}
}

// Readers do not disturb a governor that runs.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Limit: 1 << 40, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { _ = g.Run(ctx) })
		limited := false
		for ctx.Err() == nil {
			limited = limited || debug.SetMemoryLimit(-1) < math.MaxInt64
			_, _, _ = g.Level(), g.Used(), g.Limit()
			time.Sleep(period / 3)
		}
		wg.Wait()
		if g.Used() == 0 {
			t.Error("nothing is in use")
		}
		if !limited {
			t.Error("the runtime has no limit")
		}
	})
}
