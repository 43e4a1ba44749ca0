package flv

import "github.com/vigil-media/vigil/internal/av"

// Numbers of the classic headers (FLV 10.1, E.4.2.1 and E.4.3.1; 12 to 15 and Opus as used in China).
const (
	formatMP3    = 2
	formatPCMA   = 7
	formatPCMU   = 8
	formatEx     = 9 // E-RTMP v2, "Enhanced Audio"
	formatAAC    = 10
	formatOpus   = 13
	formatMP3at8 = 14

	videoAVC  = 7
	videoHEVC = 12
	videoAV1  = 13
	videoVP8  = 14
	videoVP9  = 15
)

// wire is how a codec is named in tags.
type wire struct {
	id      byte   // in the classic header; 0: none
	four    uint32 // in the enhanced header, FourCC big-endian
	classic bool   // the classic header serves in both forms, as every player knows it
}

// wires is indexed by codec. A codec that FLV has no place for is zero.
//
//nolint:gochecknoglobals // a constant table
var wires = [...]wire{
	av.H264: {videoAVC, 'a'<<24 | 'v'<<16 | 'c'<<8 | '1', true},
	av.H265: {videoHEVC, 'h'<<24 | 'v'<<16 | 'c'<<8 | '1', false},
	av.AV1:  {videoAV1, 'a'<<24 | 'v'<<16 | '0'<<8 | '1', false},
	av.VP8:  {videoVP8, 'v'<<24 | 'p'<<16 | '0'<<8 | '8', false},
	av.VP9:  {videoVP9, 'v'<<24 | 'p'<<16 | '0'<<8 | '9', false},
	av.AAC:  {formatAAC, 'm'<<24 | 'p'<<16 | '4'<<8 | 'a', true},
	av.Opus: {formatOpus, 'O'<<24 | 'p'<<16 | 'u'<<8 | 's', false},
	av.MP3:  {formatMP3, '.'<<24 | 'm'<<16 | 'p'<<8 | '3', true},
	av.PCMA: {formatPCMA, 0, true},
	av.PCMU: {formatPCMU, 0, true},
	av.AC3:  {0, 'a'<<24 | 'c'<<16 | '-'<<8 | '3', false},
	av.FLAC: {0, 'f'<<24 | 'L'<<16 | 'a'<<8 | 'C', false},
}

// codecByFour returns the codec of kind k with a FourCC, or 0.
func codecByFour(k av.Kind, four uint32) av.Codec {
	for c, w := range wires {
		if w.four == four && four != 0 && av.Codec(c).Kind() == k {
			return av.Codec(c)
		}
	}
	return 0
}

// codecByID returns the codec of kind k with a number of the classic header, or 0.
func codecByID(k av.Kind, id byte) av.Codec {
	if k == av.Audio && id == formatMP3at8 {
		return av.MP3
	}
	for c, w := range wires {
		if w.id == id && id != 0 && av.Codec(c).Kind() == k {
			return av.Codec(c)
		}
	}
	return 0
}

// formatName names what codecByID does not know, for messages.
func formatName(k av.Kind, id byte) string {
	if k == av.Video {
		return [16]string{2: " (Sorenson H.263)", 3: " (Screen video)", 4: " (VP6)", 5: " (VP6 with alpha)"}[id&15]
	}
	return [16]string{
		0: " (linear PCM)", 1: " (ADPCM)", 3: " (linear PCM)", 4: " (Nellymoser)", 5: " (Nellymoser)",
		6: " (Nellymoser)", 11: " (Speex)",
	}[id&15]
}
