package av

import "time"

// AccessUnit is one decodable unit of one track: what "frame", "packet" or "sample" is elsewhere. It is immutable once
// it has been written to a stream.
type AccessUnit struct {
	Track *Track        // never nil
	DTS   time.Duration // decoding time on the stream's clock
	PTS   time.Duration // presentation time; at or after DTS
	Key   bool          // decoding may begin here; always true for audio and data
	Data  [][]byte      // H264, H265: NAL units; AV1: OBUs; every other codec: one element
	Held  int           // bytes of memory that the unit keeps alive, such as the message that Data lies in; 0: as Size
}

// Cost is the memory that the unit is charged for, in bytes.
func (u *AccessUnit) Cost() int { return max(u.Held, u.Size()) }

// Size is the number of payload bytes.
func (u *AccessUnit) Size() int {
	n := 0
	for _, b := range u.Data {
		n += len(b)
	}
	return n
}

// NewUnit returns a unit with room for n elements. A short list is allocated together with the unit.
func NewUnit(n int) *AccessUnit {
	switch {
	case n == 1:
		m := new(struct {
			unit AccessUnit
			data [1][]byte
		})
		m.unit.Data = m.data[:0]
		return &m.unit
	case n <= 4:
		m := new(struct {
			unit AccessUnit
			data [4][]byte
		})
		m.unit.Data = m.data[:0]
		return &m.unit
	default:
		return &AccessUnit{Data: make([][]byte, 0, n)}
	}
}
