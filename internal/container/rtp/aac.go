package rtp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	aacUnitMax  = 64 << 10 // bytes: 13 bits of size say 8191, and nothing says that there are not more
	aacUnitsMax = 256      // access units in a packet
	aacWhole    = 1000     // bytes: a smaller unit without marker is one of a sender that sets none, not a fragment
)

// aacAssembler makes units of AAC packets (RFC 3640). It is not gortsplib's: that one refuses fragments whose header tells the
// size of the whole unit, as 3.2.1.1 has it, and packets of senders that set no marker.
type aacAssembler struct {
	r     *Receiver
	sizes auSizes
	frame time.Duration // of a unit

	buf   []byte // fragments of a unit
	want  int    // its size; 0: it ends with the marker
	ticks int64
	adts  bool // units come with ADTS headers
	known bool // adts is known
}

func newAACAssembler(r *Receiver) *aacAssembler {
	return &aacAssembler{r: r, sizes: r.format.au, frame: aacFrame(r.format.config)}
}

// aacFrame is how long an access unit lasts (ISO/IEC 14496-3, 4.5.2.1.1).
func aacFrame(config []byte) time.Duration {
	var c mpeg4audio.AudioSpecificConfig
	if c.Unmarshal(config) != nil || c.SampleRate <= 0 {
		return 0
	}
	samples := int64(mpeg4audio.SamplesPerAccessUnit)
	if c.FrameLengthFlag {
		samples = 960
	}
	return av.Duration(samples, int64(c.SampleRate))
}

func (a *aacAssembler) drop() { a.buf, a.want = a.buf[:0], 0 }

func (a *aacAssembler) packet(p *packet) error {
	if p.lost {
		a.drop()
	}
	sizes, data, err := a.headers(p.payload)
	if err != nil {
		return err
	}
	if len(a.buf) > 0 && p.ticks != a.ticks { // it had no marker, and did not need one
		if err := a.flush(); err != nil {
			return err
		}
	}
	if len(sizes) == 1 && (len(a.buf) > 0 || sizes[0] > len(data) || !p.marker && len(data) >= aacWhole) {
		return a.fragment(p, sizes[0], data)
	}
	var after time.Duration
	for _, size := range sizes {
		if size > len(data) {
			return fmt.Errorf("access unit of %d bytes in %d: %w", size, len(data), errShort)
		}
		if err := a.emit(append(make([]byte, 0, size), data[:size]...), p.ticks, after); err != nil {
			return err
		}
		data = data[size:]
		after += a.frame
	}
	return nil
}

// headers reads the AU headers (RFC 3640, 3.2.1) and returns the sizes of the units and what is behind the headers.
func (a *aacAssembler) headers(b []byte) (sizes []int, data []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errShort
	}
	length := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	end := (length + 7) / 8
	if length == 0 || end > len(b) {
		return nil, nil, fmt.Errorf("AU headers of %d bits in %d bytes: %w", length, len(b), errShort)
	}
	headers := b[:end]
	for pos := 0; length-pos >= a.sizes.size; {
		size, err := bits.ReadBits(headers, &pos, a.sizes.size)
		if err != nil {
			return nil, nil, err
		}
		index := a.sizes.delta
		if len(sizes) == 0 {
			index = a.sizes.index
		}
		if index > 0 {
			n, err := bits.ReadBits(headers, &pos, index)
			if err != nil {
				return nil, nil, err
			}
			if n != 0 && len(sizes) > 0 { // the first index is 0 too, but nothing depends on it
				return nil, nil, errors.New("interleaved access units")
			}
		}
		if size == 0 || size > aacUnitMax {
			return nil, nil, fmt.Errorf("access unit of %d bytes", size)
		}
		if sizes = append(sizes, int(size)); len(sizes) > aacUnitsMax { //nolint:gosec // bounded
			return nil, nil, errTooMany
		}
	}
	if len(sizes) == 0 {
		return nil, nil, fmt.Errorf("AU headers of %d bits", length)
	}
	return sizes, b[end:], nil
}

// fragment adds a part of a unit. The size is that of the whole unit (RFC 3640, 3.2.3.1), or of the part, as some have it.
func (a *aacAssembler) fragment(p *packet, size int, data []byte) error {
	if len(a.buf) == 0 {
		a.ticks = p.ticks
		if a.want = 0; size > len(data) {
			a.want = size
		}
	}
	if a.want == 0 && size < len(data) {
		data = data[:size]
	}
	if len(a.buf)+len(data) > aacUnitMax {
		return errTooLarge
	}
	a.buf = append(a.buf, data...)
	if a.want > 0 && len(a.buf) >= a.want || a.want == 0 && p.marker {
		return a.flush()
	}
	if p.marker {
		return fmt.Errorf("access unit of %d bytes ends after %d: %w", a.want, len(a.buf), errShort)
	}
	return nil
}

// flush emits the unit that was made of fragments.
func (a *aacAssembler) flush() error {
	b := a.buf
	whole := len(b) == a.want || a.want == 0
	a.drop()
	if !whole {
		a.r.broken()
		return nil
	}
	return a.emit(append(make([]byte, 0, len(b)), b...), a.ticks, 0)
}

// emit emits a unit. Some cameras leave the ADTS header on (ISO/IEC 14496-3, 1.A.2.2).
func (a *aacAssembler) emit(b []byte, ticks int64, after time.Duration) error {
	if !a.known || a.adts {
		var packets mpeg4audio.ADTSPackets
		is := len(b) > 7 && b[0] == 0xff && b[1]&0xf6 == 0xf0 && packets.Unmarshal(b) == nil && len(packets) == 1
		if a.known = true; is {
			a.adts, b = true, packets[0].AU
		}
	}
	return a.r.single(b, ticks, after, true)
}
