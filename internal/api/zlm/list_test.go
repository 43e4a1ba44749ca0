package zlm

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
	words "github.com/vigil-media/vigil/internal/zlm"
)

// TestAppendSource holds what is written by hand against what is written by reflection.
func TestAppendSource(t *testing.T) {
	texts := []string{"", "cam1", `"quoted\`, "a\x00b\x7f", "<&>", "é\u2028", "\xff", strings.Repeat("x", 300)}
	for i, text := range texts {
		s := words.Source{
			Schema: words.Schema(text), Tuple: words.Tuple{VHost: text, App: "a" + text, Stream: text + "b", Params: text}, Created: 1 << 40, Alive: -1, Speed: 5,
			Bytes: 1<<64 - 1, Readers: i, TotalReaders: 7, Origin: words.RTSPPush, OriginName: "rtsp_push", OriginURL: text, RecordsMP4: i%2 == 0,
			RecordsHLS: i%3 == 0, Tracks: []words.Track{},
		}
		if i > 0 {
			s.Socket = &words.Socket{Identifier: text, LocalIP: "::1", LocalPort: 1, PeerIP: text, PeerPort: 65535}
			s.Tracks = []words.Track{
				{Codec: -1, CodecName: text, Type: 0, Ready: true, Frames: 3, Duration: 4, Loss: -1, Picture: &words.Picture{
					Width: 1, Height: 2, FPS: 29.97, KeyFrames: 3, GOPSize: 4, GOP: 5,
				}},
				{Codec: 2, CodecName: "x", Type: 1, Loss: 0.25, Sound: &words.Sound{SampleRate: 8000, Channels: 1, SampleBit: 16}},
				{},
			}
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(&s); err != nil {
			t.Fatal(err)
		}
		if got := string(appendSource(nil, &s)); got+"\n" != want.String() {
			t.Errorf("got\n%s\nwant\n%s", got, &want)
		}
	}
}

// TestListIsOfNow has a stream that has gone be in no list that is asked for after, however many ask.
func TestListIsOfNow(t *testing.T) {
	r := newRig(t)
	var all []*hub.Lease
	for i := range 60 {
		all = append(all, r.publish(t, "s"+itoa(i), "cam"+itoa(i), 10))
	}
	stop := make(chan struct{})
	var crowd sync.WaitGroup
	for range 4 {
		crowd.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r.get(t, "getMediaList", "schema=rtsp")
				}
			}
		})
	}
	for i, l := range all {
		name := `"stream":"cam` + itoa(i) + `"`
		if w := r.get(t, "getMediaList", "schema=rtsp"); !strings.Contains(w.Body.String(), name) {
			t.Fatalf("it is not there: %s", w.Body)
		}
		l.Finish(nil)
		if w := r.get(t, "getMediaList", "schema=rtsp"); strings.Contains(w.Body.String(), name) {
			t.Fatalf("it is still there: %s", w.Body)
		}
	}
	close(stop)
	crowd.Wait()
}

func TestListsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.publish(t, "00a1", "cam1", 60)
		for _, schema := range words.Schemas() {
			r.get(t, "getMediaList", "schema="+string(schema))
			r.get(t, "getMediaList", "schema="+string(schema))
		}
		kept := func() int {
			r.lists.mu.Lock()
			defer r.lists.mu.Unlock()
			return len(r.lists.kept)
		}
		if n := kept(); n != listsMost {
			t.Errorf("%d lists are kept", n)
		}
		time.Sleep(listsKept)
		synctest.Wait()
		if n := kept(); n != 0 {
			t.Errorf("%d lists are kept", n)
		}
	})
}

// crowded is an API over many streams, ready of which have media.
func crowded(b testing.TB, streams, ready int) *rig {
	b.Helper()
	config := hub.DefaultConfig()
	config.Limits.Publishers = streams + 10
	r := newRig(b)
	r.hub = hub.New(config, nil)
	r.opt.Control = control.New(control.Options{Hub: r.hub})
	for i := range streams {
		l, err := r.hub.Publish(b.Context(), request("s"+itoa(i), "rtmp", "cam"+itoa(i)))
		if err != nil {
			b.Fatal(err)
		}
		if i < ready {
			l.Declare(true, false)
			for _, u := range sim.New(sim.Options{Video: av.H264}).Take(1) {
				_ = l.Write(u)
			}
		}
	}
	return r
}

func itoa(i int) string { return string(appendInt(nil, i)) }

// BenchmarkMediaList lists many streams, for several callers at once.
func BenchmarkMediaList(b *testing.B) {
	for _, c := range []struct {
		name           string
		streams, ready int
		churn          bool // the hub changes with each call
	}{
		{"10000streams50ready", 10_000, 50, false},
		{"10000streams50ready/churn", 10_000, 50, true},
		{"2000ready", 2_000, 2_000, false},
		{"2000ready/churn", 2_000, 2_000, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := crowded(b, c.streams, c.ready)
			size := r.get(b, "getMediaList", "").Body.Len()
			var mu sync.Mutex
			var took []time.Duration
			var changed atomic.Int64
			b.SetParallelism(4)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if c.churn {
						if l, err := r.hub.Publish(b.Context(), request("s", "rtmp", "more")); err == nil { // else it is another's for now
							l.Finish(nil)
							changed.Add(1)
						}
					}
					begin := time.Now()
					r.ServeHTTP(nobody{}, build(b, byQuery, http.MethodGet, prefix+"getMediaList", rightKey))
					mu.Lock()
					took = append(took, time.Since(begin))
					mu.Unlock()
				}
			})
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
			b.ReportMetric(float64(size), "bytes")
			if c.churn && changed.Load() == 0 {
				b.Error("nothing has changed")
			}
		})
	}
}

// nobody takes an answer.
type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(b []byte) (int, error) { return len(b), nil }
func (nobody) WriteHeader(int)             {}
