//go:build wedge

package wedge

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/vigil-media/vigil/internal/task"
)

// Enabled says whether anything can be made to hang.
const Enabled = true

// grace is long enough for the server's loops to have begun.
const grace = time.Second

// Grace is how long after its start a program does nothing about what is stuck.
func Grace(time.Duration) time.Duration { return grace }

// point is where goroutines can be made to hang.
type point struct {
	mu    sync.Mutex
	armed int           // so many that come hang
	held  chan struct{} // until this is closed
}

var (
	mu     sync.Mutex            //nolint:gochecknoglobals // who passes a point knows of nothing but its name
	points = map[string]*point{} //nolint:gochecknoglobals // the same
)

func find(name string) *point {
	mu.Lock()
	defer mu.Unlock()
	p := points[name]
	if p == nil {
		p = &point{held: make(chan struct{})}
		points[name] = p
	}
	return p
}

// At is a point at which a goroutine can be made to hang.
func At(name string) {
	p := find(name)
	p.mu.Lock()
	armed, held := p.armed, p.held
	p.armed = max(0, armed-1)
	p.mu.Unlock()
	if armed > 0 {
		<-held
	}
}

func (p *point) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed++
}

func (p *point) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held)
	p.armed, p.held = 0, make(chan struct{})
}

// Handler arms and releases points. disk has an operation done on a disk.
func Handler(disk func(ctx context.Context, op func() error) error) http.Handler {
	pool := task.NewPool(64, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/wedge/{point}", func(_ http.ResponseWriter, r *http.Request) {
		name := r.PathValue("point")
		find(name).arm()
		switch name {
		case Request:
			At(Request)
		case Volume:
			_ = pool.Go(context.WithoutCancel(r.Context()), "wedge", func(ctx context.Context) {
				_ = disk(ctx, func() error { At(Volume); return nil })
			})
		case Live:
			livelock(context.WithoutCancel(r.Context()), pool)
		}
	})
	mux.HandleFunc("DELETE /api/v1/wedge/{point}", func(_ http.ResponseWriter, r *http.Request) { find(r.PathValue("point")).release() })
	return mux
}

// livelock blocks every processor of the run-time in a read that the run-time does not know of, and then has it collect garbage: nothing
// of the process runs any more.
func livelock(ctx context.Context, pool *task.Pool) {
	var fds [2]int
	if syscall.Pipe(fds[:]) != nil {
		return
	}
	for range runtime.GOMAXPROCS(0) {
		_ = pool.Go(ctx, "wedge", func(context.Context) {
			time.Sleep(100 * time.Millisecond)
			var b [1]byte
			for {
				_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(fds[0]), uintptrOf(&b), 1)
			}
		})
	}
	_ = pool.Go(ctx, "wedge", func(context.Context) { runtime.GC() })
}
