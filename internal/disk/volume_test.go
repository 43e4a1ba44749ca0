package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// sleep lets time pass in a synctest bubble.
func sleep(d time.Duration) { time.Sleep(d) }

// lines is a log in memory.
type lines struct {
	mu  sync.Mutex
	out strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// running runs v beside the test; stop ends it and gives what Run returned.
func running(t *testing.T, v *disk.Volume) (stop func() error) {
	t.Helper()
	g, _ := task.NewGroup(t.Context())
	g.Go("volume", v.Run)
	return func() error {
		g.Stop(context.Canceled)
		return g.Wait()
	}
}

func nothing() error { return nil }

// frozen is an operation that hangs until thaw is closed, and counts how many do.
type frozen struct {
	thaw chan struct{}
	mu   sync.Mutex
	n    int
}

func (f *frozen) op() error {
	f.mu.Lock()
	f.n++
	f.mu.Unlock()
	<-f.thaw
	return nil
}

func (f *frozen) begun() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// What is done, is done; before Run too, with no goroutine left; and errors come back as they are.
func TestVolumeDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := disk.NewVolume(disk.VolumeOptions{Name: "data"})
		if err := v.Do(t.Context(), 1, "write", nothing); err != nil {
			t.Error(err)
		}
		boom := errors.New("boom")
		if err := v.Do(t.Context(), 1, "write", func() error { return boom }); !errors.Is(err, boom) {
			t.Error(err)
		}
		got, err := disk.Call(t.Context(), v, 0, "read", func() (string, error) { return "text", boom })
		if got != "text" || !errors.Is(err, boom) {
			t.Error(got, err)
		}
		var p *task.PanicError
		if err := v.Do(t.Context(), 1, "write", func() error { panic("oops") }); !errors.As(err, &p) {
			t.Error(err)
		}
		told := make(chan error, 1)
		if err := v.Go(1, "write", nothing, func(err error) { told <- err; panic("oops") }); err != nil || <-told != nil {
			t.Error(err)
		}
		if err := v.Go(1, "write", nothing, nil); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if f := v.Figures(); f.Ops != 6 || f.Errors != 2 ||
			f.Refused+uint64(f.Waiting+f.Running)+uint64(f.Bytes) != 0 || f.State != disk.Healthy {
			t.Errorf("%+v", f)
		}
		// The bubble ends only when no goroutine is left.
	})
}

// A disk that hangs costs its caller no more than the caller's time, and four goroutines; what was not begun is not begun any more.
func TestVolumeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := disk.NewVolume(disk.VolumeOptions{Name: "data"})
		f := frozen{thaw: make(chan struct{})}
		before := runtime.NumGoroutine()
		var g sync.WaitGroup
		for range 100 {
			g.Go(func() {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				_, err := disk.Call(ctx, v, 10, "read api-secret", func() (int, error) { return 1, f.op() })
				if !errors.Is(err, disk.ErrSilent) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				if !strings.HasPrefix(err.Error(), "data: read api-secret: the disk does not answer") {
					t.Error(err)
				}
			})
		}
		sleep(2500 * time.Millisecond)
		if n := runtime.NumGoroutine() - before; n > 100+4+4 { // the last are the runtime's
			t.Errorf("%d goroutines for 100 callers", n)
		}
		want := disk.Figures{
			Name: "data", State: disk.Slow, Waiting: 96, Running: 4, Bytes: 1000, Oldest: 2500 * time.Millisecond, Op: "read api-secret",
		}
		if got := v.Figures(); got != want {
			t.Errorf("%+v", got)
		}
		g.Wait()
		if got := v.Figures(); got.Waiting != 0 || got.Running != 4 || got.Bytes != 40 || got.Refused != 96 {
			t.Errorf("%+v", got)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(fs.ErrClosed)
		if err := v.Do(ctx, 0, "write", nothing); !errors.Is(err, fs.ErrClosed) || errors.Is(err, disk.ErrSilent) {
			t.Error(err)
		}
		close(f.thaw)
		synctest.Wait()
		if f.begun() != 4 || v.Figures().Ops != 4 {
			t.Errorf("%d operations were begun", f.begun())
		}
	})
}

