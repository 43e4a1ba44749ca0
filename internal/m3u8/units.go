package m3u8

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/container/mpegts"
)

// Source gives pieces one after the other, as a [Player] does.
type Source interface {
	Next(ctx context.Context) (*Piece, error)
}

// Units reads the access units of the pieces of a source. One goroutine uses it.
type Units struct {
	from  Source
	piece *Piece
	queue []*av.AccessUnit
	err   error // of the piece, once the queue is empty

	ts   *mpegts.Demuxer
	mp4  *fmp4.Demuxer
	init []byte
}

// NewUnits returns a reader of the units of a source, such as a [Player].
func NewUnits(from Source) *Units { return &Units{from: from} }

// Next returns the next unit in the order of the playlist; within a fragment, in the order of DTS. Times are those of the media, which
// leap where the piece has Discontinuity. The error is that of the source, or is about one piece, and then the next call goes on.
func (u *Units) Next(ctx context.Context) (*av.AccessUnit, error) {
	for {
		if len(u.queue) > 0 {
			unit := u.queue[0]
			u.queue = u.queue[1:]
			return unit, nil
		}
		if err := u.err; err != nil {
			u.err = nil
			return nil, err
		}
		piece, err := u.from.Next(ctx)
		if err != nil {
			return nil, err
		}
		u.take(piece)
	}
}

// Piece is the one that the newest unit is of; nil before the first.
func (u *Units) Piece() *Piece { return u.piece }

// Tracks returns the tracks as they are now.
func (u *Units) Tracks() []*av.Track {
	switch {
	case u.mp4 != nil:
		return u.mp4.Tracks()
	case u.ts != nil:
		return u.ts.Tracks()
	}
	return nil
}

// take demuxes a piece. Behind a leap the reading begins anew: what was lost is no fault of the piece.
func (u *Units) take(p *Piece) {
	u.piece, u.queue = p, nil
	if p.Init != nil {
		u.init = p.Init
	}
	leap := p.Discontinuity || p.Missed > 0
	var err error
	if len(p.Data) > 0 && p.Data[0] == 0x47 {
		err = u.transport(p, leap)
	} else {
		err = u.fragmented(p, leap)
	}
	if err != nil {
		u.err = fmt.Errorf("m3u8: segment %d, part %d: %w", p.MSN, p.Part, err)
	}
}

func (u *Units) transport(p *Piece, leap bool) error {
	u.mp4 = nil
	if u.ts == nil || leap {
		u.ts = new(mpegts.Demuxer)
	}
	emit := func(unit *av.AccessUnit) error {
		u.queue = append(u.queue, unit)
		return nil
	}
	err := u.ts.Push(p.Data, emit)
	return errors.Join(err, u.ts.End(emit))
}

func (u *Units) fragmented(p *Piece, leap bool) error {
	u.ts = nil
	var err error
	if u.mp4 == nil || leap || p.Init != nil {
		u.mp4 = &fmp4.Demuxer{MediaMax: SegmentMax}
		_, err = u.mp4.Demux(u.init)
	}
	units, err2 := u.mp4.Demux(p.Data)
	u.queue = units
	return errors.Join(err, err2)
}
