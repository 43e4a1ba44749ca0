package server

import (
	"os"
	"sync/atomic"
)

// How the descriptors of the process are shared out.
const (
	mediaPercent  = 85 // of the descriptors: from there on no more media are let in, neither connections nor HTTP requests
	housePercent  = 3  // that are left to the house itself: files, the log, what a connection needs for a moment
	houseLeast    = 12
	unlimitedMost = 1 << 30 // stands for a limit that is none
)

// descriptors knows how many descriptors the process may have, and about how many it has: those of connections are counted as they
// come and go, all others are measured now and then. Its methods may be called from any goroutine.
type descriptors struct {
	limit       int
	connections func() int
	others      atomic.Int64
	spare       spareDescriptor
}

// newDescriptors reads the limit of the process, after raising it as far as it may be.
func newDescriptors(connections func() int) *descriptors {
	d := &descriptors{limit: raiseDescriptorLimit(), connections: connections}
	d.others.Store(houseLeast)
	d.measure()
	return d
}

// used is the number of descriptors in use.
func (d *descriptors) used() int { return int(d.others.Load()) + d.connections() }

// mediaMost is how many there may be before media are refused.
func (d *descriptors) mediaMost() int { return d.limit/100*mediaPercent + d.limit%100*mediaPercent/100 }

// controlMost is how many there may be before a connection of the control plane has to make room for another.
func (d *descriptors) controlMost() int {
	return max(d.limit-max(houseLeast, d.limit/100*housePercent), d.mediaMost()+1)
}

// measure counts the descriptors that are no connections, and takes the spare one again if it was lost. One goroutine calls it.
func (d *descriptors) measure() {
	d.spare.take()
	const unsteady = 16 // connections that came or went meanwhile: then it says nothing
	before := d.connections()
	all, ok := openDescriptors()
	after := d.connections()
	if ok && max(before-after, after-before) <= unsteady {
		d.others.Store(int64(max(all-min(before, after), 0)))
	}
}

// openDescriptors counts the descriptors of the process, if the system tells.
func openDescriptors() (n int, ok bool) {
	const dir = "/proc/self/fd"
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return int(info.Size()), true // Linux 6.2 and later say it at once
	}
	f, err := os.Open(dir)
	if err != nil {
		return 0, false
	}
	defer f.Close() //nolint:errcheck // it was only read
	names, err := f.Readdirnames(0)
	return len(names) - 1, err == nil
}
