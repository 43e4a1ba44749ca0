package flv

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Packer makes tags of units and puts each into the frame that Pack gives it: an FLV tag's for HTTP, a message's for RTMP.
// It picks the first video and the first audio track that the form carries. Config may be called from any goroutine;
// Unit keeps state and belongs to one.
type Packer struct {
	Form Form
	Pack func(dst []byte, typ TagType, ms uint32, body []byte) []byte

	body []byte // scratch
}

// Config appends the sequence headers of the tracks that are not in prev, with the time at, and for a newcomer, who has had
// none, onMetaData before them. Metadata in mid-stream say nothing that the headers do not, and players complain of them.
// Their time is 0: FFmpeg takes metadata with another time for a track of text.
func (p *Packer) Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte {
	ms := Milliseconds(at)
	video, audio := p.Form.Select(tracks)
	var body []byte
	if len(prev) == 0 {
		body = p.Form.AppendMetadata(nil, video, audio)
		dst = p.Pack(dst, ScriptTag, 0, body)
	}
	for _, t := range []*av.Track{video, audio} {
		if t == nil || slices.Contains(prev, t) {
			continue
		}
		if body = p.Form.AppendConfig(body[:0], t); len(body) > 0 {
			dst = p.Pack(dst, TypeFor(t.Kind()), ms, body)
		}
	}
	return dst
}

// Unit appends a unit, if its track is one of those picked from tracks.
func (p *Packer) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	if video, audio := p.Form.Select(tracks); u.Track != video && u.Track != audio {
		return dst
	}
	p.body = p.Form.AppendUnit(p.body[:0], u)
	if len(p.body) == 0 {
		return dst
	}
	return p.Pack(dst, TypeFor(u.Track.Kind()), Milliseconds(u.DTS), p.body)
}
