package e2e

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"github.com/vigil-media/vigil/internal/av"
)

// These read what ffmpeg's simplest muxers write, as far as ffmpeg writes it, and make units of it. They are not meant for
// anything else.

// frameTime is the distance of the pictures of all clips.
const frameTime = 40 * time.Millisecond

// elementary makes a clip and returns its bytes.
func elementary(t testing.TB, c clip) []byte {
	t.Helper()
	b, err := os.ReadFile(c.make(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unit makes a unit of one track.
func unit(track *av.Track, dts time.Duration, key bool, data ...[]byte) *av.AccessUnit {
	dts = dts.Round(time.Millisecond)
	return &av.AccessUnit{Track: track, DTS: dts, PTS: dts, Key: key, Data: data}
}

// readHEVC reads Annex B of an encoder that writes access unit delimiters and no B-frames.
func readHEVC(t testing.TB, b []byte) []*av.AccessUnit {
	t.Helper()
	const vps, sps, pps, aud = 32, 33, 34, 35
	var nals h264.AnnexB // the byte stream is H.264's
	var sets [3][][]byte
	var units []*av.AccessUnit
	var track *av.Track
	for _, au := range splitAUs(b, func(nal []byte) bool { return nal[0]>>1&63 == aud }) {
		nals = nil
		key := false
		for _, n := range au {
			switch typ := n[0] >> 1 & 63; {
			case typ == aud:
			case typ >= vps && typ <= pps:
				sets[typ-vps] = [][]byte{n}
			default:
				key = key || typ >= 16 && typ <= 21
				nals = append(nals, n)
			}
		}
		if track == nil {
			var err error
			if track, err = av.NewH265(1, sets[0], sets[1], sets[2]); err != nil {
				t.Fatal(err)
			}
		}
		units = append(units, unit(track, time.Duration(len(units))*frameTime, key, nals...))
	}
	return units
}

// splitAUs splits Annex B into access units, each of which begins with a delimiter.
func splitAUs(b []byte, delimiter func([]byte) bool) [][][]byte {
	var aus [][][]byte
	for part := range bytes.SplitSeq(b, []byte{0, 0, 1}) {
		nal := bytes.TrimRight(part, "\x00")
		if len(nal) == 0 {
			continue
		}
		if delimiter(nal) {
			aus = append(aus, nil)
		}
		aus[len(aus)-1] = append(aus[len(aus)-1], nal)
	}
	return aus
}

// readIVF reads the frames of an IVF file.
func readIVF(b []byte) [][]byte {
	var frames [][]byte
	for b = b[32:]; len(b) > 12; {
		n := binary.LittleEndian.Uint32(b)
		frames = append(frames, b[12:12+n])
		b = b[12+n:]
	}
	return frames
}

// readVP reads VP8 or VP9.
func readVP(t testing.TB, b []byte, newTrack func(int, []byte) (*av.Track, error), isKey func([]byte) bool) []*av.AccessUnit {
	t.Helper()
	var units []*av.AccessUnit
	var track *av.Track
	for i, f := range readIVF(b) {
		if track == nil {
			var err error
			if track, err = newTrack(1, f); err != nil {
				t.Fatal(err)
			}
		}
		units = append(units, unit(track, time.Duration(i)*frameTime, isKey(f), f))
	}
	return units
}

func readVP8(t testing.TB, b []byte) []*av.AccessUnit {
	t.Helper()
	return readVP(t, b, av.NewVP8, func(f []byte) bool { return f[0]&1 == 0 })
}

func readVP9(t testing.TB, b []byte) []*av.AccessUnit {
	t.Helper()
	return readVP(t, b, av.NewVP9, func(f []byte) bool { return f[0]&4 == 0 })
}

// readAV1 reads AV1 from IVF. OBUs lose their size fields, temporal delimiters go.
func readAV1(t testing.TB, b []byte) []*av.AccessUnit {
	t.Helper()
	const sequence, delimiter = 1, 2
	var units []*av.AccessUnit
	var track *av.Track
	for i, f := range readIVF(b) {
		var obus [][]byte
		key := false
		for len(f) > 0 {
			head, n, at := f[0], 0, 1
			for shift := 0; ; shift += 7 {
				n |= int(f[at]&0x7f) << shift
				at++
				if f[at-1]&0x80 == 0 {
					break
				}
			}
			obu := append([]byte{head &^ 2}, f[at:at+n]...)
			switch head >> 3 & 15 {
			case delimiter:
			case sequence:
				key = true
				if track == nil {
					var err error
					if track, err = av.NewAV1(1, obu); err != nil {
						t.Fatal(err)
					}
				}
				fallthrough
			default:
				obus = append(obus, obu)
			}
			f = f[at+n:]
		}
		units = append(units, unit(track, time.Duration(i)*frameTime, key, obus...))
	}
	return units
}

// readOpus reads Opus packets of 20 ms from Ogg.
func readOpus(t testing.TB, b []byte) []*av.AccessUnit {
	t.Helper()
	var packets [][]byte
	var rest []byte
	for len(b) > 27 && string(b[:4]) == "OggS" {
		lengths := b[27 : 27+int(b[26])]
		b = b[27+len(lengths):]
		for _, n := range lengths {
			rest = append(rest, b[:n]...)
			b = b[n:]
			if n < 255 {
				packets, rest = append(packets, rest), nil
			}
		}
	}
	track, err := av.NewOpus(2, packets[0])
	if err != nil {
		t.Fatal(err)
	}
	var units []*av.AccessUnit
	for i, p := range packets[2:] {
		units = append(units, unit(track, time.Duration(i)*20*time.Millisecond, true, p))
	}
	return units
}

// readFLAC reads FLAC with blocks of a fixed size. A frame begins where its number, which follows the sync code and two bytes,
// is the next.
func readFLAC(t testing.TB, b []byte) []*av.AccessUnit {
	t.Helper()
	info := b[8:42]
	track, err := av.NewFLAC(2, info)
	if err != nil {
		t.Fatal(err)
	}
	block := int(binary.BigEndian.Uint16(info))
	for b = b[4:]; ; {
		n := 4 + int(binary.BigEndian.Uint32(b)&0xffffff)
		last := b[0]&0x80 != 0
		if b = b[n:]; last {
			break
		}
	}
	var units []*av.AccessUnit
	for len(b) > 0 {
		// The header of the next frame: the same sync code and format, and its number (below 128: one byte).
		next := len(b)
		if at := bytes.Index(b[4:], []byte{b[0], b[1], b[2], b[3], byte(len(units) + 1)}); at >= 0 {
			next = 4 + at
		}
		dts := av.Duration(int64(len(units)*block), int64(track.SampleRate))
		units = append(units, unit(track, dts, true, b[:next]))
		b = b[next:]
	}
	return units
}

// readAC3 reads AC-3 frames of 1536 samples and, at 48 kHz and 96 kbit/s, 384 bytes.
func readAC3(t testing.TB, b []byte) []*av.AccessUnit {
	t.Helper()
	const size, step = 384, 32 * time.Millisecond
	track, err := av.NewAC3(2, b)
	if err != nil {
		t.Fatal(err)
	}
	var units []*av.AccessUnit
	for ; len(b) >= size; b = b[size:] {
		if b[0] != 0x0b || b[1] != 0x77 {
			t.Fatalf("no AC-3 frame at unit %d", len(units))
		}
		units = append(units, unit(track, time.Duration(len(units))*step, true, b[:size]))
	}
	return units
}

// readG711 cuts G.711 at 8 kHz into pieces of 20 ms.
func readG711(codec av.Codec) func(testing.TB, []byte) []*av.AccessUnit {
	return func(t testing.TB, b []byte) []*av.AccessUnit {
		t.Helper()
		track, err := av.NewG711(2, codec, 8000, 1)
		if err != nil {
			t.Fatal(err)
		}
		var units []*av.AccessUnit
		for ; len(b) >= 160; b = b[160:] {
			units = append(units, unit(track, time.Duration(len(units))*20*time.Millisecond, true, b[:160]))
		}
		return units
	}
}
