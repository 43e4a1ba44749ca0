package mpegts

const (
	// Origin is the time stamp of the stream's time 0, in ticks of [Rate]: 10 s, lest a PCR or a DTS be before 0. It is what
	// segmenters use too.
	Origin = 10 * Rate
	// Delay is by how much the PCR is behind the decoding time of the units with it, in ticks: 700 ms. It grows where tracks lie
	// further apart than [slack].
	Delay = 63_000

	slack      = 200 * Rate / 1000 // by which units may be later than others and the PCR does not wait for them
	lateMost   = 10 * Rate         // for units of more than that the PCR does not wait (2.4.2.6, STD delay)
	leapMost   = Rate              // by which a track without the PCR may lead
	pcrEvery   = 80 * Rate / 1000  // after which the PCR comes in a packet of its own
	pcrMost    = 100 * Rate / 1000 // between two PCRs (2.7.2)
	pcrFill    = Rate              // gaps of more than that are pauses
	tableEvery = 400 * Rate / 1000 // between two PATs; others want 500 ms at the most
)

// reference makes the program clock reference of the decoding times. It never goes back, and no unit goes out after it.
type reference struct {
	begun, sent bool
	again       bool  // there was another one: the first PCR says so
	newest      int64 // decoding time, ticks
	late        int64 // by which units were later than the newest, beyond slack
	pcr         int64 // that was sent
}

// admit looks at the decoding time of a unit, main that of the track with the PCR. It says whether the unit is still in time.
func (r *reference) admit(dts int64, main bool) bool {
	switch {
	case !r.begun || main && !r.sent:
		r.begun, r.newest, r.late = true, dts, 0
	case dts > r.newest && (main || dts-r.newest <= leapMost):
		r.newest = dts
	}
	r.late = max(r.late, min(r.newest-dts-slack, lateMost))
	return dts >= r.next()
}

// next is the PCR that is due.
func (r *reference) next() int64 {
	t := r.newest - Delay - r.late
	if r.sent {
		return max(t, r.pcr)
	}
	return t
}

func (r *reference) send(t int64) { r.pcr, r.sent = t, true }
