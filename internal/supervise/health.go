package supervise

import (
	"errors"
	"time"
)

// ErrGone means that the supervisor has ended: whoever starts it anew needs the ports.
var ErrGone = errors.New("the supervisor has ended")

// Health is the state of a server as its supervisor sees it. It is what the health paths answer from.
type Health struct {
	Live     Answer `json:"live"`     // the supervisor runs, and the worker gets on or is being replaced
	Ready    Answer `json:"ready"`    // media flow from end to end, and newcomers are let in
	Started  Answer `json:"started"`  // a worker has been ready once
	Overload Answer `json:"overload"` // load is not being shed

	Worker      int       `json:"worker"` // its number; 0: there is none
	PID         int       `json:"pid"`
	Since       time.Time `json:"since"` // it was ready
	Safe        bool      `json:"safe_mode"`
	Restarts    int       `json:"replacements"` // of workers so far, planned ones not counted
	LastWhy     string    `json:"last_replacement,omitempty"`
	Probe       string    `json:"probe"`            // "ok", "off", "pending", or what failed
	ProbeMisses int       `json:"probe_misses"`     // in a row
	Latency     float64   `json:"probe_latency_ms"` // of the last probe that succeeded
	ProbeAge    float64   `json:"probe_age_s"`      // since it did
	BeatAge     float64   `json:"heartbeat_age_s"`
	Stuck       string    `json:"stuck,omitempty"` // the loop that has been stuck for longest
	StuckAge    float64   `json:"stuck_s,omitempty"`

	heard time.Time // by the worker
	made  time.Time // by the supervisor
}

// Answer is that of one health path.
type Answer struct {
	OK     bool   `json:"ok"`
	Status string `json:"status"` // "ok", or what is wrong
}

// Heard is when the worker heard this of its supervisor.
func (h *Health) Heard() time.Time { return h.heard }

func okay() Answer             { return Answer{true, "ok"} }
func wrong(what string) Answer { return Answer{false, what} }

// ExitError is what Run ends with when the worker could not even start, or not end in order: the code that it ended with.
type ExitError struct {
	Code int
	Why  string
}

// Error implements error.
func (e *ExitError) Error() string { return e.Why }
