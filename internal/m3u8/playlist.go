package m3u8

import "time"

// Playlist is one playlist as it was read. Exactly one of Media and Multivariant is set.
type Playlist struct {
	Version             int    // of EXT-X-VERSION; 1 when there is none (4.4.1.2)
	IndependentSegments bool   // EXT-X-INDEPENDENT-SEGMENTS
	Start               *Start // EXT-X-START, or nil
	Tags                []Tag  // every tag, known or not, in order

	Media        *Media
	Multivariant *Multivariant
}

// Tag is one line that begins with #EXT, whether its name is known or not.
type Tag struct {
	Line  int    // from 1
	Name  string // without #, such as "EXT-X-MAP"
	Value string // what follows the colon
	Attrs Attrs  // of the tags that are known to have an attribute list

	where string // the section of the specification, of a tag that is known
}

// Start is EXT-X-START (4.4.2.2).
type Start struct {
	Offset  time.Duration // from the beginning; negative: from the end
	Precise bool
}

// Media is what a Media Playlist says (4.4.3 to 4.4.5).
type Media struct {
	TargetDuration           time.Duration // 0: no tag
	MediaSequence            int64         // of the first segment, skipped ones included
	HasMediaSequence         bool          // there is a tag
	DiscontinuitySequence    int64
	HasDiscontinuitySequence bool   // there is a tag
	Ended                    bool   // EXT-X-ENDLIST
	Type                     string // "VOD", "EVENT" or ""
	IFramesOnly              bool
	PartTarget               time.Duration  // 0: no EXT-X-PART-INF
	Control                  *ServerControl // nil: no tag

	Skip     *Skip     // set in a delta update; the segments that it stands for are not in Segments
	Segments []Segment // those with a URI line
	// Open is the segment that has no URI line yet: tags and parts behind the last one. nil: there is nothing.
	Open       *Segment
	Hints      []Hint
	Reports    []Report
	DateRanges []DateRange

	partInf bool // there is an EXT-X-PART-INF
}

// ServerControl is EXT-X-SERVER-CONTROL (4.4.3.8). Durations are 0 when the attribute is missing.
type ServerControl struct {
	Line              int
	CanSkipUntil      time.Duration
	CanSkipDateRanges bool
	HoldBack          time.Duration
	PartHoldBack      time.Duration
	CanBlockReload    bool
}

// Skip is EXT-X-SKIP (4.4.5.2).
type Skip struct {
	Line     int
	Segments int64    // how many were left out
	Removed  []string // RECENTLY-REMOVED-DATERANGES
}

// Segment is one Media Segment with all that applies to it, inherited or not.
type Segment struct {
	Line  int // of its URI; of the open one that of its first tag
	URI   string
	Title string

	MSN                   int64 // Media Sequence Number
	DiscontinuitySequence int64 // Discontinuity Sequence Number; in a delta update less those skipped, until it is merged
	Duration              time.Duration
	Decimal               bool // the duration was written with a point, which needs version 3
	Discontinuity         bool // the tag stands before it
	Gap                   bool
	PDT                   time.Time // of its own EXT-X-PROGRAM-DATE-TIME; else zero
	Range                 *ByteRange
	Map                   *Map  // in force; nil: none, or, in a delta update, the one of the segments skipped
	Keys                  []Key // in force, in the same way
	Parts                 []Part

	breakLine, dateLine int // of its tags
}

// ByteRange is part of a resource (4.4.4.2).
type ByteRange struct {
	Length, Start int64
	Implicit      bool // the playlist did not say where it starts
}

// Map is EXT-X-MAP (4.4.4.5).
type Map struct {
	Line  int
	URI   string
	Range *ByteRange
}

// Key is EXT-X-KEY (4.4.4.4).
type Key struct {
	Line                              int
	Method, URI, IV, Format, Versions string
}

// Part is EXT-X-PART (4.4.4.9). Its index is its place in Segment.Parts, as long as none were removed.
type Part struct {
	Line        int
	URI         string
	Duration    time.Duration
	Independent bool
	Gap         bool
	Range       *ByteRange
}

// Hint is EXT-X-PRELOAD-HINT (4.4.5.3).
type Hint struct {
	Line          int
	Type, URI     string
	Start, Length int64 // bytes; a Length of -1: up to the end
}

// Report is EXT-X-RENDITION-REPORT (4.4.5.4). Numbers are -1 when the attribute is missing.
type Report struct {
	Line              int
	URI               string
	LastMSN, LastPart int64
}

