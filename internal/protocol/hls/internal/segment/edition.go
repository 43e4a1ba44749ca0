package segment

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Part is a partial segment, or all of a segment of TS. It is immutable.
type Part struct {
	Data        []byte
	Duration    time.Duration
	Independent bool // there is a picture in it that decoding can begin with
}

// Segment is a media segment. It is immutable; of one in the making each edition has a copy.
type Segment struct {
	Number        uint64        // media sequence number
	Parts         []*Part       // in order; of a segment of TS the only one, once it is complete
	Duration      time.Duration // of all; 0 in the making
	Start         time.Time     // when what it begins with came (EXT-X-PROGRAM-DATE-TIME)
	Discontinuity bool          // it does not continue what was before
	Init          *Init         // of fMP4
	Size          int           // bytes

	from time.Duration // DTS of its first unit
}

// Init is a media initialization section. It is immutable.
type Init struct {
	Number int
	Data   []byte
	Tracks []*av.Track
}

// Edition is what can be played at a moment. It is immutable; its methods may be called from any goroutine.
type Edition struct {
	Format        Format
	Target        time.Duration // target duration, whole seconds
	PartTarget    time.Duration // 0: there are no parts
	Segments      []*Segment    // complete, in the playlist
	Open          *Segment      // in the making, as far as there are parts of it; nil: none
	Discontinuity uint64        // discontinuity sequence
	Tracks        []*av.Track   // as of the newest unit, that the format carries
	Ended         bool

	token string
	kept  []*Segment // that may be asked for, oldest first; those of the playlist are the last
	next  uint64     // number of the segment that follows the newest complete one
	lists lists
}

// Nothing is the edition before the first.
func Nothing(f Format) *Edition { return &Edition{Format: f} }

// Playable says whether there is something to play: a whole segment, as players that know of no parts give up without one.
func (e *Edition) Playable() bool { return len(e.Segments) > 0 }

// Next is the number of the segment that follows the newest complete one.
func (e *Edition) Next() uint64 { return e.next }

// Breaks is the discontinuity sequence number that the next discontinuity will have.
func (e *Edition) Breaks() uint64 {
	n := e.Discontinuity + 1
	for _, s := range e.Segments {
		if s.Discontinuity {
			n++
		}
	}
	if e.Open != nil && e.Open.Discontinuity {
		n++
	}
	return n
}

// Segment returns a complete segment that may be asked for, or nil.
func (e *Edition) Segment(number uint64) *Segment {
	if len(e.kept) == 0 || number < e.kept[0].Number || number-e.kept[0].Number >= uint64(len(e.kept)) {
		return nil
	}
	return e.kept[number-e.kept[0].Number]
}

// Part returns a part that may be asked for, or nil.
func (e *Edition) Part(number uint64, part int) *Part {
	s := e.Segment(number)
	if s == nil && e.Open != nil && e.Open.Number == number {
		s = e.Open
	}
	if s == nil || part < 0 || part >= len(s.Parts) {
		return nil
	}
	return s.Parts[part]
}

// Init returns a media initialization section that may be asked for, or nil.
func (e *Edition) Init(number int) *Init {
	if e.Open != nil && e.Open.Init != nil && e.Open.Init.Number == number {
		return e.Open.Init
	}
	for _, s := range slices.Backward(e.kept) {
		if in := s.Init; in != nil && in.Number == number {
			return in
		}
	}
	return nil
}

// Hinted says whether a part is the one that the playlist says will come next.
func (e *Edition) Hinted(number uint64, part int) bool {
	if e.Ended || e.PartTarget == 0 {
		return false
	}
	at, n := e.hint()
	return number == at && part == n
}

// hint is the part that comes next.
func (e *Edition) hint() (number uint64, part int) {
	if e.Open != nil {
		return e.Open.Number, len(e.Open.Parts)
	}
	return e.next, 0
}

// Has says whether the playlist has what a blocking request waits for (6.2.5.2): the segment, if part is negative, or the part, or what
// comes after it.
func (e *Edition) Has(number uint64, part int) bool {
	if part < 0 {
		return number < e.next
	}
	if number < e.next {
		s := e.Segment(number)
		if s == nil || part < len(s.Parts) || len(s.Parts) == 0 {
			return true
		}
		number, part = number+1, 0 // beyond the segment's end: the first of the next one
		if number < e.next {
			return true
		}
	}
	at, n := e.hint()
	return at > number || at == number && n > part
}

// Ahead says whether a blocking request is for something that is too far away to wait for (6.2.5.2).
func (e *Edition) Ahead(number uint64) bool {
	at, _ := e.hint()
	return number > at+1
}

// Span is how long what is in the playlist lasts.
func (e *Edition) Span() time.Duration {
	var d time.Duration
	for _, s := range e.Segments {
		d += s.Duration
	}
	if e.Open != nil {
		for _, p := range e.Open.Parts {
			d += p.Duration
		}
	}
	return d
}