// A caller whose context knows no end waits a minute, or until nothing has been done for 10 s if it has not been begun.
func TestVolumeEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := disk.NewVolume(disk.VolumeOptions{Name: "data"})
		stop := running(t, v)
		f := frozen{thaw: make(chan struct{})}
		var g sync.WaitGroup
		for i := range 6 {
			g.Go(func() {
				sleep(time.Duration(i) * time.Millisecond)
				start := time.Now()
				err := v.Do(t.Context(), 0, "write", f.op)
				d := time.Since(start)
				if i < 4 && (!errors.Is(err, disk.ErrSilent) || d != time.Minute) {
					t.Errorf("%d: after %v: %v", i, d, err)
				}
				if i >= 4 && (!errors.Is(err, disk.ErrDegraded) || d < 10*time.Second-10*time.Millisecond || d > 11*time.Second) {
					t.Errorf("%d: after %v: %v", i, d, err)
				}
			})
		}
		g.Wait()
		close(f.thaw)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestVolumeIsBounded(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		fit   int
	}{{0, 256 + 4}, {-1, 256 + 4}, {16 << 20, 4}, {7 << 20, 9}, {64<<20 + 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			v := disk.NewVolume(disk.VolumeOptions{Name: "data"})
			f := frozen{thaw: make(chan struct{})}
			fit := 0
			for range 300 {
				switch err := v.Go(c.bytes, "write", f.op, nil); {
				case err == nil:
					fit++
				case !errors.Is(err, disk.ErrFull):
					t.Error(err)
				}
				synctest.Wait() // workers take what they can
			}
			if got := v.Figures(); fit != c.fit || got.Refused != uint64(300-fit) || got.Waiting != max(0, fit-4) {
				t.Errorf("of %d bytes: %d fit, %+v", c.bytes, fit, got)
			}
			close(f.thaw)
			synctest.Wait()
			if got := v.Figures(); got.Ops != uint64(fit) || got.Bytes != 0 {
				t.Errorf("of %d bytes: %+v", c.bytes, got)
			}
		})
	}
}

// The states of a volume that hangs and thaws, and what the log says.
func TestVolumeStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		v := disk.NewVolume(disk.VolumeOptions{Name: "data", Log: slog.New(slog.NewTextHandler(&out, nil))})
		stop := running(t, v)
		sleep(time.Hour) // what was long ago is nothing to now
		f := frozen{thaw: make(chan struct{})}
		var late error
		for range 4 {
			if err := v.Go(1, "write x", f.op, nil); err != nil {
				t.Error(err)
			}
		}
		_ = v.Go(1, "write y", nothing, func(err error) { late = err })
		for _, c := range []struct {
			at   time.Duration
			want disk.VolumeState
		}{
			{1900 * time.Millisecond, disk.Healthy},
			{2100 * time.Millisecond, disk.Slow},
			{9900 * time.Millisecond, disk.Slow},
			{10100 * time.Millisecond, disk.Degraded},
			{60100 * time.Millisecond, disk.Degraded},
		} {
			sleep(c.at - v.Figures().Oldest)
			if got := v.Figures().State; got != c.want {
				t.Errorf("after %v: %v, want %v", c.at, got, c.want)
			}
		}
		if !errors.Is(late, disk.ErrDegraded) {
			t.Errorf("what had waited: %v", late)
		}
		start := time.Now()
		if err := v.Do(t.Context(), 1, "write z", nothing); !errors.Is(err, disk.ErrDegraded) || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		close(f.thaw)
		synctest.Wait()
		if got := v.Figures(); got.State != disk.Healthy || got.Ops != 4 || got.Refused != 2 || got.Bytes != 0 {
			t.Errorf("%+v", got)
		}
		if err := v.Do(t.Context(), 1, "write z", nothing); err != nil {
			t.Error(err)
		}
		sleep(time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		told := out.String()
		for i, want := range []string{
			`level=WARN msg="the disk is slow" volume=data op="write x"`, `level=ERROR msg="the disk does not answer`,
			`level=INFO msg="the disk works again" volume=data after=58.25s refused=2`,
		} {
			if !strings.Contains(told, want) || strings.Count(told, "\n") != 3 {
				t.Errorf("%d: %s is not in\n%s", i, want, told)
			}
		}
	})
}

// One file that hangs leaves the others their three workers: what is done shows that the disk answers. When nothing was done for long, one
// operation a second finds out, and no more.
func TestVolumeTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := disk.NewVolume(disk.VolumeOptions{Name: "data"})
		f := frozen{thaw: make(chan struct{})}
		_ = v.Go(1, "hangs", f.op, nil)
		for range 30 {
			sleep(time.Second)
			if err := v.Do(t.Context(), 1, "write", nothing); err != nil || v.Figures().State == disk.Degraded {
				t.Error(err, v.Figures())
			}
		}
		sleep(11 * time.Second)
		if s := v.Figures().State; s != disk.Degraded {
			t.Error(s)
		}
		if err := v.Do(t.Context(), 1, "write", nothing); err != nil || v.Figures().State != disk.Slow {
			t.Error(err, v.Figures())
		}
		sleep(11 * time.Second) // and now all hangs
		for range 100 {
			_ = v.Go(1, "trial", f.op, nil)
			sleep(100 * time.Millisecond)
			if n := f.begun() - 1; n > 3 || time.Duration(n)*time.Second > 20*time.Second {
				t.Errorf("%d trials", n)
			}
		}
		if got := v.Figures(); got.Running != 4 || got.Waiting != 0 || got.Refused != 97 {
			t.Errorf("%+v", got)
		}
		close(f.thaw)
	})
}

