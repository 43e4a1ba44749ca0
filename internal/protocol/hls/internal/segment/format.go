package segment

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/container/mpegts"
)

// Format is what segments are made of.
type Format uint8

// The formats.
const (
	TS   Format = iota // MPEG-2 transport stream
	FMP4               // fragmented MP4
)

// String is the format's name for people.
func (f Format) String() string { return [...]string{"MPEG-TS", "fMP4"}[f] }

// Carries says whether there is a place for a track.
func (f Format) Carries(t *av.Track) bool {
	if f == TS {
		return mpegts.Carries(t)
	}
	return fmp4.Carries(t.Codec)
}

// Parts says whether segments have parts.
func (f Format) Parts() bool { return f == FMP4 }

// Select returns those tracks that segments carry: of fMP4 one of each kind, as players want it.
func (f Format) Select(tracks []*av.Track) []*av.Track {
	if f == FMP4 {
		return fmp4.Select(tracks, nil)
	}
	return slices.DeleteFunc(slices.Clone(tracks), func(t *av.Track) bool { return !mpegts.Carries(t) })
}

func (f Format) packer() packer {
	if f == FMP4 {
		return &fragments{}
	}
	return &transport{}
}

// packer makes the bytes of parts.
type packer interface {
	// tracks says what follows is of.
	tracks(t []*av.Track)
	// begin begins a segment, and returns the initialization section that it needs, or nil.
	begin(at time.Duration) *Init
	// add adds a unit, unless nothing more has room.
	add(tracks []*av.Track, u *av.AccessUnit) error
	// size is how many bytes there are to flush, about.
	size() int
	// flush returns what was added since the last flush, and what comes next has DTS end.
	flush(end time.Duration) []byte
}

// fragments is the packer of fMP4: a part is a moof and its mdat.
type fragments struct {
	fragment fmp4.Fragment
	init     *Init
	count    int
}

func (p *fragments) tracks(t []*av.Track) {
	p.count++
	p.init = &Init{Number: p.count, Data: fmp4.AppendInit(nil, t), Tracks: t}
}

func (p *fragments) begin(time.Duration) *Init { return p.init }

func (p *fragments) add(_ []*av.Track, u *av.AccessUnit) error { return p.fragment.Add(u) }

func (p *fragments) size() int { return p.fragment.Size() }

func (p *fragments) flush(end time.Duration) []byte {
	if p.fragment.Len() == 0 {
		return nil
	}
	return slices.Clip(p.fragment.Append(make([]byte, 0, p.fragment.Size()+512+16*p.fragment.Len()), end))
}

// transport is the packer of TS: a part is a whole segment, and begins with the tables.
type transport struct {
	muxer   mpegts.Muxer
	now     []*av.Track
	b       []byte
	longest int // bytes of a segment so far
}

func (p *transport) tracks(t []*av.Track) { p.now = t }

func (p *transport) begin(at time.Duration) *Init {
	p.b = p.muxer.AppendTables(make([]byte, 0, p.longest+p.longest/8+mpegts.PacketSize), p.now, at)
	return nil
}

func (p *transport) add(tracks []*av.Track, u *av.AccessUnit) error {
	p.b = p.muxer.Unit(p.b, tracks, u)
	return nil
}

func (p *transport) size() int { return len(p.b) }

func (p *transport) flush(time.Duration) []byte {
	b := p.b
	p.longest = max(len(b), p.longest-p.longest/8)
	p.b = nil
	if cap(b)-len(b) > len(b)/8 { // what is kept is not to be much larger than what is in it
		b = slices.Clone(b)
	}
	return slices.Clip(b)
}
