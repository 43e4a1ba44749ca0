package flv

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Parameter sets and frame beginnings that FFmpeg 5.1 made with libx264, libx265, libaom, libvpx, libmp3lame and its
// own encoders of: testsrc 64x48 (AV1: 128x96) at 25 fps; sine at 48 kHz stereo (MP3: 44.1 kHz mono).
const (
	hexSPS     = "6764000aacb208f60220000003002000000641e244c9"                           // High, 4:2:0
	hexPPS     = "68ebc3cb22c0"                                                           //
	hexSPSBase = "6742c00ad9047b011000000300100000030320f1226480"                         // Baseline
	hexSPS444  = "67f4000a9196411ec044000003000400000300c83c489920"                       // High 4:4:4 Predictive
	hexVPS     = "40010c01ffff01600000030090000003000003001e959809"                       // Main
	hexSPS265  = "42010101600000030090000003000003001ea02083165959ae4caf01680800000300" + // Main
		"0800000300c840"
	hexPPS265   = "4401c173d089"
	hexSPS26510 = "42010102200000030090000003000003001ea020831365959ae4caf016808000000300" + // Main 10
		"8000000c84"
	hexAV1  = "080000000337fbe6d7c802"                 // sequence header OBU, without size field
	hexVP8  = "501a009d012a400030000047"               // beginning of a key frame
	hexVP9  = "824983420003f002f606"                   // beginning of a key frame
	hexASC  = "121056e500"                             // AAC-LC 44.1 kHz stereo
	hexOpus = "4f707573486561640102380180bb0000000000" // ID header
	hexFLAC = "120012000000780005110bb802f0000012c0ba43705036a3bb057849a9f54f6928a3"
	hexMP3  = "fffb50c40000"             // 44.1 kHz mono
	hexAC3  = "0b77fe95144043e106f46370" // 48 kHz stereo
)

// unhex reads hexadecimal digits; blanks and whatever follows a # in a line are for the reader.
func unhex(s string) []byte {
	var clean strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		clean.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(clean.String())
	if err != nil {
		panic(err)
	}
	return b
}

func must(t *av.Track, err error) *av.Track {
	if err != nil {
		panic(err)
	}
	return t
}

// trackOf returns a track of a codec as a publisher of the samples would have it.
func trackOf(c av.Codec) *av.Track {
	id := 1
	if c.Kind() == av.Audio {
		id = 2
	}
	one := func(s string) [][]byte { return [][]byte{unhex(s)} }
	switch c { //nolint:exhaustive // FLV has no place for the others
	case av.H264:
		return must(av.NewH264(id, one(hexSPS), one(hexPPS)))
	case av.H265:
		return must(av.NewH265(id, one(hexVPS), one(hexSPS265), one(hexPPS265)))
	case av.AV1:
		return must(av.NewAV1(id, unhex(hexAV1)))
	case av.VP8:
		return must(av.NewVP8(id, unhex(hexVP8)))
	case av.VP9:
		return must(av.NewVP9(id, unhex(hexVP9)))
	case av.AAC:
		return must(av.NewAAC(id, unhex(hexASC)))
	case av.Opus:
		return must(av.NewOpusChannels(id, 2))
	case av.FLAC:
		return must(av.NewFLAC(id, unhex(hexFLAC)))
	case av.MP3:
		return must(av.NewMP3(id, unhex(hexMP3)))
	case av.AC3:
		return must(av.NewAC3(id, unhex(hexAC3)))
	case av.PCMA, av.PCMU:
		return must(av.NewG711(id, c, 8000, 1))
	default:
		return nil
	}
}

// payloadOf returns the elements of a unit of a codec, key or not.
func payloadOf(c av.Codec, key bool) [][]byte {
	switch c { //nolint:exhaustive // the others have no such distinction
	case av.H264:
		if key {
			return [][]byte{unhex("06 05 01 80"), unhex("65 88 84"), unhex("65 01")}
		}
		return [][]byte{unhex("41 9a 24")}
	case av.H265:
		if key {
			return [][]byte{unhex("4e01 05"), unhex("2801 af1d")}
		}
		return [][]byte{unhex("0201 d0")}
	case av.AV1:
		if key {
			return [][]byte{unhex(hexAV1), unhex("30 1400")}
		}
		return [][]byte{unhex("34 20 3fff")} // with extension header
	case av.VP8:
		if key {
			return [][]byte{unhex(hexVP8)}
		}
		return [][]byte{unhex("b101 0042")}
	case av.VP9:
		if key {
			return [][]byte{unhex(hexVP9)}
		}
		return [][]byte{unhex("8601 0042")}
	case av.MP3:
		return [][]byte{unhex(hexMP3)}
	case av.AC3:
		return [][]byte{unhex(hexAC3)}
	default:
		return [][]byte{unhex("fc 01 02 03")}
	}
}

// want is what a tag should give.
type want struct {
	id       int
	dts, pts time.Duration
	key      bool
	data     []string
}

func (w want) check(t *testing.T, u *av.AccessUnit) {
	t.Helper()
	var data []string
	for _, b := range u.Data {
		data = append(data, hex.EncodeToString(b))
	}
	if got := (want{u.Track.ID, u.DTS, u.PTS, u.Key, data}); !reflect.DeepEqual(got, w) {
		t.Errorf("unit\n got %+v\nwant %+v", got, w)
	}
}

// feed demuxes a tag whose body is given in hexadecimal.
func feed(d *Demuxer, typ TagType, ms uint32, body string) ([]*av.AccessUnit, error) {
	return d.Demux(Tag{Type: typ, Time: ms, Body: unhex(body)})
}

// set feeds tags that must be read without an error and give no unit.
func set(t *testing.T, d *Demuxer, typ TagType, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		if units, err := feed(d, typ, 0, b); err != nil || len(units) != 0 {
			t.Fatalf("%s: %d units, error %v", b, len(units), err)
		}
	}
}

// cause says in a word what kind of error err is.
func cause(err error) string {
	var unsupported *UnsupportedError
	var tag *TagError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &tag):
		return "not a TagError"
	case errors.Is(err, ErrNoConfig):
		return "no config"
	case errors.As(err, &unsupported):
		return "unsupported: " + unsupported.What
	default:
		return "malformed"
	}
}