// After three failures in a row one operation a second is tried; a success ends it. What is not the disk's fault does not count.
func TestVolumeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		v := disk.NewVolume(disk.VolumeOptions{Name: "data", Log: slog.New(slog.NewTextHandler(&out, nil))})
		stop := running(t, v)
		sleep(100 * time.Millisecond)
		try := func(err error) error {
			return v.Do(t.Context(), 1, "write", func() error { return err })
		}
		full := fmt.Errorf("write /x: %w", syscall.ENOSPC)
		for _, harmless := range []error{
			fs.ErrNotExist, fs.ErrExist, disk.ErrTooLarge, &disk.ExposedError{}, nil, full, full, nil, full, fs.ErrNotExist, full,
		} {
			if err := try(harmless); !errors.Is(err, harmless) || v.Figures().State != disk.Healthy {
				t.Error(err, v.Figures())
			}
		}
		if _ = try(full); v.Figures().State != disk.Failing {
			t.Error(v.Figures())
		}
		tried := 0
		for range 50 {
			switch err := try(full); {
			case !errors.Is(err, syscall.ENOSPC):
				t.Error(err)
			case !errors.Is(err, disk.ErrFailing):
				tried++
			}
			sleep(100 * time.Millisecond)
		}
		if tried != 5 {
			t.Errorf("%d operations in 5 s", tried)
		}
		sleep(time.Second)
		if err := try(nil); err != nil || v.Figures().State != disk.Healthy {
			t.Error(err, v.Figures())
		}
		if err := try(nil); err != nil {
			t.Error(err)
		}
		sleep(time.Second)
		if told := out.String(); strings.Count(told, "\n") != 2 || !strings.Contains(told, "the disk fails") ||
			!strings.Contains(told, "refused=45") {
			t.Error(told)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Run ends in time though operations hang, says which, and drops what waits. Cells tell of workers that hang, and no longer afterwards.
func TestVolumeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := watch.NewBoard()
		v := disk.NewVolume(disk.VolumeOptions{Name: "data", Board: board})
		stop := running(t, v)
		f := frozen{thaw: make(chan struct{})}
		var waiting error
		for _, name := range []string{"write a", "write b", "write c", "write d"} {
			_ = v.Go(1, name, f.op, nil)
			synctest.Wait()
		}
		_ = v.Go(1, "write e", nothing, func(err error) { waiting = err })
		sleep(3 * time.Second)
		if s := board.States(); len(s) != 4 || s[0].Class != watch.Volume || s[0].Name != "data 1" ||
			s[0].Busy.Round(time.Millisecond) != 3*time.Second {
			t.Errorf("%+v", s)
		}
		start := time.Now()
		err := stop()
		if d := time.Since(start); d != disk.StopTime || !errors.Is(err, disk.ErrSilent) ||
			fmt.Sprint(err) != "data: the disk does not answer: left behind: write a, write b, write c, write d" {
			t.Errorf("after %v: %v", d, err)
		}
		if !errors.Is(waiting, disk.ErrStopped) || !errors.Is(v.Go(1, "write", nothing, nil), disk.ErrStopped) {
			t.Errorf("what had waited: %v", waiting)
		}
		if s := board.States(); len(s) != 4 || s[0].Class != watch.Abandoned {
			t.Errorf("%+v", s)
		}
		close(f.thaw)
		synctest.Wait()
		if s := board.States(); len(s) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What was asked for before the end is done.
func TestVolumeStopsWhenAllIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := watch.NewBoard()
		v := disk.NewVolume(disk.VolumeOptions{Name: "data", Board: board})
		stop := running(t, v)
		for range 100 {
			_ = v.Go(1, "write", func() error { sleep(10 * time.Millisecond); return nil }, nil)
		}
		start := time.Now()
		if err := stop(); err != nil || time.Since(start) > 300*time.Millisecond || v.Figures().Ops != 100 || len(board.States()) != 0 {
			t.Errorf("after %v: %v, %+v", time.Since(start), err, v.Figures())
		}
	})
}

// Many callers at once, some of which give up.
func TestVolumeRaces(t *testing.T) {
	v := disk.NewVolume(disk.VolumeOptions{Name: "data"})
	stop := running(t, v)
	var g sync.WaitGroup
	for i := range 50 {
		g.Go(func() {
			for n := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*time.Microsecond)
				_, _ = disk.Call(ctx, v, 1, "write", func() (int, error) { runtime.Gosched(); return i, nil })
				cancel()
				_ = v.Go(1, "write", nothing, nil)
			}
		})
	}
	g.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if f := v.Figures(); f.Ops+f.Refused == 0 || f.Waiting+f.Running != 0 || f.Bytes != 0 {
		t.Errorf("%+v", f)
	}
}
