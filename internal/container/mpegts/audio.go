package mpegts

import (
	"encoding/binary"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"github.com/vigil-media/vigil/internal/av"
)

// frame is what the header of an audio frame says.
type frame struct {
	head, size    int // bytes: of what a unit does not have, and of all
	samples, rate int
	look          uint32 // what tells the tracks of two frames apart
}

const frameHead = 7 // bytes that are enough to know a frame

// frames emits the frames of AAC, MP3 or AC-3 that end in a PES packet. The time stamp is that of the first that begins in it (2.4.3.7).
func (d *Demuxer) frames(e *elementary, payload []byte, t stamps) error {
	before := len(e.rest)
	e.rest = append(e.rest, payload...)
	b, at, bad := e.rest, 0, error(nil)
	stamp := func() {
		if t.ok && at >= before {
			e.next, e.timed, t.ok = mediaTime(t.pts), true, false
		}
	}
	for len(b)-at >= frameHead {
		f, err := readFrame(e.codec, b[at:])
		end := at + f.size
		if err == nil && end+1 < len(b) && !syncs16(e.codec, b[end:]) {
			err = errFrame // it was none, or what follows is none
		}
		if err != nil {
			if bad == nil {
				bad = err
			}
			at++
			at += sync16(e.codec, b[at:])
			continue
		}
		stamp()
		if end > len(b) {
			break
		}
		if err := d.frame(e, f, b[at:end]); err != nil {
			if _, ok := err.(*emitError); ok { //nolint:errorlint // it is never wrapped
				return err
			}
			bad = err
		}
		at = end
	}
	stamp()
	e.rest = append(e.rest[:0], b[at:]...)
	if cap(e.rest) > scratchMax {
		e.rest = append([]byte(nil), e.rest...)
	}
	if bad != nil {
		d.fail(bad)
	}
	return nil
}

// frame emits one.
func (d *Demuxer) frame(e *elementary, f frame, b []byte) error {
	at := e.next
	e.next += av.Duration(int64(f.samples), int64(f.rate))
	if e.track == nil || f.look != e.look {
		if err := e.adopt(newTrack(e, b)); err != nil {
			return err
		}
		e.look = f.look
	}
	if !e.timed {
		return errNoTime
	}
	return d.single(e, b[f.head:], at)
}

// newTrack makes the track of a frame.
func newTrack(e *elementary, b []byte) (*av.Track, error) {
	switch e.codec { //nolint:exhaustive // the others have no frames
	case av.AAC: // AudioSpecificConfig: object type, rate, channels (ISO/IEC 14496-3, 1.6.2.1)
		object, rate, channels := b[2]>>6+1, b[2]>>2&15, b[2]&1<<2|b[3]>>6
		return av.NewAAC(e.id, []byte{object<<3 | rate>>1, rate<<7 | channels<<3})
	case av.MP3:
		return av.NewMP3(e.id, b)
	default:
		return av.NewAC3(e.id, b)
	}
}

// readFrame reads the header at the front of b, which has frameHead bytes.
func readFrame(c av.Codec, b []byte) (f frame, err error) {
	if !syncs16(c, b) {
		return f, errFrame
	}
	switch c { //nolint:exhaustive // the others have no frames
	case av.AAC:
		return readADTS(b)
	case av.MP3:
		return readMP3(b)
	default:
		var s ac3.SyncInfo
		if s.Unmarshal(b) != nil || b[5]>>3 > 10 { // the greatest bsid of AC-3 (ETSI TS 102 366, 4.4.2.1)
			return f, errFrame
		}
		look := uint32(b[4]&0xc0)<<16 | uint32(b[5])<<8 | uint32(b[6])
		return frame{size: s.FrameSize(), samples: 1536, rate: s.SampleRate(), look: look}, nil
	}
}

// syncs16 says whether b, of two bytes at least, begins like a frame.
func syncs16(c av.Codec, b []byte) bool {
	v := binary.BigEndian.Uint16(b)
	switch c { //nolint:exhaustive // the others have no frames
	case av.AAC: // layer is 0
		return v&0xfff6 == 0xfff0
	case av.MP3: // layer is not 0
		return v&0xffe0 == 0xffe0 && v&6 != 0
	default:
		return v == 0x0b77
	}
}

