package mpegts

import (
	"errors"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Demuxer makes access units of the bytes of one transport stream. The zero Demuxer is ready for use.
//
// The video stream n of the program, from 0, has the ID 2n+1, the audio stream n 2n+2, data have IDs from 33 on. They stay the same as
// long as the PMT has the stream's PID. At most [av.MaxTracks] streams are taken.
//
// Media times are the time stamps, continued over wraps of their 33 bits; leaps are passed on as they are.
type Demuxer struct {
	// Program is the number of the program whose streams are taken. 0: the first of the PAT.
	Program uint16

	part   []byte // of a packet, or what no packet was found in yet
	stride int    // from packet to packet; 0: not known
	skip   int    // bytes up to the next packet
	junk   int    // bytes so far that were no packets
	again  []byte // scratch

	pat, pmt section
	pmtPID   uint16 // 0: none yet
	number   uint16 // of the program
	streams  []*elementary
	total    int // bytes of PES packets under way
	begun    bool
	last     int64 // decoding time, ticks with more than 33 bits

	packets int64 // so far
	pid     uint16
	emit    func(*av.AccessUnit) error
	err     error // the first about a packet
}

// Limits of the memory that a stream and its units take.
const (
	unitMax       = 8 << 20  // bytes of a PES packet (as the other rooms have it for units)
	totalMax      = 16 << 20 // bytes of all PES packets under way
	scratchMax    = 1 << 20  // bytes of scratch that are kept from unit to unit
	elementsMax   = 4096     // NAL units of a unit
	unitOverhead  = 160      // bytes: a unit itself, and the place that a ring has for it
	trackOverhead = 256      // bytes: a track, apart from its lists
	elementSize   = 24       // bytes: an element of a list, apart from what lies in it
)

// emitError carries an error of the caller's emit function past those that are about packets.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }
func (e *emitError) Unwrap() error { return e.err }

// Push takes the next bytes, which it lends: units have memory of their own. Units that are complete go to emit, in order. A
// picture whose PES packet has no length is complete when the next one begins.
//
// An error is a [*PacketError], the first about these bytes, all of which were taken; or it is what emit returned, and then the
// rest of b is lost.
func (d *Demuxer) Push(b []byte, emit func(*av.AccessUnit) error) error {
	d.emit, d.err = emit, nil
	defer func() { d.emit = nil }()
	for len(b) > 0 {
		n, err := d.step(b)
		if err != nil {
			return d.outcome(err)
		}
		b = b[n:]
	}
	return d.outcome(nil)
}

// End emits what waits for its end. The stream may go on after it.
func (d *Demuxer) End(emit func(*av.AccessUnit) error) error {
	d.emit, d.err = emit, nil
	defer func() { d.emit = nil }()
	if d.stride == 0 {
		if err := d.settle(); err != nil {
			return d.outcome(err)
		}
	}
	for _, e := range d.streams {
		d.pid = e.pid
		if err := d.finish(e); err != nil {
			return d.outcome(err)
		}
	}
	return d.outcome(nil)
}

// Tracks returns the tracks as they are now, sorted by ID. A track is there once its parameters are.
func (d *Demuxer) Tracks() []*av.Track {
	var all []*av.Track
	for _, e := range d.streams {
		if e.track != nil {
			all = append(all, e.track)
		}
	}
	slices.SortFunc(all, func(a, b *av.Track) int { return a.ID - b.ID })
	return all
}

// Streams is how many streams of the program have a codec that can be carried, 0 before there is a PMT. Once [Demuxer.Tracks] has
// as many, no more will come.
func (d *Demuxer) Streams() int { return len(d.streams) }

// outcome is the error that the caller gets: that of emit, or else the first about a packet.
func (d *Demuxer) outcome(err error) error {
	if e, ok := errors.AsType[*emitError](err); ok {
		return e.err
	}
	return d.err
}

// fail notes what is wrong with a packet.
func (d *Demuxer) fail(err error) {
	if d.err == nil {
		d.err = &PacketError{d.pid, d.packets, err}
	}
}

// packet takes a packet of 188 bytes. Only an error of emit comes back.
func (d *Demuxer) packet(b []byte) error {
	d.packets++
	p, err := parsePacket(b)
	d.pid = p.pid
	if err != nil {
		d.fail(err) // what is missing then shows in the counter
		return nil
	}
	switch {
	case p.payload == nil && !p.discontinuity:
		return nil
	case p.pid == patPID:
		d.pat.packet(&p, func(b []byte) { d.note(d.readPAT(b)) })
		return nil
	case p.pid == d.pmtPID:
		d.pmt.packet(&p, func(b []byte) { d.note(d.readPMT(b)) })
		return nil
	}
	for _, e := range d.streams {
		if e.pid == p.pid {
			return d.elementary(e, &p)
		}
	}
	return nil
}

func (d *Demuxer) note(err error) {
	if err != nil {
		d.fail(err)
	}
}

// stamp continues the clock with a time stamp of 33 bits.
func (d *Demuxer) stamp(v uint64) int64 {
	if !d.begun {
		d.begun, d.last = true, int64(v) //nolint:gosec // 33 bits
	}
	d.last = av.Unwrap(d.last, v, stampBits)
	return d.last
}

func mediaTime(ticks int64) time.Duration { return av.Duration(ticks, Rate) }
