package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

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
	At    time.Time `json:"at" doc:"When it was raised"`
	Kind  string    `json:"kind" doc:"A stable word" example:"ghost"`
	About string    `json:"about,omitempty" doc:"A stream's key, a loop, a volume"`
	Text  string    `json:"text" doc:"What it is, for people"`
}

// loop is one loop of the tree.
type loop struct {
	Name    string  `json:"name" doc:"Which loop"`
	Session string  `json:"session,omitempty" doc:"Id of the session that it is of"`
	Done    uint64  `json:"done" doc:"Steps"`
	Busy    float64 `json:"busy_s" doc:"Seconds that the step under way has taken; 0: it has nothing to do"`
	State   string  `json:"state" enum:"ok,slow,stuck" doc:"How it gets on"`
}

// class is the loops of a class.
type class struct {
	Class  string  `json:"class" doc:"What its loops do"`
	Warn   float64 `json:"warn_s" doc:"Seconds that a step may take before it is slow"`
	Act    float64 `json:"act_s,omitempty" doc:"Seconds before something is done about it"`
	Then   string  `json:"then,omitempty" doc:"What is done"`
	Healed uint64  `json:"healed" doc:"How often it was done"`
	Loops  []loop  `json:"loops" nullable:"false" doc:"Those first that have been busy for longest"`
}

// tree is the answer about the watch.
type tree struct {
	Supervisor any     `json:"supervisor,omitempty" doc:"The server as its supervisor sees it"`
	Scans      uint64  `json:"scans" doc:"Of the guard"`
	Looked     float64 `json:"looked_s" doc:"Seconds since its last"`
	Lost       uint64  `json:"lost" doc:"Findings that nobody could take"`
	Classes    []class `json:"classes" nullable:"false" doc:"The classes that have loops"`
}

type logLines struct {
	Lines []string `json:"lines" nullable:"false" doc:"Oldest first"`
}

type alarmList struct {
	Alarms []Alarm `json:"alarms" nullable:"false" doc:"The newest, oldest first"`
}

type evidence struct {
	Path string `json:"path" doc:"The file, on the server"`
}

// linesMost bounds the lines of the log in an answer.
const linesMost = 2000

// watch adds the operations on what the server's loops do, the newest lines of its log, and evidence.
func (a *API) watch(h huma.API) {
	w := &a.opt.Watched
	huma.Register(h, operation("get-watch", http.MethodGet, "/api/v1/watch", tagWatch, "What the server's loops do"),
		func(context.Context, *struct{}) (*answer[tree], error) { return &answer[tree]{w.tree()}, nil })
	huma.Register(h, operation("get-log", http.MethodGet, "/api/v1/log", tagWatch, "The newest lines of the log", http.StatusBadRequest),
		func(_ context.Context, in *struct {
			Lines int `query:"lines" minimum:"1" default:"100" doc:"How many; of more than 2000 there are 2000"`
		},
		) (*answer[logLines], error) {
			return &answer[logLines]{logLines{noNil(w.Lines(min(in.Lines, linesMost)))}}, nil
		})
	huma.Register(h, operation("list-alarms", http.MethodGet, "/api/v1/alarms", tagWatch, "What somebody should look at"),
		func(context.Context, *struct{}) (*answer[alarmList], error) {
			return &answer[alarmList]{alarmList{append([]Alarm{}, w.Alarms()...)}}, nil
		})
	gather := operation("gather-evidence", http.MethodPost, "/api/v1/bundle", tagWatch, "Gather evidence of what the server does",
		http.StatusServiceUnavailable)
	gather.DefaultStatus = http.StatusOK
	huma.Register(h, gather, func(ctx context.Context, _ *struct{}) (*answer[evidence], error) {
		path, err := w.Evidence(ctx)
		if err != nil {
			return nil, failed(http.StatusServiceUnavailable, "no-evidence", err.Error())
		}
		return &answer[evidence]{evidence{path}}, nil
	})
}

// tree lists all loops, by class, those first that have been busy for longest.
func (w *Watched) tree() tree {
	t := tree{Scans: w.Guard.Scans(), Looked: w.Guard.Looked().Seconds(), Lost: w.Guard.Lost(), Classes: []class{}}
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
