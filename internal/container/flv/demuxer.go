package flv

import (
	"fmt"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/amf"
)

// Demuxer makes access units of the tags of one publication. The zero Demuxer is ready for use.
//
// A video track with the number n (E-RTMP v2, "Multitrack Streaming"; 0 where there is no multitrack) has the ID 2n+1,
// an audio track 2n+2. At most [av.MaxTracks] tracks are taken.
//
// Media times are the tags' times since the publisher's zero, continued over wraps; leaps are passed on as they are.
// Tags that carry no unit do not move the clock, because relays stamp them with anything.
type Demuxer struct {
	tracks []*track
	units  []*av.AccessUnit
	clock  clock
	meta   amf.Object

	tag Tag   // in hand
	err error // the first about it
}

// Limits of the memory that units keep alive.
const (
	heldMin       = 4 << 10 // a body of up to this is kept, however little of it is of use
	unitOverhead  = 160     // bytes: a unit itself, and the place that a ring has for it
	trackOverhead = 256     // bytes: a track, apart from its lists
	elementSize   = 24      // bytes: an element of a list, apart from what lies in it
)

// Demux returns the units of a tag, often none. It takes tag.Body over: the units' data lie in it, and for AV1 it is
// changed. Data that are less than half of the memory that they would keep alive are copied. The slice, but not what it
// points to, is used again by the next call.
//
// The error, a [*TagError], is about this tag alone. Units that could be read are returned along with it.
// An empty audio tag, which is Flash's sign for silence, is neither.
func (d *Demuxer) Demux(tag Tag) ([]*av.AccessUnit, error) {
	clear(d.units)
	d.units, d.tag, d.err = d.units[:0], tag, nil
	if c := (cursor{b: tag.Body}); len(c.b) > 0 {
		switch tag.Type {
		case VideoTag:
			d.video(&c)
		case AudioTag:
			d.audio(&c)
		case ScriptTag:
			d.script(&c)
		default:
			d.unsupported(0, "tag type %d", uint8(tag.Type))
		}
	}
	d.tag.Body = nil
	return d.units, d.err
}

// Tracks returns the tracks as they are now, sorted by ID. A track is there once its configuration is.
func (d *Demuxer) Tracks() []*av.Track {
	var all []*av.Track
	for _, t := range d.tracks {
		if t.cur != nil {
			all = append(all, t.cur)
		}
	}
	slices.SortFunc(all, func(a, b *av.Track) int { return a.ID - b.ID })
	return all
}

func (d *Demuxer) fail(at int, err error) {
	if d.err == nil {
		d.err = &TagError{Type: d.tag.Type, Time: d.tag.Time, Offset: at, Err: err}
	}
}

func (d *Demuxer) unsupported(at int, format string, args ...any) {
	d.fail(at, &UnsupportedError{What: fmt.Sprintf(format, args...)})
}

// packet brings a packet to its track.
func (d *Demuxer) packet(p packet) error {
	if p.op == opNothing {
		return nil
	}
	t, err := d.track(p.codec.Kind(), p.number)
	if err != nil {
		return err
	}
	if p.op == opFrame {
		if len(p.body) == 0 {
			return nil
		}
		return t.frame(d, p)
	}
	if t.codec != p.codec {
		*t = track{id: t.id, codec: p.codec}
	}
	if p.op == opTSConfig {
		return t.tsConfig(p.body)
	}
	return t.config(p.body)
}

// track finds the state of a track, or begins it.
func (d *Demuxer) track(k av.Kind, number uint8) (*track, error) {
	id := 2*int(number) + 1
	if k == av.Audio {
		id++
	}
	for _, t := range d.tracks {
		if t.id == id {
			return t, nil
		}
	}
	if len(d.tracks) == av.MaxTracks {
		return nil, &UnsupportedError{What: fmt.Sprintf("more than %d tracks", av.MaxTracks)}
	}
	t := &track{id: id}
	d.tracks = append(d.tracks, t)
	return t, nil
}

// add gives a unit to track t at the tag's time. Presentation never precedes decoding in a unit: a negative
// composition time is taken as 0, since the decoding times are what the other tracks are aligned with.
func (d *Demuxer) add(t *track, p packet, u *av.AccessUnit) {
	u.Track = t.cur
	u.DTS = time.Duration(d.clock.millis(d.tag.Time))*time.Millisecond + time.Duration(p.nanos)
	u.PTS = u.DTS + time.Duration(max(p.cts, 0))*time.Millisecond
	d.hold(t, u)
	d.units = append(d.units, u)
}

// hold says what memory a unit keeps alive: the tag's body, unless so little of it is of use that a copy is cheaper. The
// first unit of a track also answers for the track, lest one that changes with every unit be had for nothing.
func (d *Demuxer) hold(t *track, u *av.AccessUnit) {
	size, held := u.Size(), max(d.tag.Held, cap(d.tag.Body))
	if held > heldMin && 2*size < held {
		compact(u.Data, size)
		held = size
	}
	u.Held = held + elementSize*cap(u.Data) + unitOverhead
	if t.held != t.cur {
		t.held = t.cur
		u.Held += trackSize(t.cur)
	}
}

// trackSize is the memory that a track takes, in bytes.
func trackSize(t *av.Track) int {
	n := trackOverhead + len(t.Config) + elementSize*cap(t.Sets)
	for _, s := range t.Sets {
		n += len(s)
	}
	return n
}

// compact moves data of the given size to memory of their own.
func compact(data [][]byte, size int) {
	all := make([]byte, 0, size)
	for i, b := range data {
		at := len(all)
		all = append(all, b...)
		data[i] = all[at:len(all):len(all)]
	}
}

// single adds a unit whose only element is the packet's body.
func (d *Demuxer) single(t *track, p packet) {
	u := av.NewUnit(1)
	u.Key, u.Data = p.key, append(u.Data, p.body)
	d.add(t, p, u)
}
