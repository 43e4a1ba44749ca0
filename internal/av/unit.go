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
}

// Size is the number of payload bytes.
func (u *AccessUnit) Size() int {
	n := 0
	for _, b := range u.Data {
		n += len(b)
	}
	return n
}
