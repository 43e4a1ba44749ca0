package hub

import (
	"cmp"
	"time"
)

// Phase is a part of a session's life.
type Phase int

// The phases.
const (
	Handshake     Phase = iota // from the connection to the request to publish or play
	Authorisation              // while the authorizer is asked
	Contest                    // while the owner of the key is challenged
	Steady                     // of a publisher from when it was let in, its first unit included; and of one that stands by
	Wait                       // of a viewer, for a publisher
	Ready                      // of a viewer, for the stream's tracks to be known
	Lapse                      // of a broadcast whose publisher was lost
	Idle                       // of a broadcast that nobody watches
	Draining                   // from the end of the stream to the last byte
	Paused                     // of a viewer that has asked for a pause
	Absent                     // of a viewer that is sent datagrams, which it need not accept
	phases
)

// Limit is what a phase may take. 0 is no limit of that kind. Only complete media units break a publisher's silence: bytes, pings and
// the state of a socket prove nothing.
type Limit struct {
	Age     time.Duration // of the phase
	Silence time.Duration // within it
	Then    string        // what is done about it
}

// Limit is that of one phase.
func (h *Hub) Limit(p Phase) Limit { return h.set.Load().phases[p] }

// Phases returns the limits of all phases: the one table of them. Rooms take theirs from it.
func Phases(c Config) [phases]Limit {
	return [phases]Limit{
		Handshake:     {Age: 10 * time.Second, Then: "the connection is closed"},
		Authorisation: {Age: cmp.Or(c.Decision, 5*time.Second), Then: "it is refused"},
		Contest:       {Age: c.Publish.ChallengeTimeout, Then: "the owner loses the key"},
		Steady:        {Silence: c.Publish.MaxSilence, Then: "the publisher is ended; viewers wait"},
		Wait:          {Age: c.Play.Wait, Then: "it is refused"},
		Ready:         {Age: 10 * time.Second, Then: "it is refused"},
		Lapse:         {Age: c.Publish.ResumeWindow, Then: "the stream ends"},
		Idle:          {Age: c.Publish.IdleDelay, Then: "it is reported, or ended"},
		Draining:      {Age: 3 * time.Second, Then: "the connection is closed"},
		Paused:        {Age: 10 * time.Minute, Silence: time.Minute, Then: "the viewer is ended"},
		Absent:        {Silence: time.Minute, Then: "the viewer is ended"},
	}
}
