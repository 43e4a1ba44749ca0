// Command dump hangs in as many ways as a server can, for the dumps beside it.
package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
)

type hub struct {
	name   string
	mu     sync.Mutex
	events chan int
}

//go:noinline
func (h *hub) claim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell()
}

//go:noinline
func (h *hub) tell() { h.events <- 1 }

type table struct {
	mu   sync.RWMutex
	gate chan int
}

//go:noinline
func (t *table) write() {
	t.mu.Lock()
	defer t.mu.Unlock()
	<-t.gate
}

//go:noinline
func (t *table) read() {
	t.mu.RLock()
	defer t.mu.RUnlock()
}

func start(name string, fn func()) {
	go func() {
		pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("task", name)))
		fn()
	}()
	time.Sleep(20 * time.Millisecond)
}

func main() {
	h := &hub{name: "hub", events: make(chan int)}
	t := &table{gate: make(chan int)}
	start("hub 1", h.claim)
	for _, id := range []string{"session 7f3a", "session 7f3b", "session 7f3c"} {
		start(id, h.claim)
	}
	start("table", t.write)
	start("reader 1", t.read)
	start("reader 2", t.read)
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	start("accept", func() { _, _ = l.Accept() })
	start("viewer", func() {
		c, _ := net.Dial("tcp", l.Addr().String())
		for {
			_, _ = c.Write(make([]byte, 1<<20))
		}
	})
	r, w, _ := os.Pipe()
	_ = r.Fd()
	fd := int(w.Fd())
	_ = syscall.SetNonblock(fd, false)
	start("disk", func() {
		for {
			_, _ = syscall.Write(fd, make([]byte, 1<<20))
		}
	})
	start("idle", func() { select {} })
	start("timer", func() { time.Sleep(time.Hour) })
	start("spin", func() {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		<-c
	})
	if len(os.Args) > 1 && os.Args[1] == "profile" {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		return
	}
	time.Sleep(time.Duration(len(os.Args)) * time.Minute)
}
