package rtp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	controlMax    = 1 << 16 // bytes of a compound packet
	controlParts  = 64      // packets in it
	dlsrUnit      = 65536   // of a second (RFC 3550, 6.4.1)
	jitterWeights = 16      // RFC 3550, A.8
)

// reportState is what goes into receiver reports (RFC 3550, A.3 and A.8).
type reportState struct {
	base     int64 // first number of the source
	received int64 // packets since
	expected int64 // at the report before
	got      int64
	past     int64 // lost before the numbering changed

	jitter  int64 // in ticks, times 16
	transit int64
	moving  bool // transit is known

	sr   uint32        // middle bits of the newest sender report's NTP timestamp
	srAt time.Duration // when it came
	had  bool
}

// restartReport begins to count anew with the number seq.
func (r *Receiver) restartReport(seq uint16, sameSource bool) {
	p := &r.report
	past := int64(0)
	if sameSource {
		past = p.past + max(r.order.highest-p.base+1-p.received, 0)
	}
	*p = reportState{base: int64(seq), past: past, jitter: p.jitter, sr: p.sr, srAt: p.srAt, had: p.had && sameSource}
}

// received counts a packet of the present source.
func (r *Receiver) received(h header, at time.Duration) {
	p := &r.report
	p.received++
	transit := av.Ticks(at, int64(r.format.clock)) - int64(h.timestamp)
	if p.moving {
		d := int64(int32(transit - p.transit)) //nolint:gosec // timestamps wrap
		if d < 0 {
			d = -d
		}
		if d < int64(r.format.clock)*10 { // a jump of the clock is no jitter
			p.jitter += d - (p.jitter+jitterWeights/2)/jitterWeights
		}
		r.stats.jitter.Store(int64(av.Duration(p.jitter/jitterWeights, int64(r.format.clock))))
	}
	p.transit, p.moving = transit, true
}

// Control takes an RTCP packet that came at at, compound or not (RFC 3550, 6.1). bye says that the source has said good-bye. The
// error is about what could not be read; what could has been taken.
func (r *Receiver) Control(b []byte, at time.Duration) (bye bool, err error) {
	if len(b) > controlMax {
		return false, fmt.Errorf("RTCP of %d bytes", len(b))
	}
	for n := 0; len(b) > 0 && n < controlParts; n++ {
		if len(b) < 4 || b[0]>>6 != version {
			return bye, fmt.Errorf("RTCP: % x", b[:min(len(b), 4)])
		}
		size := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			return bye, fmt.Errorf("RTCP packet of %d bytes in %d: %w", size, len(b), errShort)
		}
		part := b[:size:size]
		b = b[size:]
		var e error
		switch rtcp.PacketType(part[1]) { //nolint:exhaustive // the others say nothing of use
		case rtcp.TypeSenderReport:
			e = r.senderReport(part, at)
		case rtcp.TypeGoodbye:
			var leaves bool
			leaves, e = r.goodbye(part)
			bye = bye || leaves
		}
		if err == nil && e != nil {
			err = fmt.Errorf("RTCP: %w", e)
		}
	}
	return bye, err
}

func (r *Receiver) senderReport(b []byte, at time.Duration) error {
	var s rtcp.SenderReport
	if err := s.Unmarshal(b); err != nil {
		return err
	}
	if !r.begun {
		r.early = &s
		return nil
	}
	if s.SSRC != r.ssrc {
		return nil
	}
	r.report.sr, r.report.srAt, r.report.had = uint32(s.NTPTime>>16), at, true //nolint:gosec // the middle bits
	r.lane.report(s.NTPTime, av.Unwrap(r.ticks, uint64(s.RTPTime), 32))
	return nil
}

// goodbye says whether the present source is among those that leave; before the first packet anybody may be it.
func (r *Receiver) goodbye(b []byte) (bool, error) {
	var g rtcp.Goodbye
	if err := g.Unmarshal(b); err != nil {
		return false, err
	}
	return !r.begun || len(g.Sources) == 0 || slices.Contains(g.Sources, r.ssrc), nil
}

// AppendReport appends a receiver report and the receiver's name (RFC 3550, 6.4.2 and 6.5), to be sent to the publisher.
func (r *Receiver) AppendReport(dst []byte, at time.Duration) []byte {
	report := rtcp.ReceiverReport{SSRC: r.opt.SSRC}
	if r.begun {
		report.Reports = []rtcp.ReceptionReport{r.reception(at)}
	}
	if b, err := report.Marshal(); err == nil {
		dst = append(dst, b...)
	}
	return append(dst, name(r.opt.SSRC, r.opt.CNAME)...)
}

func (r *Receiver) reception(at time.Duration) rtcp.ReceptionReport {
	p := &r.report
	expected := r.order.highest - p.base + 1
	missing := (expected - p.expected) - (p.received - p.got)
	fraction := int64(0)
	if span := expected - p.expected; span > 0 && missing > 0 {
		fraction = min(missing<<8/span, 255)
	}
	p.expected, p.got = expected, p.received
	rep := rtcp.ReceptionReport{
		SSRC:               r.ssrc,
		FractionLost:       uint8(fraction),                                          //nolint:gosec // at most 255
		TotalLost:          uint32(min(max(p.past+expected-p.received, 0), 1<<23-1)), //nolint:gosec // bounded
		LastSequenceNumber: uint32(r.order.highest),                                  //nolint:gosec // wraps
		Jitter:             uint32(p.jitter / jitterWeights),                         //nolint:gosec // bounded
	}
	if p.had {
		rep.LastSenderReport = p.sr
		rep.Delay = uint32(min(av.Ticks(max(at-p.srAt, 0), dlsrUnit), 1<<32-1)) //nolint:gosec // bounded
	}
	return rep
}

// name returns an SDES packet with a canonical name.
func name(ssrc uint32, cname string) []byte {
	s := rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: cname[:min(len(cname), 255)]}},
	}}}
	b, err := s.Marshal()
	if err != nil {
		return nil
	}
	return b
}
