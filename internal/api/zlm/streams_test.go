package zlm

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestCloseThatHangs(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"close_stream", "schema=rtsp&force=1&vhost=__defaultVhost__&app=live&stream=a", `"code": -1`},
		{"kick_session", "id=0b", `"code": -1`},
		{"close_streams", "force=1", `"count_closed": 0`},
		{"kick_sessions", "", `"count_hit": 3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				for _, name := range []string{"a", "b", "c"} { // their publishers do not leave
					l, err := r.hub.Publish(t.Context(), request("0"+name, "rtmp", name))
					if err != nil {
						t.Fatal(err)
					}
					defer l.Release(nil)
					for _, u := range sim.New(sim.Options{Video: av.H264}).Take(3) {
						_ = l.Write(u)
					}
				}
				begin := time.Now()
				w := r.get(t, c.name, c.args)
				if took := time.Since(begin); took != endTime || !strings.Contains(w.Body.String(), c.want) || !strings.Contains(w.Body.String(), "in time") {
					t.Errorf("%v %s", took, w.Body)
				}
			})
		})
	}
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l := r.publish(t, "00a1", "cam1", 60)
		e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10, Start: 10 * time.Second})
		stop := make(chan struct{})
		var feeding sync.WaitGroup
		feeding.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					_ = l.Write(e.Next())
				}
			}
		})
		probe := func(ms string) (n, keys int, took time.Duration) {
			begin := time.Now()
			w := r.get(t, "addProbe", cam1+"&probe_ms="+ms)
			var out struct {
				Code int
				Data []struct {
					Codec string
					Type  string `json:"track_type"`
					Came  int64  `json:"recv_stamp"`
					Size  int    `json:"frame_size"`
					Key   bool   `json:"key_frame"`
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Code != 0 {
				t.Fatalf("%v %s", err, w.Body)
			}
			for _, f := range out.Data {
				if f.Came < begin.UnixMilli() || f.Size == 0 || (f.Type == "video") != (f.Codec == "H264") {
					t.Errorf("%+v", f)
				}
				if f.Key {
					keys++
				}
			}
			return len(out.Data), keys, time.Since(begin)
		}
		if n, keys, took := probe("1000"); n < 45 || n > 55 || keys == 0 || keys > 5 || took != time.Second {
			t.Errorf("a second: %d frames, %d keys, %v", n, keys, took)
		}
		if n, _, took := probe("99999999999"); n == 0 || took != probeTime {
			t.Errorf("for ever: %d frames, %v", n, took)
		}
		if n, _, took := probe("-1"); n > 1 || took != 0 { // what came in this moment may be in it
			t.Errorf("not at all: %d frames, %v", n, took)
		}
		close(stop)
		feeding.Wait()
		for range probesMost {
			r.probes <- struct{}{}
		}
		if w := r.get(t, "addProbe", cam1+"&probe_ms=1"); !strings.Contains(w.Body.String(), "too many") {
			t.Errorf("%s", w.Body)
		}
		r.opt.Reader = nil
		if w := r.get(t, "addProbe", cam1+"&probe_ms=1"); !strings.Contains(w.Body.String(), `"code": -1`) {
			t.Errorf("%s", w.Body)
		}
	})
}

// TestRace calls everything that does no lasting harm while streams come and go.
func TestRace(t *testing.T) {
	r := newRig(t)
	r.settings = map[string]string{}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			name := string(rune('a' + i))
			for range 30 {
				l, err := r.hub.Publish(t.Context(), request("0"+name, "rtmp", name))
				if err != nil {
					t.Error(err)
					return
				}
				for _, u := range sim.New(sim.Options{Video: av.H264}).Take(3) {
					if err := l.Write(u); err != nil && !errors.Is(err, hub.ErrKicked) {
						break
					}
				}
				l.Finish(nil)
			}
		})
		all.Go(func() {
			for range 10 {
				for _, e := range slices.Concat((&API{}).table(), (&API{}).later()) {
					if e.path == "restartServer" || e.path == "addProbe" || e.path == "setServerConfig" {
						continue
					}
					args := "secret=" + theSecret + "&force=1&digest=1&key=x&schema=rtsp&vhost=__defaultVhost__&app=live&stream=" + string(rune('a'+i)) + "&id=0a"
					w := r.do(build(t, byQuery, http.MethodGet, prefix+e.path, args))
					if w.Header().Get("Content-Type") == typeJSON {
						resultOf(t, w)
					}
				}
			}
		})
	}
	all.Wait()
}
