package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vigil-media/vigil/internal/control"
)

// serverView is the answer of GET /api/v1/server.
type serverView struct {
	Version  string  `json:"version" doc:"The tag or revision that it was built from"`
	Commit   string  `json:"commit,omitempty" doc:"The revision, if the build knows it"`
	Built    string  `json:"built,omitempty" format:"date-time" doc:"When that revision was made"`
	ServerID string  `json:"server_id" doc:"By what platforms know this server: it stays the same from start to start"`
	Uptime   float64 `json:"uptime_seconds" doc:"Since this process began"`
	Shards   []load  `json:"shards" nullable:"false" doc:"What writes to viewers"`
	Workers  []load  `json:"workers" nullable:"false" doc:"What works in the background: disks, hooks"`
	Objects  objects `json:"objects" doc:"How many there are of what a server is made of"`
}

// load is how busy a part of the server is.
type load struct {
	Name    string  `json:"name" doc:"Which part"`
	Busy    float64 `json:"busy" doc:"Share of its time, 0 to 1"`
	Holds   int     `json:"holds" doc:"Connections of a shard, jobs of a worker"`
	Delay   float64 `json:"delay_seconds" doc:"That what comes now has to wait, as far as is known"`
	Stalled bool    `json:"stalled" doc:"It does not get on"`
}

type objects struct {
	Streams     int `json:"streams" doc:"Those that wait to be resumed included"`
	Rings       int `json:"rings" doc:"Streams, and formats that are being made of them"`
	Listeners   int `json:"listeners" doc:"Ports and sockets"`
	Connections int `json:"connections" doc:"Of all kinds"`
	Publishers  int `json:"publishers" doc:"Sessions that publish"`
	Viewers     int `json:"viewers" doc:"Sessions that watch, those that wait included"`
}

// Hook is how one hook gets on.
type Hook struct {
	Name     string `json:"name" doc:"As in the configuration, without hooks." example:"on_publish"`
	Calls    uint64 `json:"calls" doc:"Attempts"`
	Failures uint64 `json:"failures" doc:"Attempts without a usable answer"`
	Refusals uint64 `json:"refusals" doc:"Answers that say no"`
	Busy     uint64 `json:"busy" doc:"Questions for which there was no place in time"`
	Open     bool   `json:"open" doc:"The target has failed too often, and is not asked for a while"`
	Waiting  int    `json:"waiting" doc:"Notifications that wait"`
	Dropped  uint64 `json:"dropped" doc:"Notifications for which there was no room"`
}

type hookList struct {
	Hooks []Hook `json:"hooks" nullable:"false" doc:"Those that are configured, by name"`
}

// Check is a health path, or what would be one.
type Check struct {
	Name  string // "live", "ready"
	Judge func() Verdict
}

// Verdict is what a health path answers.
type Verdict struct {
	OK     bool
	Status string // "ok", or what is wrong
}

// health is the body of the health paths.
type health struct {
	Status string `json:"status"` // "ok" or what is wrong
}

// healthView is the answer of GET /api/v1/health.
type healthView struct {
	OK     bool         `json:"ok" doc:"All checks are"`
	Checks []checkState `json:"checks" nullable:"false" doc:"The verdicts behind /livez, /readyz, /startupz and /overload"`
}

type checkState struct {
	Name   string `json:"name" doc:"What is judged" example:"ready"`
	OK     bool   `json:"ok" doc:"Whether the path answers with 200"`
	Status string `json:"status" doc:"ok, or what is wrong"`
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

// server adds the operations about the server as a whole.
func (a *API) server(h huma.API) {
	huma.Register(h, operation("get-server", http.MethodGet, "/api/v1/server", tagServer, "What this server is, and how busy"),
		func(context.Context, *struct{}) (*answer[serverView], error) {
			return &answer[serverView]{a.self()}, nil
		})
	huma.Register(h, operation("list-hooks", http.MethodGet, "/api/v1/hooks", tagServer, "How the hooks get on"),
		func(context.Context, *struct{}) (*answer[hookList], error) {
			return &answer[hookList]{hookList{append([]Hook{}, a.opt.Hooks()...)}}, nil
		})
	op := operation("get-health", http.MethodGet, "/api/v1/health", tagServer, "All verdicts on the server's health")
	op.Description = "Answers with 200 whatever the verdicts are. What restarts servers, or sends them load, asks the health paths instead, which need no secret."
	huma.Register(h, op, func(context.Context, *struct{}) (*answer[healthView], error) {
		return &answer[healthView]{a.health()}, nil
	})
}

func (a *API) self() serverView {
	c := a.opt.Control
	version, counts := c.Version(), objects(c.Objects())
	v := serverView{
		Version: version.Name, Commit: version.Commit, ServerID: c.ServerID(), Uptime: time.Since(a.opt.Started).Seconds(),
		Shards: loads(c.Shards()), Workers: loads(c.Workers()), Objects: counts,
	}
	if !version.Built.IsZero() {
		v.Built = version.Built.UTC().Format(time.RFC3339)
	}
	return v
}

func loads(all []control.Load) []load {
	out := make([]load, 0, len(all))
	for _, l := range all {
		out = append(out, load{l.Name, l.Busy, l.Holds, l.Delay.Seconds(), l.Stalled})
	}
	return out
}

func (a *API) health() healthView {
	v := healthView{OK: true, Checks: make([]checkState, 0, len(a.opt.Health))}
	for _, c := range a.opt.Health {
		verdict := c.Judge()
		v.OK = v.OK && verdict.OK
		v.Checks = append(v.Checks, checkState{c.Name, verdict.OK, verdict.Status})
	}
	return v
}
