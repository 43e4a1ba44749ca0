package rtp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
)

// Options say how a [Receiver] treats packets.
type Options struct {
	Window int           // packets that wait for one that is late; 0: packets come in order (TCP)
	Hold   time.Duration // how long they wait; 0: as long as there is room
	SSRC   uint32        // source of the reports that go back; 0: a random one
	CNAME  string        // canonical name in them; "": "vigil"
}

// Receiver makes units of the packets of one media of one publisher. It belongs to one goroutine, apart from Stats.
type Receiver struct {
	id     int
	format *Format
	lane   *lane
	opt    Options
	stats  counters
	report reportState

	begun   bool
	early   *rtcp.SenderReport // that came before the first packet; nil: none
	ssrc    uint32
	order   order
	rival   rival
	ticks   int64         // of the newest packet that was delivered
	ticksAt time.Duration // when a packet came, the newest
	emit    func(*av.AccessUnit) error
	packet  packet // in hand

	parts assembler
	inter bool // pictures depend on each other
	need  bool // a key unit is to come first
	track *av.Track
	held  *av.Track // the track for which a unit answers already
	dts   decoder
}

// assembler makes units of the payloads of one media.
type assembler interface {
	// packet takes the next one. An error that is no [*emitError] is about the payload.
	packet(p *packet) error
	// drop forgets what is incomplete.
	drop()
}

// emitError carries an error of the caller's emit function past those that are about packets.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }
func (e *emitError) Unwrap() error { return e.err }

// NewReceiver returns a receiver of the media that f describes, whose track gets the ID id. c is shared by the medias of the
// publisher.
func NewReceiver(id int, f *Format, c *Clock, o Options) *Receiver {
	o.Window = min(max(o.Window, 0), windowMax)
	if o.SSRC == 0 {
		o.SSRC = randomWord()
	}
	if o.CNAME == "" {
		o.CNAME = "vigil"
	}
	r := &Receiver{id: id, format: f, lane: c.join(int64(f.clock)), opt: o}
	r.order.waiting = make([]slot, o.Window)
	r.inter = f.codec.Kind() == av.Video && f.codec != av.MJPEG
	r.need = r.inter
	if t := f.Track(id); t != nil {
		r.setTrack(t)
	}
	r.parts = newAssembler(r)
	return r
}

// randomWord returns 32 random bits.
func randomWord() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return binary.BigEndian.Uint32(b[:])
}

// Track is the media's track as it is now; nil until its parameters are known.
func (r *Receiver) Track() *av.Track { return r.track }

// Packet takes an RTP packet that came at at, by a clock that all medias of the publisher share. It lends b: units have memory of
// their own. Units that are complete go to emit, in order. An error is about this packet, a [*PacketError]; or it is what
// emit returned, and then what was not emitted yet is lost.
func (r *Receiver) Packet(b []byte, at time.Duration, emit func(*av.AccessUnit) error) error {
	r.stats.packets.Add(1)
	r.stats.bytes.Add(int64(len(b)))
	h, _, err := parseHeader(b)
	if err != nil {
		r.stats.bad.Add(1)
		return &PacketError{h.seq, err}
	}
	if h.typ >= 72 && h.typ <= 76 { // RTCP, by its packet types 200 to 204 (RFC 5761, 4)
		r.stats.bad.Add(1)
		return &PacketError{h.seq, errors.New("is RTCP")}
	}
	r.emit = emit
	defer func() { r.emit = nil }()
	if !r.begun {
		r.begin(h, at)
	}
	var first error
	if h.ssrc != r.ssrc {
		r.stats.foreign.Add(1)
		if run := r.rival.add(h, b); run >= runForeign || run >= runQuiet && at-r.order.good >= quietAfter {
			first = r.takeOver(at)
		}
	} else {
		first = r.accept(h, b, at)
	}
	return r.outcome(h, first)
}

// Expire gives up on packets for which others have waited since longer than Options.Hold. Call it now and then when no packets come.
func (r *Receiver) Expire(at time.Duration, emit func(*av.AccessUnit) error) error {
	r.emit = emit
	defer func() { r.emit = nil }()
	return r.outcome(header{seq: uint16(r.order.next)}, r.expire(at)) //nolint:gosec // low bits
}

// outcome is the error that the caller gets: that of emit, or else the first one about a packet.
func (r *Receiver) outcome(h header, err error) error {
	bad := r.order.bad
	r.order.bad = nil
	if err == nil {
		return bad
	}
	if e, ok := errors.AsType[*emitError](err); ok {
		return e.err
	}
	return &PacketError{h.seq, err}
}

// deliver takes a packet that is due. Only an error of emit comes back; one about the packet is noted.
func (r *Receiver) deliver(b []byte) error {
	h, payload, err := parseHeader(b)
	if err != nil {
		return err
	}
	p := &r.packet
	*p = packet{header: h, payload: payload, lost: r.order.gap}
	r.order.gap = false
	r.ticks = av.Unwrap(r.ticks, uint64(h.timestamp), 32)
	r.ticksAt = r.order.good
	p.ticks = r.ticks
	if p.lost && r.inter {
		r.need = true
	}
	if h.typ != r.format.typ || len(payload) == 0 {
		if p.lost {
			r.order.gap = true // the next one is to know
		}
		if len(payload) > 0 {
			r.fail(h, fmt.Errorf("payload type %d, described was %d", h.typ, r.format.typ))
		}
		return nil
	}
	err = r.parts.packet(p)
	p.payload = nil
	if err == nil {
		return nil
	}
	r.parts.drop()
	if _, ok := errors.AsType[*emitError](err); ok {
		return err
	}
	r.broken()
	r.fail(h, err)
	return nil
}

// fail notes what is wrong with a packet.
func (r *Receiver) fail(h header, err error) {
	r.stats.bad.Add(1)
	if r.order.bad == nil {
		r.order.bad = &PacketError{h.seq, err}
	}
}

// broken drops a unit that is incomplete.
func (r *Receiver) broken() {
	r.stats.dropped.Add(1)
	if r.inter {
		r.need = true
	}
}
