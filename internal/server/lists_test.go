package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

const (
	listedStreams = 10_000
	listedMoving  = 50 // of them, that have media all the time
)

// crowded is a server with many streams, of which some move until the test ends. It returns the moving ones' longest gap so far, as readers see it.
func crowded(t testing.TB) (p *probed, gap func() time.Duration) {
	t.Helper()
	p = newProbed(t, "publish.max_silence=1h", "limits.publishers=20000")
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	var mu sync.Mutex
	var longest time.Duration
	for i := range listedStreams {
		l, err := p.hub.Publish(context.WithoutCancel(t.Context()), hub.Request{
			Key: hub.Key{VHost: hub.DefaultVHost, App: "live", Name: fmt.Sprint("cam", i)}, Session: fmt.Sprint("s", i), Protocol: "rtmp",
		})
		if err != nil {
			t.Fatal(err)
		}
		e := sim.New(sim.Options{Video: av.H264, Size: 2000, KeySize: 4000})
		write := func() {
			if err := l.Write(e.Next()); err != nil {
				t.Error(err)
			}
		}
		l.Declare(true, false)
		write()
		if i >= listedMoving {
			t.Cleanup(func() { l.Release(nil) })
			continue
		}
		wg.Go(func() {
			defer l.Release(nil)
			every, last := time.NewTicker(40*time.Millisecond), time.Now()
			defer every.Stop()
			for {
				select {
				case <-stop:
					return
				case <-every.C:
				}
				write()
				mu.Lock()
				longest = max(longest, time.Since(last))
				mu.Unlock()
				last = time.Now()
			}
		})
	}
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
	})
	return p, func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return longest
	}
}

// listURL is where all streams are listed.
func (p *probed) listURL() string {
	return "http://" + p.target().HTTP + "/index/api/getMediaList?schema=rtmp&secret=" + url.QueryEscape(probedSecret)
}

// ask lists all streams. full says that they were listed; a server that has no time left says so instead, in time.
func (p *probed) ask(t testing.TB, client *http.Client) (took time.Duration, full bool) {
	t.Helper()
	begun := time.Now()
	res, err := client.Get(p.listURL())
	if err != nil {
		t.Error(err)
		return 0, false
	}
	defer res.Body.Close()
	head, err := io.ReadAll(io.LimitReader(res.Body, 200))
	n, err2 := io.Copy(io.Discard, res.Body)
	full = res.StatusCode == http.StatusOK && n >= listedStreams*200
	if err = errors.Join(err, err2); err != nil || !full && res.StatusCode != http.StatusServiceUnavailable && !bytes.Contains(head, []byte("too many lists")) {
		t.Errorf("%d, %d bytes, %v: %s", res.StatusCode, n, err, head)
	}
	return time.Since(begun), full
}

// TestListsOfThousands: who asks for the list of 10 000 streams as fast as it comes costs media no gap, and the memory stays as it is.
func TestListsOfThousands(t *testing.T) {
	p, gap := crowded(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	defer client.CloseIdleConnections()
	p.ask(t, client)
	before := heapHeld()
	var wg sync.WaitGroup
	var asked, full atomic.Int64
	begun := time.Now()
	for range 4 {
		wg.Go(func() { // until one has seen all, however busy the machine is
			for since := time.Since(begun); since < 3*time.Second || full.Load() == 0 && since < time.Minute; since = time.Since(begun) {
				asked.Add(1)
				if _, ok := p.ask(t, client); ok {
					full.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if t.Logf("%d of %d answers had all streams", full.Load(), asked.Load()); full.Load() == 0 {
		t.Error("nobody was ever told of all streams")
	}
	if after := heapHeld(); after > before+64<<20 {
		t.Errorf("%d MiB are held, and before %d", after>>20, before>>20)
	}
	if g := gap(); g > time.Second {
		t.Errorf("media had a gap of %v", g)
	}
}

// heapHeld is the memory that is held.
func heapHeld() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMediaList asks for the list of 10 000 streams, of which 50 move, from 8 connections at a time.
func BenchmarkMediaList(b *testing.B) {
	p, gap := crowded(b)
	var mu sync.Mutex
	var all []time.Duration
	b.ResetTimer()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for pb.Next() {
			d, full := p.ask(b, client)
			if !full {
				b.Error("not all streams were listed")
			}
			mu.Lock()
			all = append(all, d)
			mu.Unlock()
		}
	})
	b.StopTimer()
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(gap().Milliseconds()), "gap-ms")
	if strings.Contains(p.console.String(), "hangs") {
		b.Error(p.console.String())
	}
}
