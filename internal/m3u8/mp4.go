package m3u8

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

var errBox = errors.New("a box that is cut short")

// walkBoxes goes through the boxes in b (ISO/IEC 14496-12, 4.2).
func walkBoxes(b []byte, do func(kind string, body []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return errBox
		}
		size, head := uint64(binary.BigEndian.Uint32(b)), 8
		switch size {
		case 0:
			size = uint64(len(b))
		case 1:
			if len(b) < 16 {
				return errBox
			}
			size, head = binary.BigEndian.Uint64(b[8:]), 16
		}
		if size < uint64(head) || size > uint64(len(b)) { //nolint:gosec // 8 or 16
			return errBox
		}
		if err := do(string(b[4:8]), b[head:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// field is a number of 4 or 8 bytes at a place; 0 if it is not there, which short notes.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) take(n int) uint64 {
	if len(f.b) < n {
		f.b, f.short = nil, true
		return 0
	}
	var v uint64
	for _, c := range f.b[:n] {
		v = v<<8 | uint64(c)
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) if32(set bool, missing uint64) uint64 {
	if set {
		return f.take(4)
	}
	return missing
}

// mp4Track is what an initialization section says of a track, and where its media are.
type mp4Track struct {
	id       uint64
	rate     int64
	video    bool
	duration uint64 // default of a sample

	any  bool
	next uint64 // tfdt that is expected
	last uint64 // duration of the newest sample
}

// readInit reads the tracks of an initialization section (8.2 to 8.8.3).
func readInit(b []byte) ([]*mp4Track, error) {
	var tracks []*mp4Track
	defaults := map[uint64]uint64{}
	var visit func(kind string, body []byte) error
	var t *mp4Track
	visit = func(kind string, body []byte) error {
		f := fields{b: body}
		switch kind {
		case "moov", "mdia", "mvex":
			return walkBoxes(body, visit)
		case "trak":
			t = &mp4Track{rate: 1}
			tracks = append(tracks, t)
			return walkBoxes(body, visit)
		case "tkhd":
			f.times()
			t.id = f.take(4)
		case "mdhd":
			f.times()
			t.rate = max(int64(f.take(4)), 1) //nolint:gosec // 32 bits
		case "hdlr":
			f.take(8)
			t.video = f.take(4) == 0x76696465 // vide
		case "trex":
			f.take(4)
			id := f.take(4)
			f.take(4)
			defaults[id] = f.take(4)
		}
		if f.short {
			return errBox
		}
		return nil
	}
	if err := walkBoxes(b, visit); err != nil {
		return nil, err
	}
	for _, t := range tracks {
		t.duration = defaults[t.id]
	}
	return tracks, nil
}

// times passes over version, flags, creation and modification time.
func (f *fields) times() {
	n := 8
	if f.take(4)>>24 == 1 {
		n = 16
	}
	f.take(n / 2)
	f.take(n / 2)
}

// mp4Run is a track's part of one fragment.
type mp4Run struct {
	track    uint64
	begin    uint64 // tfdt
	duration uint64 // of all samples
	longest  uint64 // sample
	last     uint64 // duration of the newest sample
	samples  uint64
	timed    bool // there was a tfdt
}

// mp4Fragment is one moof.
type mp4Fragment struct {
	sequence uint64
	runs     []mp4Run
}

// readFragments reads the moof boxes of a segment or part (8.8.4 to 8.8.12).
func readFragments(b []byte, tracks []*mp4Track) (all []mp4Fragment, err error) {
	return all, walkBoxes(b, func(kind string, body []byte) error {
		if kind != "moof" {
			return nil
		}
		var m mp4Fragment
		err := walkBoxes(body, func(kind string, body []byte) error {
			switch f := (fields{b: body}); kind {
			case "mfhd":
				f.take(4)
				m.sequence = f.take(4)
			case "traf":
				r, err := readRun(body, tracks)
				m.runs = append(m.runs, r)
				return err
			}
			return nil
		})
		all = append(all, m)
		return err
	})
}

func readRun(b []byte, tracks []*mp4Track) (r mp4Run, err error) {
	var duration uint64
	err = walkBoxes(b, func(kind string, body []byte) error {
		f := fields{b: body}
		switch kind {
		case "tfhd":
			set := f.take(4)
			r.track = f.take(4)
			for _, t := range tracks {
				if t.id == r.track {
					duration = t.duration
				}
			}
			if set&0x1 != 0 {
				f.take(8)
			}
			f.if32(set&0x2 != 0, 0)
			duration = f.if32(set&0x8 != 0, duration)
		case "tfdt":
			n := 4
			if f.take(4)>>24 == 1 {
				n = 8
			}
			r.begin, r.timed = f.take(n), true
		case "trun":
			r.addRun(&f, duration)
		}
		if f.short {
			return errBox
		}
		return nil
	})
	return r, err
}

func (r *mp4Run) addRun(f *fields, usual uint64) {
	set, count := f.take(4), f.take(4)
	f.if32(set&0x1 != 0, 0)
	f.if32(set&0x4 != 0, 0)
	if set&0xf00 == 0 { // nothing for each sample
		r.samples += count
		r.duration += count * usual
		r.longest, r.last = max(r.longest, usual), usual
		return
	}
	for range count {
		d := f.if32(set&0x100 != 0, usual)
		f.if32(set&0x200 != 0, 0)
		f.if32(set&0x400 != 0, 0)
		f.if32(set&0x800 != 0, 0)
		if f.short {
			return
		}
		r.samples++
		r.duration += d
		r.longest, r.last = max(r.longest, d), d
	}
}

func (t *mp4Track) time(ticks uint64) time.Duration {
	return av.Duration(int64(ticks&(1<<62-1)), t.rate) //nolint:gosec // 62 bits
}
