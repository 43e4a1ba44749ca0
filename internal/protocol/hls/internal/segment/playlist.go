package segment

import (
	"bytes"
	"compress/gzip"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"
)

// skipFactor is how many target durations from the edge segments may be left out of delta updates: the fewest that are allowed (4.4.3.8).
const skipFactor = 6

// partsFactor is for how many target durations from the edge parts are told (4.4.4.9).
const partsFactor = 3

// holdBack is how many part targets players stay behind the edge (4.4.3.8).
const holdBack = 3

// Document is a playlist in bytes. It is immutable; its methods may be called from any goroutine.
type Document struct {
	Body []byte
	ETag string // without the quotes

	once   sync.Once
	zipped []byte
}

// NewDocument returns a document of a body, which it keeps.
func NewDocument(body []byte) *Document {
	h := fnv.New64a()
	_, _ = h.Write(body) // it does not fail
	return &Document{Body: body, ETag: strconv.FormatUint(h.Sum64(), 36)}
}

// zippers are used again and again: a new one takes up a megabyte.
var zippers = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool is for all
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

// Zipped is the body, compressed by gzip; nil if that is no shorter.
func (d *Document) Zipped() []byte {
	d.once.Do(func() {
		var b bytes.Buffer
		z := zippers.Get().(*gzip.Writer) //nolint:forcetypeassert // there is nothing else in it
		z.Reset(&b)
		_, _ = z.Write(d.Body) // memory takes it
		_ = z.Close()
		z.Reset(nil) // what is in the pool is not to keep the playlist
		zippers.Put(z)
		if b.Len() < len(d.Body) {
			d.zipped = b.Bytes()
		}
	})
	return d.zipped
}

// lists are the playlists of an edition, each written when it is first asked for.
type lists struct {
	full, delta         *Document
	fullOnce, deltaOnce sync.Once
}

// Playlist is the media playlist.
func (e *Edition) Playlist() *Document {
	e.lists.fullOnce.Do(func() { e.lists.full = NewDocument(e.appendPlaylist(nil, 0)) })
	return e.lists.full
}

// Delta is the playlist without the segments that a player knows who has loaded one lately (6.2.5.1); the playlist, if there are none.
func (e *Edition) Delta() *Document {
	skipped := e.skippable()
	if skipped == 0 {
		return e.Playlist()
	}
	e.lists.deltaOnce.Do(func() { e.lists.delta = NewDocument(e.appendPlaylist(nil, skipped)) })
	return e.lists.delta
}

// skippable is how many segments a delta update leaves out: those that lie farther from the newest complete one than skipFactor says.
func (e *Edition) skippable() int {
	if e.PartTarget == 0 || e.Ended { // one that has ended is told whole (6.2.5.1)
		return 0
	}
	var behind time.Duration
	for i, s := range slices.Backward(e.Segments) {
		if behind += s.Duration; behind >= skipFactor*e.Target {
			return i
		}
	}
	return 0
}

// File names. What a file is of is told by its end, so that requests find their way to the room.
const (
	SuffixTS   = ".hls.ts"
	SuffixPart = ".hls.m4s"
	SuffixInit = ".hls.mp4"
)

func (e *Edition) appendSegmentName(b []byte, number uint64) []byte {
	b = append(append(b, e.token...), '-')
	b = strconv.AppendUint(b, number, 10)
	if e.Format == TS {
		return append(b, SuffixTS...)
	}
	return append(b, SuffixPart...)
}

func (e *Edition) appendPartName(b []byte, number uint64, part int) []byte {
	b = append(append(b, e.token...), '-')
	b = append(strconv.AppendUint(b, number, 10), '.')
	return append(strconv.AppendInt(b, int64(part), 10), SuffixPart...)
}

func (e *Edition) appendInitName(b []byte, number int) []byte {
	b = append(append(b, e.token...), '-')
	return append(strconv.AppendInt(b, int64(number), 10), SuffixInit...)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', 3, 64)
}

