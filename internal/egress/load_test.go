package egress

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

// sinkSocket takes everything, or nothing.
type sinkSocket struct {
	full  bool
	taken int // before it is full
	total atomic.Int64
}

func (s *sinkSocket) send(b []byte, _ *scratch) (int, error) {
	n := len(b)
	if s.full {
		n = min(n, s.taken)
		s.taken -= n
	}
	s.total.Add(int64(n))
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func (s *sinkSocket) recv([]byte, *scratch) (int, error) { return 0, errEmpty }
func (s *sinkSocket) ready() (ready, moved bool)         { return !s.full || s.taken > 0, false }
func (s *sinkSocket) closeWrite(*scratch) error          { return nil }
func (s *sinkSocket) cut()                               {}
func (s *sinkSocket) close(bool)                         {}

// mute is a session that does nothing.
type mute struct{ over func(error) }

func (mute) Hear([]byte) error     { return nil }
func (mute) Farewell(error) []byte { return nil }
func (m mute) Ended(cause error) {
	if m.over != nil {
		m.over(cause)
	}
}

// yard is an Egress without its goroutines: the test calls a shard's turn itself.
type yard struct {
	t   testing.TB
	e   *Egress
	s   *stream.Stream
	p   *stream.Publisher
	all []*sinkSocket
}

func newYard(t testing.TB, o stream.Options) *yard {
	t.Helper()
	y := &yard{t: t, e: New(Options{}, silent()), s: stream.New(o)}
	y.e.shards = y.e.shards[:1]
	y.p = y.s.Publish()
	return y
}

func (y *yard) join(sock *sinkSocket) *Link {
	y.t.Helper()
	v, err := y.s.Watch("records", func() stream.Muxer { return records{} })
	if err != nil {
		y.t.Fatal(err)
	}
	l := y.e.Link(&stubConn{}, mute{})
	l.sock = sock
	l.Play(context.Background(), v)
	y.all = append(y.all, sock)
	return l
}

// What a unit allocates does not depend on the number of viewers.
func TestNoAllocationPerViewer(t *testing.T) {
	count := func(viewers int) float64 {
		y := newYard(t, stream.Options{})
		y.e.shards[0].sweepAt = math.MaxInt64 // turn after turn looks like overload to it, if the machine is slow
		enc := pictures()
		units := enc.Take(600)
		write := func() {
			if err := y.p.Write(units[0]); err != nil {
				t.Fatal(err)
			}
			units = units[1:]
			y.e.shards[0].turn()
		}
		write()
		for range viewers {
			y.join(&sinkSocket{})
		}
		for range 50 {
			write()
		}
		got := testing.AllocsPerRun(400, write)
		for i, s := range y.all {
			if s.total.Load() < 450*600 {
				t.Fatalf("viewer %d was sent %d bytes", i, s.total.Load())
			}
		}
		return got
	}
	few, many := count(100), count(1000)
	t.Logf("allocations per unit: %.1f with 100 viewers, %.1f with 1000", few, many)
	if many > few+1 {
		t.Errorf("%.1f allocations per unit with 100 viewers, %.1f with 1000", few, many)
	}
}

// Viewers that stall in mid-packet at different moments do not keep a chunk each.
func TestStalledViewersMemory(t *testing.T) {
	grown := func(viewers int) int64 {
		var got int64
		synctest.Test(t, func(t *testing.T) {
			o := Default()
			o.StallTimeout = 10 * time.Second
			y := newYard(t, stream.Options{})
			y.e.opt = o
			s := y.e.shards[0]
			enc := sim.New(sim.Options{Video: av.H264, GOP: 25, Size: 40_000, KeySize: 40_000}) // 1 MB a second
			next := func() {
				if err := y.p.Write(enc.Next()); err != nil {
					t.Fatal(err)
				}
				s.turn()
				time.Sleep(40 * time.Millisecond)
			}
			for range 300 {
				next()
			}
			before := heap()
			// They come evenly over 40 seconds, and stall after having taken a part of a packet. Whoever has stalled for 10
			// seconds is gone.
			for i := range 1000 {
				for range viewers*(i+1)/1000 - viewers*i/1000 {
					y.join(&sinkSocket{full: true, taken: 20_000})
				}
				next()
			}
			got = heap() - before
			t.Logf("%d viewers: heap has grown by %d kB, %d are left", viewers, got>>10, len(s.links))
			if len(s.links) < viewers/5 || len(s.links) > viewers/3 {
				t.Errorf("%d viewers are left of %d", len(s.links), viewers)
			}
			runtime.KeepAlive(y)
		})
		return got
	}
	const limit = 16 << 20 // what a stream of 1 MB/s brings while a viewer may stall, and some
	few, many := grown(100), grown(500)
	if few > limit || many > limit || many > few+4<<20 {
		t.Errorf("the heap has grown by %d kB with 100 viewers, by %d kB with 500", few>>10, many>>10)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// descriptors counts those of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// amount is how much of something a test does: VIGIL_CYCLES, which sets the scale for long runs, or usual.
func amount(t testing.TB, usual int) int {
	t.Helper()
	text := os.Getenv("VIGIL_CYCLES")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// crowd are viewers over TCP.
type crowd struct {
	r       *rig
	l       net.Listener
	pairing sync.Mutex
	ended   sync.WaitGroup
}

func newCrowd(r *rig) *crowd {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	return &crowd{r: r, l: l}
}

// join adds a viewer whose peer reads everything.
func (c *crowd) join(ctx context.Context) (far net.Conn, over <-chan error) {
	c.r.t.Helper()
	c.pairing.Lock() // or another's connection may be accepted
	near, far := dial(c.r.t, c.l)
	c.pairing.Unlock()
	v, err := c.r.s.Watch("records", func() stream.Muxer { return records{} })
	if err != nil {
		c.r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	c.ended.Add(1)
	l := c.r.e.Link(near, mute{func(cause error) {
		v.Close()
		ended <- cause
		c.ended.Done()
	}})
	l.Play(ctx, v)
	return far, ended
}

// Run ends soon with thousands of viewers.
func TestShutdownOfThousands(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	viewers := min(5000, (int(min(limit.Max, 1<<20))-500)/2)
	before := descriptors(t)
	r := newRigOf(t, Options{}, stream.Options{}, pictures(), 0)
	r.write(1)
	c := newCrowd(r)
	defer c.l.Close()
	var fars []net.Conn
	for range viewers {
		far, _ := c.join(t.Context())
		fars = append(fars, far)
	}
	r.write(20)
	begin := time.Now()
	r.stop(errStop)
	<-r.ran
	took := time.Since(begin)
	c.ended.Wait()
	t.Logf("%d viewers, shutdown in %v", viewers, took)
	if took > 2*time.Second {
		t.Errorf("it took %v to end %d viewers", took, viewers)
	}
	for _, far := range fars {
		_ = far.Close()
	}
	_ = c.l.Close()
	if after := descriptors(t); after > before+2 {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// Viewers come and go at random under load, and nothing is left of them.
func TestAttachDetach(t *testing.T) {
	cycles := amount(t, 10_000)
	before := descriptors(t)
	r := newRigOf(t, Options{}, stream.Options{}, pictures(), 0)
	r.write(1)
	c := newCrowd(r)
	stop := make(chan struct{})
	var load, workers sync.WaitGroup
	load.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if err := r.p.Write(r.enc.Next()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	var done atomic.Int64
	for k := range 256 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(k), 1))
			buf := make([]byte, 64<<10)
			for done.Add(1) <= int64(cycles) {
				ctx, cancel := context.WithCancelCause(context.Background()) //nolint:usetesting // ends here
				far, over := c.join(ctx)
				for range rnd.IntN(4) {
					_, _ = far.Read(buf)
				}
				switch rnd.IntN(4) {
				case 0: // kicked
					cancel(errOver)
					_, _ = io.Copy(io.Discard, far)
				case 1: // leaves
				case 2: // leaves with a reset
					_ = far.(*net.TCPConn).SetLinger(0)
				case 3: // leaves before it has read
					_ = far.(*net.TCPConn).CloseWrite()
				}
				_ = far.Close()
				if rnd.IntN(4) == 0 {
					if err := <-over; !errors.Is(err, ErrLeft) && !errors.Is(err, errOver) {
						t.Error(err)
					}
				}
				cancel(errOver)
			}
		})
	}
	workers.Wait()
	c.ended.Wait()
	close(stop)
	load.Wait()
	_ = c.l.Close()
	r.stop(errStop)
	<-r.ran
	if after := descriptors(t); after > before+2 {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	links, groups := 0, len(r.e.groups)
	for _, p := range r.e.Progress() {
		links += p.Links
	}
	if links != 0 || groups != 0 {
		t.Errorf("%d links and %d groups are left", links, groups)
	}
}

// Fifty viewers get everything although one among them never reads.
func TestOneNeverReads(t *testing.T) {
	r := newRigOf(t, Options{}, stream.Options{Bytes: 1 << 30, Keep: time.Hour, MaxLag: time.Hour}, pictures(), 0)
	first := r.write(1)
	var all []*client
	for range 51 {
		near, far := loopback(t)
		all = append(all, r.join(near, far).play())
	}
	stuck := all[17]
	all = append(all[:17:17], all[18:]...)
	var units []*av.AccessUnit
	for range 20 {
		u := r.big(300_000) // 6 MB: more than the kernel takes
		u.Key = false
		r.put(u)
		units = append(units, u)
	}
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			c.want("HCU", first...)
			c.want(types("", len(units)), units...)
		})
	}
	wg.Wait()
	if stuck.isOver() {
		t.Error(stuck.end())
	}
}

// A viewer over TCP that reads slowly gets on, and is not taken for one that has stalled.
func TestSlowTCPReader(t *testing.T) {
	near, far := loopback(t)
	if err := errors.Join(near.SetWriteBuffer(64<<10), far.SetReadBuffer(16<<10)); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{StallTimeout: 1500 * time.Millisecond})
	first := r.write(1)
	c := r.join(near, far).play()
	c.want("HCU", first...)
	for range 200 {
		u := r.big(2000)
		u.Key = false
		r.put(u)
	}
	begin := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 2000)
	for time.Since(begin) < 2500*time.Millisecond { // 200 kB/s
		<-tick.C
		if _, err := far.Read(buf); err != nil {
			t.Fatalf("after %v: %v, ended with %v", time.Since(begin), err, c.end())
		}
		if c.isOver() {
			t.Fatalf("after %v: %v", time.Since(begin), c.end())
		}
	}
}