// DateRange is EXT-X-DATERANGE (4.4.5.1).
type DateRange struct {
	Line       int
	ID, Class  string
	Start, End time.Time
	Duration   time.Duration // -1: missing
	Attrs      Attrs
}

// Multivariant is what a Multivariant Playlist says (4.4.6).
type Multivariant struct {
	Variants   []Variant // EXT-X-STREAM-INF
	IFrames    []Variant // EXT-X-I-FRAME-STREAM-INF
	Renditions []Rendition
}

// Variant is one Variant Stream. Numbers are 0 when the attribute is missing.
type Variant struct {
	Line                        int // of the tag
	URI                         string
	Bandwidth, AverageBandwidth int64 // bits a second
	Codecs                      []string
	Width, Height               int
	FrameRate                   float64
	Audio, Video, Subtitles     string // GROUP-ID
	ClosedCaptions              string // GROUP-ID, or NONE
	Attrs                       Attrs
}

// Rendition is EXT-X-MEDIA (4.4.6.1).
type Rendition struct {
	Line                   int
	Type, Group, Name, URI string
	Language               string
	Default, Auto, Forced  bool
	Attrs                  Attrs
}

// Last is the Media Sequence Number of the newest segment with a URI; MediaSequence-1 when there is none.
func (m *Media) Last() int64 { return m.MediaSequence + m.skipped() + int64(len(m.Segments)) - 1 }

// Edge is the Media Sequence Number and the number of the newest part. part is -1 where the newest thing is a segment without parts, or
// whose parts were removed.
func (m *Media) Edge() (msn int64, part int) {
	if m.Open != nil && len(m.Open.Parts) > 0 {
		return m.Open.MSN, len(m.Open.Parts) - 1
	}
	if n := len(m.Segments); n > 0 {
		return m.Last(), len(m.Segments[n-1].Parts) - 1
	}
	return m.Last(), -1
}

// Segment returns the segment of that number, open or not; nil if it is not there.
func (m *Media) Segment(msn int64) *Segment {
	i := msn - m.MediaSequence - m.skipped()
	if i >= 0 && i < int64(len(m.Segments)) {
		return &m.Segments[i]
	}
	if m.Open != nil && m.Open.MSN == msn {
		return m.Open
	}
	return nil
}

// Duration is that of all segments with a URI; of those skipped nothing is known.
func (m *Media) Duration() time.Duration {
	var d time.Duration
	for i := range m.Segments {
		d += m.Segments[i].Duration
	}
	return d
}

// Hint returns the first hint of a type, "PART" or "MAP"; nil if there is none. Clients look at no other (6.3.8).
func (m *Media) Hint(kind string) *Hint {
	for i := range m.Hints {
		if m.Hints[i].Type == kind {
			return &m.Hints[i]
		}
	}
	return nil
}

func (m *Media) skipped() int64 {
	if m.Skip == nil {
		return 0
	}
	return m.Skip.Segments
}

// dates returns the date of each segment, open one last: that of its own tag, or the one before it and its duration (4.4.4.6), or
// zero. They go on over discontinuities only by a tag.
func (m *Media) dates() []time.Time {
	all := make([]time.Time, 0, len(m.Segments)+1)
	var next time.Time
	take := func(s *Segment) {
		if !s.PDT.IsZero() {
			next = s.PDT
		} else if s.Discontinuity {
			next = time.Time{}
		}
		all = append(all, next)
		if !next.IsZero() {
			next = next.Add(s.Duration)
		}
	}
	for i := range m.Segments {
		take(&m.Segments[i])
	}
	if m.Open != nil {
		take(m.Open)
	}
	m.datesBefore(all)
	return all
}

// datesBefore goes back from the first date to the segments before it, which are dated by it too.
func (m *Media) datesBefore(all []time.Time) {
	for i := min(len(all), len(m.Segments)+1) - 2; i >= 0; i-- {
		follower := m.Open
		if i+1 < len(m.Segments) {
			follower = &m.Segments[i+1]
		}
		if all[i].IsZero() && !all[i+1].IsZero() && !follower.Discontinuity {
			all[i] = all[i+1].Add(-m.Segments[i].Duration)
		}
	}
}

// sum is the duration of all parts listed.
func (s *Segment) sum() time.Duration {
	var d time.Duration
	for i := range s.Parts {
		d += s.Parts[i].Duration
	}
	return d
}
