package sim

import (
	"math"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Track ids of an encoder: those that an FLV demuxer gives too.
const (
	VideoID = 1
	AudioID = 2
)

// Options say what an encoder makes. The zero value of a field means its default.
type Options struct {
	Video av.Codec // 0: no video
	Audio av.Codec // 0: no audio

	FPS     float64 // pictures a second; default 25
	GOP     int     // pictures from key to key; default 25
	BFrames int     // B pictures between two references, whose PTS differs from the DTS; default none
	Slices  int     // NAL units or OBUs of a picture; default 1
	KeySize int     // bytes of a key picture, about; default 4000
	Size    int     // bytes of any other picture, about; default 600

	Start  time.Duration // DTS of the first picture
	Origin byte          // number of the encoder, 0 to 127, for tests with more than one
}

func (o Options) withDefaults() Options {
	set := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	if o.FPS == 0 {
		o.FPS = 25
	}
	set(&o.GOP, 25)
	set(&o.Slices, 1)
	set(&o.KeySize, 4000)
	set(&o.Size, 600)
	return o
}

// Encoder makes the units of one publication in DTS order, pictures before sound with the same stamp. One
// goroutine uses it.
type Encoder struct {
	opt          Options
	video, audio *av.Track

	all, pictures, frames uint64 // units so far
	inGOP                 int
	change                bool
	variant               int // of the parameter sets
}

// New returns an encoder. It panics on a codec that it does not know.
func New(o Options) *Encoder {
	e := &Encoder{opt: o.withDefaults()}
	if o.Video != 0 {
		e.video = NewTrack(VideoID, o.Video, 0)
	}
	if o.Audio != 0 {
		e.audio = NewTrack(AudioID, o.Audio, 0)
	}
	return e
}

// Tracks returns the current tracks, video first.
func (e *Encoder) Tracks() []*av.Track {
	var all []*av.Track
	for _, t := range []*av.Track{e.video, e.audio} {
		if t != nil {
			all = append(all, t)
		}
	}
	return all
}

// ChangeVideo gives the next key picture, and all from there on, other parameter sets and thus another track.
func (e *Encoder) ChangeVideo() { e.change = true }

// Next returns the next unit. It is the caller's, data included.
func (e *Encoder) Next() *av.AccessUnit {
	if e.audio == nil || e.video != nil && e.pictureTime(e.pictures) <= e.frameTime() {
		return e.picture()
	}
	return e.sound()
}

// Take returns the next n units.
func (e *Encoder) Take(n int) []*av.AccessUnit {
	units := make([]*av.AccessUnit, n)
	for i := range units {
		units[i] = e.Next()
	}
	return units
}

// pictureTime is when picture n is decoded. Stamps are whole milliseconds, the finest that every container carries.
func (e *Encoder) pictureTime(n uint64) time.Duration {
	return e.opt.Start + time.Duration(math.Round(float64(n)*1000/e.opt.FPS))*time.Millisecond
}

func (e *Encoder) frameTime() time.Duration {
	return e.opt.Start + av.Duration(e.samples(), int64(e.audio.SampleRate)).Truncate(time.Millisecond)
}

func (e *Encoder) samples() int64 { return int64(e.frames) * samplesOf(e.audio) } //nolint:gosec // not that many

func (e *Encoder) picture() *av.AccessUnit {
	key := e.inGOP == 0
	if key && e.change {
		e.change = false
		e.variant = 1 - e.variant
		e.video = NewTrack(VideoID, e.opt.Video, e.variant)
	}
	size := e.opt.Size
	if key {
		size = e.opt.KeySize
	}
	u := &av.AccessUnit{Track: e.video, Key: key, DTS: e.pictureTime(e.pictures)}
	u.PTS = e.pictureTime(e.pictures + e.reorder())
	u.Data = e.payload(u, size, e.opt.Slices, e.pictures)
	e.pictures++
	e.inGOP = (e.inGOP + 1) % e.opt.GOP
	return u
}

// reorder is by how many pictures the present one is shown later than it is decoded. In a GOP the references run ahead
// of the B pictures that lie between them: I0 P3 B1 B2 P6 B4 B5.
func (e *Encoder) reorder() uint64 {
	b := e.opt.BFrames
	if b == 0 {
		return 0
	}
	if e.inGOP == 0 {
		return 1
	}
	if at := (e.inGOP - 1) % (b + 1); at > 0 {
		return 0
	}
	return uint64(min(b+1, e.opt.GOP-e.inGOP)) //nolint:gosec // positive
}

func (e *Encoder) sound() *av.AccessUnit {
	u := &av.AccessUnit{Track: e.audio, Key: true, DTS: e.frameTime()}
	u.PTS = u.DTS
	u.Data = e.payload(u, bytesOf(e.audio), 1, e.frames)
	e.frames++
	return u
}

// payload makes the elements of u, of about size bytes together. The last ends with the tag.
func (e *Encoder) payload(u *av.AccessUnit, size, elements int, n uint64) [][]byte {
	tag := Tag{Origin: e.opt.Origin, Track: byte(u.Track.ID), Seq: e.all, TrackSeq: n}
	e.all++
	if !hasElements(u.Track.Codec) {
		elements = 1
	}
	var data [][]byte
	for i := range elements {
		b := header(u.Track, u.Key, i)
		want := size/elements - len(b)
		if i == elements-1 {
			want -= tagSize
		}
		if b = fill(b, max(want, 1), tag); i == elements-1 {
			b = tag.append(b)
		}
		data = append(data, b)
	}
	return data
}
