package supervise

import (
	"fmt"
	"time"
)

// When a worker is replaced: two signs that do not depend on each other must agree. One alone is reported.
const (
	beatLate  = 2 * time.Second // no heartbeat for so long is a reason not to be live, and to ask for evidence
	beatLost  = 5 * time.Second // and this is a sign
	probeSick = 2               // probes that fail in a row, which agree with a loop that is stuck and cannot be healed
	probeDead = 5               // the same, which agree with any other sign
	probeBad  = 3               // the same, which evidence is asked for
	patience  = 4               // times as long, while others have the processors
	afterward = 2 * time.Second // that a worker gets after a pause of the supervisor, which was most likely its own, too
	grace     = 10 * time.Second
)

// signs are what there is to judge a worker by. Ages do not count pauses.
type signs struct {
	serving time.Duration // since it was ready
	beatAge time.Duration
	beat    beat
	probed  bool // end to end
	misses  int  // in a row
	state   byte // of the process, as the kernel has it: R, S, T, Z, D
	traced  bool // by a debugger
	idle    bool // has not used a processor for beatLost, and does not wait for one
	starved bool // others have the processors
}

// finding is what the signs say.
type finding struct {
	what     string // is wrong; "" nothing
	evidence bool   // is to be asked for
	replace  bool   // the worker is to be replaced
}

// judge says whether a worker is to be replaced, and why.
func judge(s signs) finding {
	stopped := s.state == 'T' || s.state == 'Z'
	silence, times := beatLost, 1
	if (s.starved || s.beat.Starved) && !stopped && !s.idle { // else want of processors is not the cause
		silence, times = patience*beatLost, patience
	}
	silent := s.beatAge > silence
	doomed := s.beat.DoomedAge > 0 && s.beatAge < beatLate
	var f finding
	switch {
	case silent && stopped:
		f.what = fmt.Sprintf("the worker is stopped (state %c), no heartbeat for %v", s.state, s.beatAge.Round(time.Second))
	case silent:
		f.what = fmt.Sprintf("no heartbeat for %v", s.beatAge.Round(time.Second))
	case doomed:
		f.what = fmt.Sprintf("%s is stuck for %v", s.beat.Doomed, s.beat.DoomedAge.Round(time.Second))
	case s.misses >= probeBad:
		f.what = fmt.Sprintf("%d probes have failed in a row", s.misses)
	}
	f.evidence = f.what != ""
	switch {
	case s.traced, s.serving < grace: // a person looks at it; or it has only just begun
	case doomed:
		f.replace = s.misses >= probeSick*times
	case silent && stopped: // the kernel says so: there is no doubt about the heartbeats
		f.replace = s.misses >= probeSick || !s.probed
	case silent:
		f.replace = s.misses >= probeDead*times || !s.probed && s.beatAge > 2*silence
	}
	if f.replace && s.misses > 0 {
		f.what += fmt.Sprintf(", and %d probes have failed", s.misses)
	}
	return f
}

// budget bounds how often something happens within a span.
type budget struct {
	most int
	span time.Duration
	at   []time.Time
}

// spend notes that it happens, and says whether that is within the budget.
func (b *budget) spend(now time.Time) bool {
	b.forget(now)
	b.at = append(b.at, now)
	return len(b.at) <= b.most
}

// spent is how often it has happened within the span.
func (b *budget) spent(now time.Time) int {
	b.forget(now)
	return len(b.at)
}

func (b *budget) forget(now time.Time) {
	for len(b.at) > 0 && now.Sub(b.at[0]) >= b.span {
		b.at = b.at[1:]
	}
}
