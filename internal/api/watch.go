package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

// Watched is what the paths about the watch are answered from. Its functions must not wait for what is watched.
type Watched struct {
	Board      *watch.Board
	Guard      *watch.Guard
	Healer     *watch.Healer
	Supervisor func() any                                // as it sees the server; nil: there is none
	Lines      func(n int) []string                      // the newest of the log, oldest first
	Alarms     func() []Alarm                            // the newest, oldest first
	Evidence   func(ctx context.Context) (string, error) // gathers some, and returns its file
}

// Alarm is something that somebody should look at.
type Alarm struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`            // a stable word: "ghost", "stuck", ...
	About string    `json:"about,omitempty"` // a stream's key, a loop, a volume
	Text  string    `json:"text"`
}

// loop is one loop of the tree.
type loop struct {
	Name    string  `json:"name"`
	Session string  `json:"session,omitempty"`
	Done    uint64  `json:"done"`   // steps
	Busy    float64 `json:"busy_s"` // that the step under way has taken; 0: it has nothing to do
	State   string  `json:"state"`  // "ok", "slow" or "stuck"
}

// class is the loops of a class.
type class struct {
	Class  string  `json:"class"`
	Warn   float64 `json:"warn_s"`
	Act    float64 `json:"act_s,omitempty"`
	Then   string  `json:"then,omitempty"`
	Healed uint64  `json:"healed"`
	Loops  []loop  `json:"loops"`
}

// tree is the answer about the watch.
type tree struct {
	Supervisor any     `json:"supervisor,omitempty"`
	Scans      uint64  `json:"scans"`    // of the guard
	Looked     float64 `json:"looked_s"` // since its last
	Lost       uint64  `json:"lost"`     // findings that nobody could take
	Classes    []class `json:"classes"`
}

// linesMost bounds the lines of the log in an answer, linesUsual is how many there are if nothing is said.
const (
	linesMost  = 2000
	linesUsual = 100
)

// Watch answers what the server's loops do, the newest lines of its log, and gathers evidence.
func Watch(w Watched) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/watch", func(rw http.ResponseWriter, _ *http.Request) { write(rw, http.StatusOK, w.tree()) })
	mux.HandleFunc("GET /api/v1/log", func(rw http.ResponseWriter, r *http.Request) {
		n := linesUsual
		if text := r.URL.Query().Get("lines"); text != "" {
			var err error
			if n, err = strconv.Atoi(text); err != nil || n < 1 {
				writeError(rw, http.StatusBadRequest, "bad-request", "lines is not a number from 1 to "+strconv.Itoa(linesMost))
				return
			}
		}
		lines := w.Lines(min(n, linesMost))
		if lines == nil {
			lines = []string{}
		}
		write(rw, http.StatusOK, map[string][]string{"lines": lines})
	})
	mux.HandleFunc("GET /api/v1/alarms", func(rw http.ResponseWriter, _ *http.Request) {
		write(rw, http.StatusOK, map[string][]Alarm{"alarms": w.Alarms()})
	})
	mux.HandleFunc("POST /api/v1/bundle", func(rw http.ResponseWriter, r *http.Request) {
		path, err := w.Evidence(r.Context())
		if err != nil {
			writeError(rw, http.StatusServiceUnavailable, "no-evidence", err.Error())
			return
		}
		write(rw, http.StatusOK, map[string]string{"path": path})
	})
	return mux
}

// tree lists all loops, by class, those first that have been busy for longest.
func (w *Watched) tree() tree {
	t := tree{Scans: w.Guard.Scans(), Looked: w.Guard.Looked().Seconds(), Lost: w.Guard.Lost()}
	if w.Supervisor != nil {
		t.Supervisor = w.Supervisor()
	}
	by := map[watch.Class][]loop{}
	for _, s := range w.Board.States() {
		by[s.Class] = append(by[s.Class], loop{s.Name, s.Session, s.Done, s.Busy.Seconds(), condition(s)})
	}
	for _, c := range watch.Classes() {
		loops, l := by[c], c.Limits()
		if len(loops) == 0 {
			continue
		}
		slices.SortStableFunc(loops, func(a, b loop) int { return cmp.Or(cmp.Compare(b.Busy, a.Busy), cmp.Compare(a.Name, b.Name)) })
		t.Classes = append(t.Classes, class{c.Name(), l.Warn.Seconds(), l.Act.Seconds(), l.Then, w.Healer.Count(c), loops})
	}
	return t
}

// condition is how a loop is, in a word.
func condition(s watch.State) string {
	l := s.Class.Limits()
	over := func(limit time.Duration) bool { return limit > 0 && s.Busy >= limit }
	switch {
	case over(l.Act) || over(l.Bundle):
		return "stuck"
	case over(l.Warn):
		return "slow"
	}
	return "ok"
}

// Verdict is what a health path answers.
type Verdict struct {
	OK     bool
	Status string // "ok", or what is wrong
}

// Health answers a health path.
func Health(judge func() Verdict) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		v := judge()
		status := http.StatusOK
		if !v.OK {
			status = http.StatusServiceUnavailable
		}
		write(w, status, health{v.Status})
	})
}
