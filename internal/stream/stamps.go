package stream

import (
	"fmt"
	"time"
)

// StampMode says whose clock the stream's stamps follow. With all of them DTS never goes back, wraps are undone, and jumps of the
// encoder's clock are bridged. They are ZLMediaKit's modify_stamp 2, 0 and 1.
type StampMode string

// The modes.
const (
	// Relative stamps are the encoder's steps, from 0. Another publisher goes on one step after the one before.
	Relative StampMode = "relative"
	// Absolute stamps are the encoder's, as long as they go forward by no more than 10 s and the time that has passed. So they
	// are with another publisher, if its clock fits; else it goes on one step after the one before.
	Absolute StampMode = "absolute"
	// Receive stamps are the time when units came, from 0, within 500 ms: the encoder's steps, bent towards the server's clock.
	Receive StampMode = "receive"
)

// Validate refuses a mode that does not exist.
func (m StampMode) Validate() error {
	switch m {
	case Relative, Absolute, Receive:
		return nil
	}
	return fmt.Errorf("modify_stamp: %q is not one of relative, absolute, receive", m)
}

const (
	maxDrift = 500 * time.Millisecond // between a stamp and the time of its arrival, as long as DTS can follow
	slew     = 16                     // with each unit, it makes up for so much of the difference, as a divisor
	maxBend  = 4                      // and for so much of the step from the unit before at the most, as a divisor
)

// arrival bends the clock of a publisher towards the one of the server, by little, and the same for all tracks, so that they
// stay together.
type arrival struct {
	begun bool
	began time.Duration // when the stream's first unit came
	shift time.Duration // between the two clocks
}

// bend returns the stamp for a unit at dts that comes at now, in whole milliseconds. leads is by how much it is ahead of all units before: those that lag
// behind others do not bend the clock.
func (a *arrival) bend(dts, leads time.Duration, now time.Duration) time.Duration {
	if !a.begun {
		a.begun, a.began = true, now
	}
	at := now - a.began
	if late := at - dts - a.shift; leads >= 0 {
		most := min(leads, largeStep) / maxBend
		a.shift += within(late/slew, most)
		a.shift += late - within(late, maxDrift)
	}
	return (at + within(dts+a.shift-at, maxDrift)).Round(minStep)
}

// within returns d, or the nearest to it that is no further from 0 than most.
func within(d, most time.Duration) time.Duration { return min(max(d, -most), most) }
