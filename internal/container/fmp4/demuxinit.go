package fmp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// tracksMax is how many tracks an init segment may have.
const tracksMax = lanesMax

// input is a track that is read.
type input struct {
	id      uint32
	rate    int64
	codec   av.Codec
	cur     *av.Track
	sets    nal.Sets // H264, H265
	nalSize int
	next    uint64 // ticks: where the newest fragment ended

	// Of trex.
	duration, size, flags uint32
}

// readInit takes a moov. A track that is as before stays the same. What is wrong with a track is an error, and the others are read.
func (d *Demuxer) readInit(b []byte) error {
	var tracks []*input
	var errs []error
	count := 0
	err := walk(b, func(typ string, body []byte) error {
		if typ != "trak" {
			return nil
		}
		if count++; count > tracksMax {
			return fmt.Errorf("more than %d tracks", tracksMax)
		}
		in, err := d.readTrack(body)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		for _, other := range tracks {
			if other.id == in.id {
				errs = append(errs, fmt.Errorf("two tracks %d", in.id))
				return nil
			}
		}
		tracks = append(tracks, in)
		return nil
	})
	if err != nil {
		return err
	}
	d.tracks = tracks
	if mvex, err := child(b, "mvex"); err == nil {
		if err = walk(mvex, d.readDefaults); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// readDefaults takes a trex (ISO/IEC 14496-12, 8.8.3).
func (d *Demuxer) readDefaults(typ string, b []byte) error {
	if typ != "trex" {
		return nil
	}
	c := cursor{b: b}
	c.take(4)
	in := d.input(uint32(c.uint(4))) //nolint:gosec // 32 bits
	c.take(4)
	duration, size, flags := c.if32(true, 0), c.if32(true, 0), c.if32(true, 0)
	if c.short {
		return errShort
	}
	if in != nil {
		in.duration, in.size, in.flags = duration, size, flags
	}
	return nil
}

// input returns a track by its ID, or nil.
func (d *Demuxer) input(id uint32) *input {
	for _, in := range d.tracks {
		if in.id == id {
			return in
		}
	}
	return nil
}

// readTrack takes a trak.
func (d *Demuxer) readTrack(b []byte) (*input, error) {
	tkhd, err := child(b, "tkhd")
	if err != nil {
		return nil, err
	}
	mdia, err := child(b, "mdia")
	if err != nil {
		return nil, err
	}
	mdhd, err := child(mdia, "mdhd")
	if err != nil {
		return nil, err
	}
	stsd, err := descend(mdia, "minf", "stbl", "stsd")
	if err != nil {
		return nil, err
	}
	in := &input{}
	c := cursor{b: tkhd}
	c.take(stampsSize(&c))
	in.id = uint32(c.uint(4)) //nolint:gosec // 32 bits
	c2 := cursor{b: mdhd}
	c2.take(stampsSize(&c2))
	in.rate = int64(c2.uint(4)) //nolint:gosec // 32 bits
	const idMax = 1<<31 - 1
	if c.short || c2.short || in.id == 0 || in.id > idMax || in.rate == 0 {
		return nil, fmt.Errorf("track %d of %d ticks a second", in.id, in.rate)
	}
	if err = in.readEntry(stsd); err != nil {
		return nil, fmt.Errorf("track %d: %w", in.id, err)
	}
	if old := d.input(in.id); old != nil && old.cur != nil && old.codec == in.codec {
		if in.cur == nil && !in.fixed() || in.cur != nil && in.cur.Equal(old.cur) {
			in.cur = old.cur
		}
	}
	return in, nil
}

// stampsSize reads version and flags of tkhd or mdhd, and returns the size of the two times that follow (8.3.2, 8.4.2).
func stampsSize(c *cursor) int {
	if c.uint(4)>>24 == 1 {
		return 16
	}
	return 8
}

// readEntry takes the first sample entry of an stsd (8.5.2).
func (in *input) readEntry(b []byte) error {
	const before, visual, sound = 8, 78, 28 // bytes: of stsd; of the entries' own fields
	if len(b) < before {
		return errShort
	}
	done := false
	return walk(b[before:], func(typ string, entry []byte) error {
		if done {
			return nil
		}
		done = true
		fields := visual
		switch typ {
		case "mp4a", "Opus", "fLaC", "ac-3", "alaw", "ulaw":
			fields = sound
		}
		if len(entry) < fields {
			return errShort
		}
		if fields == sound {
			return in.readSound(typ, entry[:fields], entry[fields:])
		}
		return in.readVisual(typ, entry[fields:])
	})
}

func (in *input) readVisual(typ string, boxes []byte) error {
	var config string
	switch typ {
	case "avc1", "avc3":
		in.codec, config = av.H264, "avcC"
	case "hvc1", "hev1":
		in.codec, config = av.H265, "hvcC"
	case "av01":
		in.codec, config = av.AV1, "av1C"
	case "vp09":
		in.codec = av.VP9 // the frames tell all
		return nil
	default:
		return errors.New("sample entry is not supported")
	}
	b, err := child(boxes, config)
	if err != nil {
		return err
	}
	switch in.codec { //nolint:exhaustive // one of three
	case av.H264:
		err = in.readAVCC(b)
	case av.H265:
		err = in.readHVCC(b)
	default:
		return in.readAV1C(b)
	}
	if err == nil {
		in.cur, err = in.sets.Track(int(in.id), in.codec)
	}
	return err
}

func (in *input) readSound(typ string, fields, boxes []byte) (err error) {
	id := int(in.id)
	var b []byte
	switch typ {
	case "mp4a":
		return in.readMP4A(boxes)
	case "alaw", "ulaw":
		in.codec = av.PCMA
		if typ == "ulaw" {
			in.codec = av.PCMU
		}
		channels, rate := binary.BigEndian.Uint16(fields[16:]), binary.BigEndian.Uint16(fields[24:])
		in.cur, err = av.NewG711(id, in.codec, int(rate), int(channels))
		return err
	case "ac-3":
		in.codec = av.AC3 // the frames tell all
		return nil
	case "Opus":
		in.codec = av.Opus
		if b, err = child(boxes, "dOps"); err != nil {
			return err
		}
		in.cur, err = opusTrack(id, b)
		return err
	default:
		in.codec = av.FLAC
		if b, err = child(boxes, "dfLa"); err != nil {
			return err
		}
		const before, size = 8, 34 // version, flags, header of the first block
		if len(b) < before+size {
			return errShort
		}
		in.cur, err = av.NewFLAC(id, bytes.Clone(b[before:before+size]))
		return err
	}
}

// opusTrack makes a track of a dOps.
func opusTrack(id int, b []byte) (*av.Track, error) {
	const size = 11
	if len(b) < size || b[0] != 0 {
		return nil, fmt.Errorf("dOps of %d bytes", len(b))
	}
	be, le := binary.BigEndian, binary.LittleEndian
	h := append([]byte("OpusHead"), 1, b[1])
	h = le.AppendUint16(h, be.Uint16(b[2:]))
	h = le.AppendUint32(h, be.Uint32(b[4:]))
	h = le.AppendUint16(h, be.Uint16(b[8:]))
	if b[10] == 0 {
		return av.NewOpus(id, append(h, 0))
	}
	return av.NewOpus(id, append(h, b[10:]...))
}
