package flv

import (
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// BodyMax is the length of the longest tag body: the length field has 24 bits (FLV 10.1, E.4.1).
const BodyMax = 1<<24 - 1

const (
	fileHeaderLen = 9
	tagHeaderLen  = 11
	prevSizeLen   = 4

	flagAudio  = 4
	flagVideo  = 1
	flagFilter = 0x20 // the tag is encrypted
)

// TagType says what a tag carries. The numbers are also RTMP's message types.
type TagType uint8

// The types of tags (FLV 10.1, E.4.1).
const (
	AudioTag  TagType = 8
	VideoTag  TagType = 9
	ScriptTag TagType = 18
)

// String returns "audio", "video", "script" or the number.
func (t TagType) String() string {
	switch t {
	case AudioTag:
		return "audio"
	case VideoTag:
		return "video"
	case ScriptTag:
		return "script"
	default:
		return fmt.Sprintf("type %d", uint8(t))
	}
}

// TypeFor returns the type of the tags that carry tracks of kind k.
func TypeFor(k av.Kind) TagType {
	switch k {
	case av.Video:
		return VideoTag
	case av.Audio:
		return AudioTag
	case av.Data:
	}
	return ScriptTag
}

// Tag is one FLV tag without its frame.
type Tag struct {
	Type TagType
	Time uint32 // milliseconds; wraps
	Body []byte
	Held int // bytes of memory that Body keeps alive, where it is a part of something larger; 0: its capacity
}

// AppendFileHeader appends the header of an FLV file and the size of the tag before the first, which is 0
// (FLV 10.1, E.2 and E.3).
func AppendFileHeader(dst []byte, hasVideo, hasAudio bool) []byte {
	var flags byte
	if hasVideo {
		flags |= flagVideo
	}
	if hasAudio {
		flags |= flagAudio
	}
	return append(dst, 'F', 'L', 'V', 1, flags, 0, 0, 0, fileHeaderLen, 0, 0, 0, 0)
}

// AppendTag appends a tag and its size (FLV 10.1, E.3 and E.4.1). A body that is longer than [BodyMax] cannot be
// written: then AppendTag appends nothing.
func AppendTag(dst []byte, typ TagType, ms uint32, body []byte) []byte {
	n := len(body)
	if n > BodyMax {
		return dst
	}
	dst = append(dst,
		byte(typ), byte(n>>16), byte(n>>8), byte(n),
		byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24),
		0, 0, 0)
	dst = append(dst, body...)
	n += tagHeaderLen
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
