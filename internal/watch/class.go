package watch

import "time"

// Class is a kind of loop: how long a step of it may take, and what is done when it takes longer.
type Class uint8

// The classes.
const (
	Registry  Class = iota // the hub's loops
	Fanout                 // a publisher's units on their way into the shares of its stream
	Shard                  // sends to viewers
	Cut                    // a stream's units on their way into segments
	Session                // what a session does between two reads
	Accept                 // a listener
	Sink                   // of the log
	Volume                 // of disks
	Request                // to the API
	Timer                  // whatever else turns by the clock
	Abandoned              // a loop that was given up on
	classes
)

// Limits is how long a step may take before it is warned of, before evidence is gathered, and before something is done. 0: never.
type Limits struct {
	Warn, Bundle, Act time.Duration

	Budget  int    // how often in BudgetTime something is done about loops of the class; 0: always
	Process bool   // one that could not be healed is a reason to replace the process, if a second signal agrees
	Then    string // what is done
}

// BudgetTime is what budgets are for.
const BudgetTime = 5 * time.Minute

// Name is the word for the API and metrics.
func (c Class) Name() string { return table[c].name }

// Limits returns the limits of a class.
func (c Class) Limits() Limits { return *c.limits() }

// limits is the same without a copy, for the guard.
func (c Class) limits() *Limits { return &table[c].Limits }

// Classes lists them all.
func Classes() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i) //nolint:gosec // a handful
	}
	return all
}

const ms, s = time.Millisecond, time.Second

// table is the one of docs/operations.md.
var table = [classes]struct { //nolint:gochecknoglobals // a constant that Go cannot write
	name string
	Limits
}{
	Registry: {"registry", Limits{500 * ms, 3 * s, 8 * s, 3, true, "the loop is begun anew; if that is no help, the process is replaced"}},
	Fanout:   {"fanout", Limits{1 * s, 3 * s, 5 * s, 0, false, "the publisher and its viewers are ended"}},
	Shard: {"shard", Limits{
		250 * ms, 3 * s, 500 * ms, 16, true,
		"another goroutine takes the shard over, without the viewer that it hangs on",
	}},
	Cut:     {"cut", Limits{1 * s, 3 * s, 5 * s, 0, false, "the stream is cut into segments anew, for its viewers' next requests"}},
	Session: {"session", Limits{20 * s, 0, 30 * s, 0, false, "the session is ended"}},
	Accept: {"accept", Limits{
		2 * s, 5 * s, 10 * s, 3, true,
		"another goroutine accepts on its socket; if that is no help, the process is replaced",
	}},
	Sink:      {"sink", Limits{1 * s, 0, 2 * s, 0, false, "lines are dropped and counted; the newest stay in memory"}},
	Volume:    {"volume", Limits{2 * s, 5 * s, 10 * s, 0, false, "what writes to the volume does without"}},
	Request:   {"request", Limits{500 * ms, 3 * s, 8 * s, 0, true, "the request is answered with 503 and left behind"}},
	Timer:     {"timer", Limits{2 * s, 5 * s, 0, 0, false, "it is reported"}},
	Abandoned: {name: "abandoned"},
}