func BenchmarkFanOut(b *testing.B) {
	b.Run("fake", func(b *testing.B) {
		for _, viewers := range []int{100, 1000} {
			b.Run(strconv.Itoa(viewers), func(b *testing.B) {
				y := newYard(b, stream.Options{})
				units := pictures().Take(2)
				write := func(u *av.AccessUnit) {
					if err := y.p.Write(u); err != nil {
						b.Fatal(err)
					}
					y.e.shards[0].turn()
				}
				write(units[0])
				for range viewers {
					y.join(&sinkSocket{})
				}
				write(units[1])
				perViewer(b, viewers, func(u *av.AccessUnit) { write(u) })
			})
		}
	})
	b.Run("loopback", func(b *testing.B) {
		const viewers = 1000
		r := newRigOf(b, Options{}, stream.Options{}, pictures(), 0)
		c := newCrowd(r)
		defer c.l.Close()
		var taken atomic.Int64
		var readers sync.WaitGroup
		ctx, cancel := context.WithCancelCause(b.Context())
		r.write(1)
		for range viewers {
			far, _ := c.join(ctx)
			readers.Go(func() {
				defer far.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := far.Read(buf)
					if err != nil {
						return
					}
					taken.Add(int64(n))
				}
			})
		}
		size := int64(0)
		perViewer(b, viewers, func(u *av.AccessUnit) {
			size = int64(5+u.Size()) * viewers
			from := taken.Load()
			r.put(u)
			for taken.Load() < from+size {
				runtime.Gosched()
			}
		})
		cancel(errOver)
		readers.Wait()
		c.ended.Wait()
	})
}

// perViewer measures what one unit costs.
func perViewer(b *testing.B, viewers int, send func(u *av.AccessUnit)) {
	b.Helper()
	b.ReportAllocs()
	enc := sim.New(sim.Options{Video: av.H264, GOP: 25})
	size := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		u := enc.Next()
		size = 5 + u.Size()
		send(u)
	}
	runtime.ReadMemStats(&after)
	b.SetBytes(int64(size * viewers))
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/float64(viewers), "allocs/unit/viewer")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(viewers), "ns/unit/viewer")
}
