package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// hangs is a handler that hangs until it is let go, but for /livez and /well.
func hangs(let <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" && r.URL.Path != "/well" {
			<-let
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// ask asks a handler, and returns the answer and how long that took.
func ask(h http.Handler, method, path string) (*httptest.ResponseRecorder, time.Duration) {
	begun, w := time.Now(), httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w, time.Since(begun)
}

// guarded runs f in a bubble, with requests that a guard and a healer look after.
func guarded(t *testing.T, f func(t *testing.T, q *requests)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		board := watch.NewBoard()
		guard := watch.NewGuard(watch.GuardOptions{Board: board})
		healer := watch.NewHealer(watch.HealerOptions{Go: func(_ string, heal func()) error { heal(); return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		g, _ := task.NewGroup(ctx)
		g.Go("guard", guard.Run)
		g.Go("healer", func(ctx context.Context) error { return healer.Run(ctx, guard.Findings()) })
		f(t, &requests{board: board})
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func (q *requests) judge(t *testing.T, when string, open, lost int64) {
	t.Helper()
	o, l := int64(0), q.lost.Load()
	for i := range q.open {
		o += q.open[i].Load()
	}
	if o != open || l != lost {
		t.Errorf("%s: %d hold a place, %d have been given up; want %d and %d", when, o, l, open, lost)
	}
}

// TestRequestsThatHang are answered in time, and given up, so that they hold no place; when they end all the same, nothing is left of them.
func TestRequestsThatHang(t *testing.T) {
	t.Parallel()
	guarded(t, func(t *testing.T, q *requests) {
		let := make(chan struct{})
		h := q.handler(hangs(let))
		if w, took := ask(h, http.MethodGet, "/well"); w.Code != http.StatusNoContent || took != 0 {
			t.Errorf("%d after %v", w.Code, took)
		}
		for _, c := range []struct {
			method, path string
			most         time.Duration
		}{
			{http.MethodGet, "/hang", requestTime},
			{http.MethodPost, "/api/v1/streams/a/kick", requestTime},
			{http.MethodPost, evidencePath, evidenceTime},
		} {
			w, took := ask(h, c.method, c.path)
			if w.Code != http.StatusServiceUnavailable || took != c.most || !strings.Contains(w.Body.String(), "hangs") {
				t.Errorf("%s %s: %d after %v: %s", c.method, c.path, w.Code, took, w.Body)
			}
		}
		<-time.After(time.Minute)
		q.judge(t, "after a minute", 0, 3)
		close(let)
		synctest.Wait()
		q.judge(t, "in the end", 0, 0)
		if left := q.board.States(); len(left) != 0 {
			t.Errorf("on the board is left %+v", left)
		}
	})
}

// TestTooManyRequests: one more than there are places of its kind is turned away at once, until those that hang have been given up. So
// many are given up, and no more: then the process is at fault. Other kinds do not notice.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	guarded(t, func(t *testing.T, q *requests) {
		let := make(chan struct{})
		h := q.handler(hangs(let))
		for round := range int64(lostMost / requestsMost) {
			for range requestsMost {
				go ask(h, http.MethodGet, "/hang")
			}
			synctest.Wait()
			q.judge(t, "full", requestsMost, round*requestsMost)
			w, took := ask(h, http.MethodGet, "/well")
			if w.Code != http.StatusServiceUnavailable || took != 0 || w.Header().Get("Retry-After") == "" {
				t.Errorf("with no place left: %d after %v", w.Code, took)
			}
			if w, _ = ask(h, http.MethodGet, "/livez"); w.Code != http.StatusNoContent {
				t.Errorf("health, when others hang: %d", w.Code)
			}
			<-time.After(time.Minute)
			q.judge(t, "given up", 0, (round+1)*requestsMost)
		}
		go ask(h, http.MethodGet, "/hang")
		<-time.After(time.Minute)
		q.judge(t, "enough", 1, lostMost)
		close(let)
		synctest.Wait()
		q.judge(t, "in the end", 0, 0)
	})
}

// TestRequestKinds: there is room for the kinds that there are, and the longest match is not another's.
func TestRequestKinds(t *testing.T) {
	t.Parallel()
	seen := map[int]string{0: "all else"}
	for path := range strings.SplitSeq(requestKinds, " ") {
		n := kindOf(path + "?a=b")
		if before, ok := seen[n]; ok || n >= kindsMost {
			t.Errorf("%s is of kind %d, as is %q", path, n, before)
		}
		seen[n] = path
	}
	if n := kindOf("/live/cam1.live.flv"); n != 0 {
		t.Errorf("a path of nobody's is of kind %d", n)
	}
}

// A request that ends while it is given up leaves nothing behind: above all, the cell of who comes next is not said to be given up.
func TestRequestEndsWhileGivenUp(t *testing.T) {
	q := &requests{board: watch.NewBoard()}
	for _, procs := range []int{1, 2, 8} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		for range 20000 {
			p := q.enter(0, "GET /")
			var wg sync.WaitGroup
			wg.Go(p.abandon)
			wg.Go(p.abandon)
			p.leave()
			next := q.board.Claim(watch.Label{Class: watch.Timer})
			wg.Wait()
			if s := q.board.States(); len(s) != 1 || s[0].Class != watch.Timer {
				t.Fatalf("%d processors: %+v", procs, s)
			}
			next.Free()
		}
	}
	q.judge(t, "in the end", 0, 0)
}
