package flv

import (
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// partsMax is how many tracks one multitrack message may carry.
const partsMax = av.MaxTracks

// Frame types of video (FLV 10.1, E.4.3.1).
const (
	frameKey       = 1
	frameInter     = 2
	frameGenerated = 4
	frameCommand   = 5

	flagEx = 0x80 // E-RTMP v1: the frame type has 3 bits, the low half is a packet type
)

// Packet types of the AVC layout (FLV 10.1, E.4.3.1) and of AAC (E.4.2.1), which are the same.
const (
	packetConfig = 0
	packetFrame  = 1
	packetEnd    = 2
)

// Packet types of the enhanced headers (E-RTMP v2, "Enhanced Audio" and "Enhanced Video"). The first three are those
// of the classic layout; 4 to 6 differ between audio and video.
const (
	exFramesX         = 3 // video: coded frames without composition time
	exVideoMetadata   = 4
	exAudioChannels   = 4
	exTSConfig        = 5
	exAudioMultitrack = 5
	exVideoMultitrack = 6
	exModEx           = 7

	modExNanos = 0 // ModEx type TimestampOffsetNano

	oneTrack        = 0
	manyTracks      = 1
	manyTracksMixed = 2 // each with its own codec
)

// op says what a packet wants.
type op uint8

const (
	opFrame op = iota + 1
	opConfig
	opTSConfig
	opNothing // end of sequence, metadata, channel map: understood, without consequence
)

// packet is a tag, or a track's part of a multitrack tag, after its header has been read.
type packet struct {
	codec    av.Codec
	number   uint8 // of the track among those of its kind
	op       op
	key      bool
	channels int    // audio: as the classic header says; 0 when there is none
	cts      int32  // video: milliseconds
	nanos    uint32 // to be added to the tag's time
	body     []byte
}

// video reads the header of a video tag.
func (d *Demuxer) video(c *cursor) {
	head := byte(c.uint(1))
	frame := head >> 4
	p := packet{}
	if head&flagEx != 0 {
		frame &= 7
		p.key = frame == frameKey || frame == frameGenerated
		d.enhanced(c, av.Video, p, head&15, frame == frameCommand)
		return
	}
	if frame == frameCommand {
		return
	}
	p.key = frame == frameKey || frame == frameGenerated
	if p.codec = codecByID(av.Video, head&15); p.codec == 0 {
		d.unsupported(c.at, "video codec %d%s", head&15, formatName(av.Video, head&15))
		return
	}
	typ := byte(c.uint(1))
	if typ == packetEnd {
		return // some encoders leave the composition time out here
	}
	p.cts = c.int24()
	d.classic(c, p, typ)
}

// audio reads the header of an audio tag.
func (d *Demuxer) audio(c *cursor) {
	head := byte(c.uint(1))
	if head>>4 == formatEx {
		d.enhanced(c, av.Audio, packet{}, head&15, false)
		return
	}
	p := packet{channels: 1 + int(head&1)}
	if p.codec = codecByID(av.Audio, head>>4); p.codec == 0 {
		d.unsupported(c.at, "audio format %d%s", head>>4, formatName(av.Audio, head>>4))
		return
	}
	typ := byte(packetFrame)
	if p.codec == av.AAC {
		typ = byte(c.uint(1))
	}
	d.classic(c, p, typ)
}

// classic hands on a packet with a classic header.
func (d *Demuxer) classic(c *cursor, p packet, typ byte) {
	switch typ {
	case packetConfig:
		p.op = opConfig
	case packetFrame:
		p.op = opFrame
	case packetEnd:
		p.op = opNothing
	default:
		d.unsupported(c.at, "%v packet type %d", p.codec, typ)
		return
	}
	d.hand(c, p)
}

// enhanced reads an enhanced header (E-RTMP v2, ExAudioTagHeader and ExVideoTagHeader) from behind its first byte.
func (d *Demuxer) enhanced(c *cursor, k av.Kind, p packet, typ byte, command bool) {
	for typ == exModEx {
		typ = modEx(c, &p)
	}
	if command && typ != exVideoMetadata {
		return
	}
	multitrack := byte(exVideoMultitrack)
	if k == av.Audio {
		multitrack = exAudioMultitrack
	}
	if typ != multitrack {
		d.part(c, k, p, typ, c.uint(4))
		return
	}
	form := byte(c.uint(1))
	typ = form & 15
	form >>= 4
	if form > manyTracksMixed || typ == multitrack {
		d.unsupported(c.at, "multitrack type %d of packet type %d", form, typ)
		return
	}
	d.multitrack(c, k, p, form, typ)
}

// modEx reads one modifier and returns the packet type that follows it, which is not ModEx where the bytes end. Of the
// modifiers only the nanoseconds are known.
func modEx(c *cursor, p *packet) byte {
	n := int(c.uint(1)) + 1
	if n == 256 {
		n = int(c.uint(2)) + 1
	}
	data := c.take(n)
	next := byte(c.uint(1))
	if next>>4 == modExNanos && len(data) >= 3 {
		p.nanos = uint32(data[0])<<16 | uint32(data[1])<<8 | uint32(data[2])
	}
	return next & 15
}

// multitrack takes a multitrack message apart. What is wrong with one track does not keep the others from arriving, as
// long as the lengths hold.
func (d *Demuxer) multitrack(c *cursor, k av.Kind, p packet, form, typ byte) {
	var four uint32
	if form != manyTracksMixed {
		four = c.uint(4)
	}
	for parts := 0; parts == 0 || c.at < len(c.b); parts++ {
		if parts == partsMax {
			d.unsupported(c.at, "multitrack message of more than %d tracks", partsMax)
			return
		}
		if form == manyTracksMixed {
			four = c.uint(4)
		}
		p.number = uint8(c.uint(1))
		size := len(c.b) - c.at
		if form != oneTrack {
			size = int(c.uint(3))
		}
		start := c.at
		body := c.take(size)
		if c.short {
			d.fail(c.at, fmt.Errorf("multitrack: %w", errShort))
			return
		}
		d.part(&cursor{b: c.b[:start+len(body)], at: start}, k, p, typ, four)
	}
}

// part hands on what an enhanced header says of one track.
func (d *Demuxer) part(c *cursor, k av.Kind, p packet, typ byte, four uint32) {
	if c.short {
		d.fail(c.at, errShort)
		return
	}
	p.op = exOp(k, typ)
	if p.op == 0 {
		d.unsupported(c.at, "%v packet type %d", k, typ)
		return
	}
	if p.codec = codecByFour(k, four); p.codec == 0 {
		d.unsupported(c.at, "%v codec %q", k, []byte{byte(four >> 24), byte(four >> 16), byte(four >> 8), byte(four)})
		return
	}
	if typ == packetFrame && (p.codec == av.H264 || p.codec == av.H265) {
		p.cts = c.int24()
	}
	d.hand(c, p)
}

// exOp translates a packet type of an enhanced header. 0: unknown.
func exOp(k av.Kind, typ byte) op {
	switch {
	case typ == packetConfig:
		return opConfig
	case typ == packetFrame, k == av.Video && typ == exFramesX:
		return opFrame
	case typ == packetEnd, k == av.Video && typ == exVideoMetadata, k == av.Audio && typ == exAudioChannels:
		return opNothing
	case k == av.Video && typ == exTSConfig:
		return opTSConfig
	default:
		return 0
	}
}

// hand passes a packet on to its track.
func (d *Demuxer) hand(c *cursor, p packet) {
	if c.short {
		d.fail(c.at, errShort)
		return
	}
	p.body = c.rest()
	if err := d.packet(p); err != nil {
		d.fail(c.at, err)
	}
}
