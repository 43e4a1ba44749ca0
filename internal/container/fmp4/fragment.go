package fmp4

import (
	"errors"
	"math"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Limits of a fragment, far above what parts need.
const (
	samplesMax = 1 << 16 // of all tracks
	sizeMax    = 1 << 30 // bytes of media
	lanesMax   = 64      // tracks
)

// Errors of Fragment.Add.
var (
	// ErrFull says that the fragment has as many units, bytes or tracks as one may have: Append it first.
	ErrFull = errors.New("fMP4 fragment is full")
	// ErrTrackChanged says that the unit has another track than those of the same ID before it in the fragment: Append that first, then
	// an init segment.
	ErrTrackChanged = errors.New("track changed within a fMP4 fragment")
)

// stepMax is what is taken for the distance of two pictures at most, in ticks: what is longer is a hole.
const stepMax = 10 * videoRate

// Fragment writes movie fragments: a moof and an mdat for one or several units of one or several tracks (ISO/IEC 14496-12, 8.8). The
// zero value is ready for use, for the tracks that come; those that the format does not carry are ignored. It
// allocates while it learns how many tracks and units there are, then no more. One goroutine uses it.
type Fragment struct {
	// Origin is the time of the stream that is time 0 of the media. What is before it is moved there.
	Origin time.Duration
	// Sequence is the number of the newest fragment (mfhd).
	Sequence uint32

	lanes []lane
	count int // samples of all lanes
	size  int // bytes of them
}

// lane is one track of a fragment in the making.
type lane struct {
	track *av.Track
	rate  int64
	frame int64 // frameTicks
	step  int64 // ticks between the newest two pictures
	last  int64 // DTS of the newest unit, in ticks
	any   bool  // there was a unit

	samples []sample
	size    int // bytes of them
}

type sample struct {
	unit *av.AccessUnit
	time int64 // DTS in ticks
	size int
}

// Unit appends a fragment of one unit, for live streaming. The duration of its sample is that of the frame as far as it is known. It appends
// nothing if the format does not carry the track, or nothing of the unit is for a sample. Do not mix it with Add.
func (f *Fragment) Unit(dst []byte, u *av.AccessUnit) []byte {
	if f.Add(u) != nil {
		return dst
	}
	return f.Append(dst, u.DTS)
}

// Add puts a unit into the fragment, which keeps it until Append. The units of a track come in the order of their DTS. The
// error is ErrFull or ErrTrackChanged; the unit is not in the fragment then.
func (f *Fragment) Add(u *av.AccessUnit) error {
	if !Carries(u.Track.Codec) {
		return nil
	}
	size := sampleSize(u)
	if size == 0 {
		return nil
	}
	if f.count >= samplesMax || f.size+size > sizeMax {
		return ErrFull
	}
	l, err := f.lane(u.Track)
	if err != nil {
		return err
	}
	at := max(av.Ticks(u.DTS-f.Origin, l.rate), 0)
	if n := len(l.samples); n > 0 {
		at = max(at, l.samples[n-1].time)
	}
	if step := at - l.last; l.any && step > 0 && step <= stepMax {
		l.step = step
	}
	l.any, l.last = true, at
	l.samples = append(l.samples, sample{unit: u, time: at, size: size})
	l.size += size
	f.size += size
	f.count++
	return nil
}

// lane returns that of a track, and makes it if it is new.
func (f *Fragment) lane(t *av.Track) (*lane, error) {
	for i := range f.lanes {
		l := &f.lanes[i]
		switch {
		case l.track == t:
			return l, nil
		case l.track.ID != t.ID:
			continue
		case len(l.samples) > 0:
			return nil, ErrTrackChanged
		}
		*l = newLane(t, l.samples)
		return l, nil
	}
	if len(f.lanes) >= lanesMax {
		return nil, ErrFull
	}
	f.lanes = append(f.lanes, newLane(t, nil))
	return &f.lanes[len(f.lanes)-1], nil
}

func newLane(t *av.Track, samples []sample) lane {
	frame := frameTicks(t)
	return lane{track: t, rate: rateOf(t), frame: frame, step: frame, samples: samples[:0]}
}

// Len is the number of units that Append will write.
func (f *Fragment) Len() int { return f.count }

// Size is the number of bytes of media in them.
func (f *Fragment) Size() int { return f.size }

// Append appends the fragment, if there are units in it, and begins the next one. The newest picture lasts until end, the DTS of
// the picture that comes next; if end is not after it, as long as the one before. A unit of sound lasts as long as its codec says.
func (f *Fragment) Append(dst []byte, end time.Duration) []byte {
	if f.count == 0 {
		return dst
	}
	f.Sequence++
	size := boxHeader + mfhdSize
	for i := range f.lanes {
		size += f.lanes[i].boxes()
	}
	offset := size + boxHeader
	dst = appendHeader(dst, "moof", size)
	dst = appendUint32(appendUint32(appendHeader(dst, "mfhd", mfhdSize), 0), f.Sequence)
	for i := range f.lanes {
		l := &f.lanes[i]
		if len(l.samples) > 0 {
			dst = l.appendBoxes(dst, offset, f.Origin, end)
			offset += l.size
		}
	}
	dst = appendHeader(dst, "mdat", boxHeader+f.size)
	for i := range f.lanes {
		l := &f.lanes[i]
		for j := range l.samples {
			dst = appendSample(dst, l.samples[j].unit)
		}
		clear(l.samples) // the units are nobody's now
		l.samples, l.size = l.samples[:0], 0
	}
	f.count, f.size = 0, 0
	return dst
}

// Sizes of boxes in bytes, and flags of tfhd and trun (ISO/IEC 14496-12, 8.8.7 and 8.8.8).
const (
	boxHeader = 8
	mfhdSize  = 16
	tfhdSize  = 16
	tfdtSize  = 20
	trunSize  = 20 // without its table

	defaultBaseIsMoof = 0x020000
	trunOffset        = 0x000001
	trunDuration      = 0x000100
	trunSampleSize    = 0x000200
	trunFlags         = 0x000400
	trunComposition   = 0x000800
	version1          = 1 << 24 // composition offsets have a sign
)

func (l *lane) video() bool { return l.track.Kind() == av.Video }

// boxes is the size of its traf; 0 if it has no units.
func (l *lane) boxes() int {
	if len(l.samples) == 0 {
		return 0
	}
	return boxHeader + tfhdSize + tfdtSize + l.run()
}

// run is the size of its trun. For sound there are duration and size of each sample, for pictures flags and composition offset too.
func (l *lane) run() int {
	entry := 8
	if l.video() {
		entry = 16
	}
	return trunSize + entry*len(l.samples)
}

// appendBoxes appends the traf. offset is where the media of the lane begin, from the beginning of the moof.
func (l *lane) appendBoxes(dst []byte, offset int, origin, end time.Duration) []byte {
	dst = appendHeader(dst, "traf", l.boxes())
	dst = appendUint32(appendHeader(dst, "tfhd", tfhdSize), defaultBaseIsMoof)
	dst = appendUint32(dst, uint32(l.track.ID)) //nolint:gosec // ids are small
	dst = appendUint32(appendHeader(dst, "tfdt", tfdtSize), version1)
	dst = appendUint64(dst, uint64(l.samples[0].time)) //nolint:gosec // not negative
	flags := uint32(version1 | trunOffset | trunDuration | trunSampleSize)
	if l.video() {
		flags |= trunFlags | trunComposition
	}
	dst = appendUint32(appendHeader(dst, "trun", l.run()), flags)
	dst = appendUint32(dst, uint32(len(l.samples))) //nolint:gosec // up to samplesMax
	dst = appendUint32(dst, uint32(offset))         //nolint:gosec // bounded by sizeMax
	for i := range l.samples {
		s := &l.samples[i]
		var duration int64
		if i+1 < len(l.samples) {
			duration = l.samples[i+1].time - s.time
		} else {
			duration = l.newest(s, av.Ticks(end-origin, l.rate))
		}
		dst = appendUint32(dst, uint32(min(duration, math.MaxUint32))) //nolint:gosec // not negative
		dst = appendUint32(dst, uint32(s.size))                        //nolint:gosec // bounded by sizeMax
		if !l.video() {
			continue
		}
		sampleFlags := uint32(flagsNonSync)
		if s.unit.Key {
			sampleFlags = flagsSync
		}
		shift := av.Ticks(s.unit.PTS-origin, l.rate) - s.time
		dst = appendUint32(dst, sampleFlags)
		dst = appendUint32(dst, uint32(int32(min(max(shift, math.MinInt32), math.MaxInt32)))) //nolint:gosec // two's complement
	}
	return dst
}

// newest is the duration of the newest sample, which ends at end if that is after it.
func (l *lane) newest(s *sample, end int64) int64 {
	switch {
	case l.video() && end > s.time:
		return end - s.time
	case l.video():
		return l.step
	case l.frame > 0:
		return l.frame
	default:
		return unitTicks(s.unit)
	}
}
