package supervise

import (
	"encoding/binary"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

// Descriptors that a worker begins with, and the variable that tells it so.
const (
	lineFD    = 3 // messages, as JSON, one a packet; sockets and evidence come along as descriptors
	beatFD    = 4 // heartbeats
	consoleFD = 5 // what the supervisor's standard error is; the worker's own is memory that outlives it
	workerEnv = "_VIGIL_WORKER"
)

// messageMost bounds a message, in bytes.
const messageMost = 64 << 10

// message is what supervisor and worker say to each other: one of its fields is set.
type message struct {
	Hello   *hello  `json:"hello,omitempty"`   // to the worker, first of all
	Listen  *listen `json:"listen,omitempty"`  // to the supervisor, and back with a socket
	Ready   *ready  `json:"ready,omitempty"`   // to the supervisor: it accepts
	Health  *Health `json:"health,omitempty"`  // to the worker, once a second
	Retire  bool    `json:"retire,omitempty"`  // to the worker: another does its work now
	Bundle  *bundle `json:"bundle,omitempty"`  // to the worker: gather evidence; to the supervisor: here it is
	Replace bool    `json:"replace,omitempty"` // to the supervisor: as planned, by another worker
	Said    *said   `json:"said,omitempty"`    // to the supervisor: what its commands' users need to know
}

type hello struct {
	Number  int    `json:"number"`  // of this worker, from 1
	Token   string `json:"token"`   // of the probe
	Health  string `json:"health"`  // where the supervisor listens; "" nowhere
	Why     string `json:"why"`     // it was started, unless it is the first
	Safe    bool   `json:"safe"`    // it is to let no media in
	Planned bool   `json:"planned"` // the worker that serves is well, and goes when this one is ready
}

type listen struct {
	ID      uint64 `json:"id"`
	Name    string `json:"name"`
	Address string `json:"address"`
	Error   string `json:"error,omitempty"`
}

type ready struct {
	Secret []byte `json:"secret"` // SHA-256 of the API's secret
}

type bundle struct {
	ID     uint64 `json:"id,omitempty"` // of what a worker hands over, and of the answer; 0: it is to gather evidence
	Reason string `json:"reason,omitempty"`
	Asked  bool   `json:"asked,omitempty"` // by a person
	Path   string `json:"path,omitempty"`  // to the worker: where it was kept
	Error  string `json:"error,omitempty"` // or why not
}

type said struct {
	Failed string `json:"failed,omitempty"` // why it cannot start
	Code   int    `json:"code,omitempty"`   // that it ends with
}

// Vitals is what a worker adds to the guard's pulse.
type Vitals struct {
	Open       bool // newcomers are let in
	Overloaded bool // it sheds load
	Draining   bool
}

// beat is a heartbeat as the supervisor has it.
type beat struct {
	Scan                uint64
	Cells, Busy, Moved  int
	Stuck               int
	Worst, Doomed       string // the loops, "" for none
	WorstAge, DoomedAge time.Duration
	Pauses              uint64
	Starved             bool
	Vitals
}

const (
	nameBytes = 64
	beatBytes = 8*4 + 4*4 + 8 + 2*nameBytes // under PIPE_BUF: a write is whole or not at all
)

// The bits of a heartbeat.
const (
	flagStarved = 1 << iota
	flagOpen
	flagOverloaded
	flagDraining
)

// encodeBeat writes a heartbeat. It allocates nothing.
func encodeBeat(b *[beatBytes]byte, p *watch.Pulse, v Vitals) {
	*b = [beatBytes]byte{}
	le := binary.LittleEndian
	le.PutUint64(b[0:], p.Scan)
	le.PutUint64(b[8:], uint64(p.Worst.Age))   //nolint:gosec // not negative
	le.PutUint64(b[16:], uint64(p.Doomed.Age)) //nolint:gosec // the same
	le.PutUint64(b[24:], p.Pauses)
	for i, n := range [...]int{p.Cells, p.Busy, p.Moved, p.Stuck} {
		le.PutUint32(b[32+4*i:], uint32(n)) //nolint:gosec // bounded by the board
	}
	var flags uint64
	for i, on := range [...]bool{p.Starved, v.Open, v.Overloaded, v.Draining} {
		if on {
			flags |= 1 << i
		}
	}
	le.PutUint64(b[48:], flags)
	putName(b[56:], p.Worst.Label)
	putName(b[56+nameBytes:], p.Doomed.Label)
}

func putName(b []byte, l *watch.Label) {
	if l == nil {
		return
	}
	b = b[:nameBytes]
	for _, part := range [...]string{l.Class.Name(), " ", l.Name, " ", l.Session} {
		b = b[copy(b, part):]
	}
}

// decodeBeat reads a heartbeat.
func decodeBeat(b *[beatBytes]byte) beat {
	le := binary.LittleEndian
	flags := le.Uint64(b[48:])
	return beat{
		Scan:      le.Uint64(b[0:]),
		WorstAge:  time.Duration(le.Uint64(b[8:])),  //nolint:gosec // as it was written
		DoomedAge: time.Duration(le.Uint64(b[16:])), //nolint:gosec // the same
		Pauses:    le.Uint64(b[24:]),
		Cells:     int(le.Uint32(b[32:])), Busy: int(le.Uint32(b[36:])), Moved: int(le.Uint32(b[40:])), Stuck: int(le.Uint32(b[44:])),
		Starved: flags&flagStarved != 0,
		Vitals:  Vitals{Open: flags&flagOpen != 0, Overloaded: flags&flagOverloaded != 0, Draining: flags&flagDraining != 0},
		Worst:   name(b[56:]), Doomed: name(b[56+nameBytes:]),
	}
}

func name(b []byte) string {
	b = b[:nameBytes]
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return string(b)
}
