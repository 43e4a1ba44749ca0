package av

// Kind says what a track carries.
type Kind uint8

// The kinds of tracks.
const (
	Video Kind = iota + 1
	Audio
	Data
)

// String returns "video", "audio" or "data".
func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Data:
		return "data"
	default:
		return "unknown"
	}
}

// Codec names the coding of a track.
type Codec uint8

// The codecs that Vigil carries. It never transcodes: a codec that an output's format has no place for is absent there.
const (
	H264   Codec = iota + 1 // ITU-T H.264; units are NAL units without start codes
	H265                    // ITU-T H.265; units are NAL units without start codes
	AV1                     // AV1 bitstream 1.0; units are the OBUs of a temporal unit, with header, without size field
	VP8                     // RFC 6386
	VP9                     // VP9 bitstream 0.6
	MJPEG                   // one JPEG picture a unit
	AAC                     // ISO/IEC 14496-3, raw access units without ADTS
	Opus                    // RFC 6716, one packet a unit
	PCMA                    // ITU-T G.711 A-law
	PCMU                    // ITU-T G.711 mu-law
	G722                    // ITU-T G.722
	MP3                     // ISO/IEC 11172-3 layer III, one frame a unit
	AC3                     // ETSI TS 102 366, one sync frame a unit
	FLAC                    // RFC 9639, one frame a unit
	L16                     // RFC 3551 linear PCM, 16 bit, network byte order
	KLV                     // SMPTE 336M metadata
	Opaque                  // one RTP packet a unit, of a coding that only RTP can forward: a byte with its marker, 0 or 1, then its payload
	codecEnd
)

//nolint:gochecknoglobals // a constant table
var codecs = [codecEnd]struct {
	name string
	kind Kind
}{
	H264: {"H264", Video}, H265: {"H265", Video}, AV1: {"AV1", Video}, VP8: {"VP8", Video}, VP9: {"VP9", Video},
	MJPEG: {"MJPEG", Video},
	AAC:   {"AAC", Audio}, Opus: {"Opus", Audio}, PCMA: {"PCMA", Audio}, PCMU: {"PCMU", Audio}, G722: {"G722", Audio},
	MP3: {"MP3", Audio}, AC3: {"AC3", Audio}, FLAC: {"FLAC", Audio}, L16: {"L16", Audio},
	KLV: {"KLV", Data}, Opaque: {"Opaque", Data},
}

// Codecs lists every codec in the order of the constants.
func Codecs() []Codec {
	all := make([]Codec, 0, codecEnd-1)
	for c := H264; c < codecEnd; c++ {
		all = append(all, c)
	}
	return all
}

// String is the name that logs and the API use, such as "H264".
func (c Codec) String() string {
	if c == 0 || c >= codecEnd {
		return "unknown"
	}
	return codecs[c].name
}

// Kind says whether the codec carries video, audio or data. It is 0 for a value that is no codec.
func (c Codec) Kind() Kind {
	if c >= codecEnd {
		return 0
	}
	return codecs[c].kind
}