// sync16 is how many bytes are before what may be a frame.
func sync16(c av.Codec, b []byte) int {
	for i := range max(len(b)-1, 0) {
		if syncs16(c, b[i:]) {
			return i
		}
	}
	return max(len(b)-1, 0)
}

// readADTS reads an ADTS header (ISO/IEC 14496-3, 1.A.2.2).
func readADTS(b []byte) (f frame, err error) {
	const noCRC, blocks = 1, 3
	f.head = adtsHead
	if b[1]&noCRC == 0 {
		f.head += 2
	}
	f.size = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	rate := int(b[2] >> 2 & 15)
	if f.size <= f.head || rate >= len(adtsRates) {
		return f, errFrame
	}
	if b[6]&blocks != 0 {
		return f, errBlocks
	}
	f.samples, f.rate = 1024, adtsRates[rate]
	f.look = uint32(b[2]&0xfd)<<8 | uint32(b[2]&1)<<8 | uint32(b[3]&0xc0)
	return f, nil
}

// mp3Rates are the bit rates of MPEG audio in kbit/s (ISO/IEC 11172-3, 2.4.2.3; 13818-3, 2.4.2.3): MPEG-1 layer III and II, MPEG-2 both.
//
//nolint:gochecknoglobals // a constant table
var mp3Rates = [3][15]int{
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

// readMP3 reads the header of a frame of layer II or III.
func readMP3(b []byte) (f frame, err error) {
	const layerIII, layerII, mpeg1, mpeg2, mono = 1, 2, 3, 2, 3
	version, layer, bits, rate := b[1]>>3&3, b[1]>>1&3, b[2]>>4, b[2]>>2&3
	if version == 1 || layer != layerIII && layer != layerII || bits == 0 || bits == 15 || rate == 3 {
		return f, errFrame
	}
	f.rate, f.samples = [...]int{44_100, 48_000, 32_000}[rate], 1152
	table := 2
	switch version {
	case mpeg1:
		table = int(layer - layerIII)
	case mpeg2:
		f.rate /= 2
	default: // 2.5
		f.rate /= 4
	}
	if version != mpeg1 && layer == layerIII {
		f.samples = 576
	}
	f.size = f.samples/8*mp3Rates[table][bits]*1000/f.rate + int(b[2]>>1&1)
	f.look = uint32(b[1]&0xfe)<<8 | uint32(b[2]&0x0c)
	if b[3]>>6 == mono {
		f.look |= 1
	}
	return f, nil
}

// opus emits the packets of a PES packet, each behind a control header.
func (d *Demuxer) opus(e *elementary, b []byte, t stamps) error {
	if e.track == nil {
		if err := e.adopt(newOpus(e.id, e.detail)); err != nil {
			return err
		}
	}
	if t.ok {
		e.next, e.timed = mediaTime(t.pts), true
	}
	for len(b) > 0 {
		body, rest, err := readOpus(b)
		if err != nil {
			return err
		}
		if !e.timed {
			return errNoTime
		}
		if len(body) > 0 {
			if err := d.single(e, body, e.next); err != nil {
				return err
			}
		}
		e.next += time.Duration(opus.PacketDuration2(body)) * time.Second / 48_000
		b = rest
	}
	return nil
}

// readOpus reads a control header and what is behind it.
func readOpus(b []byte) (body, rest []byte, err error) {
	const trimStart, trimEnd, extension = 0x10, 0x08, 0x04
	if len(b) < 3 || binary.BigEndian.Uint16(b)&0xffe0 != opusMark {
		return nil, nil, errFrame
	}
	flags := b[1]
	b = b[2:]
	size := 0
	for {
		if len(b) == 0 {
			return nil, nil, errShort
		}
		v := b[0]
		b = b[1:]
		if size += int(v); v != 0xff {
			break
		}
	}
	skip := 0
	for _, flag := range []byte{trimStart, trimEnd} {
		if flags&flag != 0 {
			skip += 2
		}
	}
	if flags&extension != 0 {
		if len(b) <= skip {
			return nil, nil, errShort
		}
		skip += 1 + int(b[skip])
	}
	if len(b) < skip+size {
		return nil, nil, errShort
	}
	return b[skip : skip+size], b[skip+size:], nil
}
