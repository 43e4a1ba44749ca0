package segment

import "time"

// wallclock tells when units were made, as far as the server can know: when they came, as if all had come as fast as the fastest.
type wallclock struct {
	known bool
	base  time.Time     // that is time 0 of the stream
	least time.Duration // that units were late by since a DTS
	since time.Duration
}

const (
	driftSpan = 10 * time.Second // after so much media the clock follows those that are all late
	jumpMost  = 2 * time.Second  // what it may be wrong by before it is set anew
)

// note notes when a unit came.
func (w *wallclock) note(came time.Time, dts time.Duration) {
	late := came.Sub(w.base.Add(dts))
	if !w.known || late < -jumpMost {
		*w = wallclock{known: true, base: came.Add(-dts), since: dts}
		return
	}
	if late < 0 { // faster than any before
		w.base, w.least = w.base.Add(late), 0
	} else {
		w.least = min(w.least, late)
	}
	if dts-w.since < driftSpan {
		return
	}
	follow := w.least
	if follow < jumpMost {
		follow /= 8 // the publisher's clock is a little slow
	}
	w.base, w.least, w.since = w.base.Add(follow), time.Hour, dts
}

// at is when a unit with a DTS was made.
func (w *wallclock) at(dts time.Duration) time.Time { return w.base.Add(dts).UTC() }