func appendLine(b []byte, name string, value int64) []byte {
	return append(strconv.AppendInt(append(b, name...), value, 10), '\n')
}

// Versions of the protocol (8): with floating-point durations, with EXT-X-MAP, and with EXT-X-SKIP.
const versionPlain, versionInit, versionSkip = 3, 6, 9

// appendPlaylist writes the playlist, or a delta update without so many segments.
func (e *Edition) appendPlaylist(b []byte, skip int) []byte {
	b = append(b, "#EXTM3U\n"...)
	b = e.appendHeader(b)
	number := e.next - uint64(len(e.Segments)) //nolint:gosec // a length
	b = append(strconv.AppendUint(append(b, "#EXT-X-MEDIA-SEQUENCE:"...), number, 10), '\n')
	b = append(strconv.AppendUint(append(b, "#EXT-X-DISCONTINUITY-SEQUENCE:"...), e.Discontinuity, 10), '\n')
	var init *Init
	if skip > 0 {
		b = appendLine(b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=", int64(skip))
		init = e.Segments[skip-1].Init
	}
	behind := e.Span()
	for i, s := range e.Segments {
		behind -= s.Duration
		if i < skip {
			continue
		}
		b = e.appendBegin(b, s, init)
		init = s.Init
		if behind < partsFactor*e.Target {
			b = e.appendParts(b, s)
		}
		b = append(appendSeconds(append(b, "#EXTINF:"...), s.Duration), ",\n"...)
		b = append(e.appendSegmentName(b, s.Number), '\n')
	}
	if s := e.Open; s != nil {
		b = e.appendParts(e.appendBegin(b, s, init), s)
	}
	switch {
	case e.Ended:
		b = append(b, "#EXT-X-ENDLIST\n"...)
	case e.PartTarget > 0:
		number, part := e.hint()
		b = append(b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""...)
		b = append(e.appendPartName(b, number, part), "\"\n"...)
	}
	return b
}

// appendHeader writes what is the same in all of a stream's playlists.
func (e *Edition) appendHeader(b []byte) []byte {
	target := int64(e.Target / time.Second)
	if e.PartTarget == 0 {
		version := int64(versionPlain)
		if e.Format == FMP4 {
			version = versionInit
		}
		b = appendLine(b, "#EXT-X-VERSION:", version)
		b = appendLine(b, "#EXT-X-TARGETDURATION:", target)
		return append(b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"...)
	}
	b = appendLine(b, "#EXT-X-VERSION:", versionSkip)
	b = appendLine(b, "#EXT-X-TARGETDURATION:", target)
	b = append(b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK="...)
	b = append(appendSeconds(b, holdBack*e.PartTarget), ",CAN-SKIP-UNTIL="...)
	b = append(appendSeconds(b, skipFactor*e.Target), '\n')
	return append(appendSeconds(append(b, "#EXT-X-PART-INF:PART-TARGET="...), e.PartTarget), '\n')
}

// appendBegin writes what stands before a segment. init is the section that holds until there.
func (e *Edition) appendBegin(b []byte, s *Segment, init *Init) []byte {
	if s.Discontinuity {
		b = append(b, "#EXT-X-DISCONTINUITY\n"...)
	}
	if s.Init != nil && s.Init != init {
		b = append(e.appendInitName(append(b, "#EXT-X-MAP:URI=\""...), s.Init.Number), "\"\n"...)
	}
	return append(s.Start.AppendFormat(append(b, "#EXT-X-PROGRAM-DATE-TIME:"...), "2006-01-02T15:04:05.000Z07:00"), '\n')
}

func (e *Edition) appendParts(b []byte, s *Segment) []byte {
	if e.PartTarget == 0 {
		return b
	}
	for i, p := range s.Parts {
		b = append(appendSeconds(append(b, "#EXT-X-PART:DURATION="...), p.Duration), ",URI=\""...)
		b = append(e.appendPartName(b, s.Number, i), '"')
		if p.Independent {
			b = append(b, ",INDEPENDENT=YES"...)
		}
		b = append(b, '\n')
	}
	return b
}
