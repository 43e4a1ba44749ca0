package server

import (
	"context"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

const (
	requestTime  = 4 * time.Second  // for a request to the control plane to be answered, by 503 if by nothing else
	evidenceTime = 12 * time.Second // the same, where evidence is gathered
	requestsMost = 64               // of a kind, at the same time
	lostMost     = 256              // that hang and have been given up on
)

// requestKinds is what the paths of a kind begin with. Each kind has places of its own, so that a handler that hangs takes no others' than
// its own: above all not those of health. All that is left is a kind too.
const requestKinds = "/livez /readyz /startupz /overload /metrics /api/v1/streams /api/v1/sessions /api/v1/watch /api/v1/log " +
	"/api/v1/alarms /api/v1/bundle /api/v1/settings /api/v1/server /api/v1/hooks /api/v1/health /index/"

const (
	kindsMost    = 24
	evidencePath = "/api/v1/bundle"
)

// kindOf is the number of a path's kind.
func kindOf(path string) (n int) {
	for prefix := range strings.SplitSeq(requestKinds, " ") {
		if n++; strings.HasPrefix(path, prefix) {
			return n
		}
	}
	return 0
}

// requests lets requests to the control plane through, each in a place of its own for a time, so that one that hangs is answered, and
// costs no more than its goroutine. Its methods are safe for concurrent use.
type requests struct {
	board *watch.Board
	open  [kindsMost]atomic.Int64 // of each kind, that hold a place
	lost  atomic.Int64            // that hang and have been given up on
}

// request is one that holds a place.
type request struct {
	*requests
	kind int
	cell *watch.Cell

	mu    sync.Mutex // held while the cell is given up or back: one that was given back may be another's. A leaf; guards memory only
	state requestState
}

type requestState uint8

const (
	requestRuns requestState = iota
	requestLost
	requestDone
)

// handler returns h with a limit of time and number.
func (q *requests) handler(h http.Handler) http.Handler {
	usual, slow := q.limited(h, requestTime), q.limited(h, evidenceTime)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == evidencePath {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(evidenceTime + time.Second)) // the usual one holds otherwise
			slow.ServeHTTP(w, r)
			return
		}
		usual.ServeHTTP(w, r)
	})
}

func (q *requests) limited(h http.Handler, within time.Duration) http.Handler {
	return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := cutName(r.Method + " " + r.URL.Path)
		p := q.enter(kindOf(r.URL.Path), name)
		if p == nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests are under way", http.StatusServiceUnavailable)
			return
		}
		defer p.leave()
		pprof.Do(r.Context(), pprof.Labels("task", name), func(ctx context.Context) { h.ServeHTTP(w, r.WithContext(ctx)) })
	}), within, "the request hangs: see /api/v1/watch and the log\n")
}

// enter takes a place for a request of a kind; nil: there is none left.
func (q *requests) enter(kind int, name string) *request {
	if q.open[kind].Add(1) > requestsMost {
		q.open[kind].Add(-1)
		return nil
	}
	p := &request{requests: q, kind: kind}
	p.cell = q.board.Claim(watch.Label{Class: watch.Request, Name: name, Heal: func(watch.Finding) { p.abandon() }})
	p.cell.Begin()
	return p
}

// abandon gives the request up: it has been answered with 503, and its place is another's. If too many have been given up, it keeps its
// place, and the guard has a reason to have the process replaced.
func (p *request) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != requestRuns {
		return
	}
	if p.lost.Add(1) > lostMost {
		p.lost.Add(-1)
		return
	}
	p.state = requestLost
	p.cell.Abandon()
	p.open[p.kind].Add(-1)
}

// leave gives the place back.
func (p *request) leave() {
	p.cell.End()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == requestLost {
		p.lost.Add(-1)
	} else {
		p.open[p.kind].Add(-1)
	}
	p.state = requestDone
	p.cell.Free()
}

// cutName bounds what a peer can make of a name.
func cutName(name string) string {
	const most = 120
	if len(name) > most {
		return name[:most] + "..."
	}
	return name
}
