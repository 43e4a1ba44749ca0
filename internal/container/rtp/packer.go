package rtp

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	sizeDefault = 1400
	sizeMin     = 200
	sizeMax     = 65535
	frameHeader = 4               // bytes: $, channel, length (RFC 2326, 10.12)
	reportEvery = 5 * time.Second // of media time
	frameMark   = '$'
	viewerName  = "vigil"
)

// Lane is a track as viewers were told of it.
type Lane struct {
	Format    *Format
	Track     *av.Track
	RTP, RTCP byte // channels
}

// PackerOptions say how a [Packer] makes packets.
type PackerOptions struct {
	Size   int           // bytes of the largest RTP packet; default 1400
	Start  time.Time     // wall clock at media time 0, for sender reports
	Settle time.Duration // media time until which units may be of tracks older than those described; those are left out
	Random func() uint32 // sources, first numbers and timestamps; nil: crypto/rand
}

// Packer makes RTP packets of units, the same for all viewers, each behind the frame of interleaved RTSP (RFC 2326, 10.12). Unit
// belongs to one goroutine; Head, Config and Err may be called from any.
type Packer struct {
	lanes  []*sender
	size   int
	start  time.Time
	settle time.Duration
	tracks []*av.Track // for which the lanes were matched
	unfit  bool        // they are not what was described
	met    bool        // all that was described has been there
	err    atomic.Pointer[error]
	lastSR time.Duration
	hasSR  bool
	out    out // of the unit in hand
}

// sender is one lane's source.
type sender struct {
	lane    Lane
	ssrc    uint32
	offset  uint32
	seq     uint16
	packets atomic.Uint32
	octets  atomic.Uint32
	track   *av.Track // of the stream, that goes here now; nil: none
	write   writer
}

// NewPacker returns a packer for what was described.
func NewPacker(lanes []Lane, o PackerOptions) *Packer {
	if o.Size == 0 {
		o.Size = sizeDefault
	}
	if o.Random == nil {
		o.Random = randomWord
	}
	p := &Packer{size: min(max(o.Size, sizeMin), sizeMax), start: o.Start, settle: o.Settle}
	for _, l := range lanes {
		s := &sender{lane: l, ssrc: o.Random(), offset: o.Random(), seq: uint16(o.Random())} //nolint:gosec // low bits
		s.write = newWriter(l.Format, p.size-headerSize)
		p.lanes = append(p.lanes, s)
	}
	return p
}

// Head appends nothing: RTP has no header of a whole stream.
func (p *Packer) Head(dst []byte, _ []*av.Track) []byte { return dst }

// Config appends a sender report of each lane for a newcomer, who can then synchronise at once. Everything else is told in band.
func (p *Packer) Config(dst []byte, _, prev []*av.Track, at time.Duration) []byte {
	if len(prev) > 0 {
		return dst
	}
	return p.reports(dst, at)
}

// Unit appends the packets of a unit, and from time to time sender reports before them.
func (p *Packer) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	if !slices.Equal(tracks, p.tracks) {
		p.tracks = slices.Clone(tracks)
		p.unfit = !p.match(tracks)
	}
	if p.unfit && (p.met || u.DTS >= p.settle) {
		p.fail()
	}
	if p.err.Load() != nil {
		return dst
	}
	for _, s := range p.lanes {
		if s.track != u.Track {
			continue
		}
		if since := u.DTS - p.lastSR; !p.hasSR || since.Abs() >= reportEvery {
			p.hasSR, p.lastSR = true, u.DTS
			dst = p.reports(dst, u.DTS)
		}
		p.out = out{sender: s, dst: dst, timestamp: s.timestamp(u.PTS)}
		s.write.unit(&p.out, u)
		dst, p.out.dst = p.out.dst, nil
		return dst
	}
	return dst
}

// Err returns [ErrTracks] once the stream's tracks are no longer what was described. Since a viewer begins with units that are older than
// the description, they have until [PackerOptions].Settle to become that. Nothing is packed any more after an error.
func (p *Packer) Err() error {
	if e := p.err.Load(); e != nil {
		return *e
	}
	return nil
}

// match finds the track of each lane: the one with the same ID, or, since another publisher numbers its tracks in another way, the
// first that nobody else has. Tracks that were not described are left out. It says whether the tracks are still those described: one
// in the place of another, or none of them, are not.
func (p *Packer) match(tracks []*av.Track) bool {
	var used [av.MaxTracks]bool
	tracks = tracks[:min(len(tracks), len(used))]
	for _, s := range p.lanes {
		s.track = nil
	}
	for _, byID := range []bool{true, false} {
		for _, s := range p.lanes {
			for i, t := range tracks {
				if s.track == nil && !used[i] && (!byID || t.ID == s.lane.Track.ID) && s.lane.Format.Fits(t) {
					s.track, used[i] = t, true
				}
			}
		}
	}
	found, missing := false, false
	for _, s := range p.lanes {
		found, missing = found || s.track != nil, missing || s.track == nil
		for i, t := range tracks {
			if s.track == nil && !used[i] && (t.ID == s.lane.Track.ID || t.Kind() == s.lane.Track.Kind()) {
				return false
			}
		}
	}
	p.met = p.met || !missing
	return found || len(p.lanes) == 0
}

func (p *Packer) fail() {
	err := ErrTracks
	p.err.Store(&err)
}

// timestamp is media time in ticks of the lane's clock.
func (s *sender) timestamp(d time.Duration) uint32 {
	return s.offset + uint32(av.Ticks(d, int64(s.lane.Format.clock))) //nolint:gosec // to wrap is meant
}

// reports appends a sender report and the source's name for each lane (RFC 3550, 6.4.1).
func (p *Packer) reports(dst []byte, at time.Duration) []byte {
	for _, s := range p.lanes {
		dst = s.control(dst, s.report(p.start.Add(at), at), nil)
	}
	return dst
}

func (s *sender) report(wall time.Time, at time.Duration) *rtcp.SenderReport {
	return &rtcp.SenderReport{
		SSRC: s.ssrc, NTPTime: ntpTime(wall), RTPTime: s.timestamp(at),
		PacketCount: s.packets.Load(), OctetCount: s.octets.Load(),
	}
}

// control appends a compound RTCP packet in its frame.
func (s *sender) control(dst []byte, report *rtcp.SenderReport, bye *rtcp.Goodbye) []byte {
	at := len(dst)
	dst = append(dst, frameMark, s.lane.RTCP, 0, 0)
	if b, err := report.Marshal(); err == nil {
		dst = append(dst, b...)
	}
	dst = append(dst, name(s.ssrc, viewerName)...)
	if bye != nil {
		if b, err := bye.Marshal(); err == nil {
			dst = append(dst, b...)
		}
	}
	size := len(dst) - at - frameHeader
	dst[at+2], dst[at+3] = byte(size>>8), byte(size)
	return dst
}

// AppendBye appends the farewell of each lane at media time at: the last sender report, and BYE (RFC 3550, 6.6). It may be called
// from any goroutine.
func (p *Packer) AppendBye(dst []byte, at time.Duration) []byte {
	for _, s := range p.lanes {
		dst = s.control(dst, s.report(p.start.Add(at), at), &rtcp.Goodbye{Sources: []uint32{s.ssrc}})
	}
	return dst
}
