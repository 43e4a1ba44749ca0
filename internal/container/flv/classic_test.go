package flv

import (
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

const ms = time.Millisecond

// Sequence headers in the classic layout: FLV 10.1, E.4.3.1 (frame type and codec, packet type 0, composition time 0,
// record) and E.4.2.1 (format and flags, packet type 0, AudioSpecificConfig).
const (
	// ISO/IEC 14496-15, 5.3.3.1.2: version, profile, compatibility, level, 6 bits + length size - 1, 3 bits + number
	// of SPS, 16 bits of length, SPS, number of PPS, length, PPS, then chroma format, depths, no SPS extension.
	hexAVCC = "01 64000a ff e1 0016" + hexSPS + "01 0006" + hexPPS + "fd f8 f8 00"
	// ISO/IEC 14496-15, 8.3.3.1.2: version, profile space/tier/idc 01, compatibility 60000000, constraints
	// 900000000000, level 1e, segmentation, parallelism, chroma 4:2:0, depths, frame rate, 1 layer nested + length size
	// - 1, 3 arrays of type, number, length, set.
	hexHVCC = "01 01 60000000 900000000000 1e f000 fc fd f8 f8 0000 0f 03" +
		"20 0001 0018" + hexVPS + "21 0001 0029" + hexSPS265 + "22 0001 0006" + hexPPS265
	// AV1 ISO binding, 2.3.3: marker and version, profile 0 level 0, 4:2:0, then the sequence header with size 0a.
	hexAV1C = "81 00 0c 00 0a 0a" + "0000000337fbe6d7c802"
	// VP ISO binding, 2.2: profile, level, depth 8 + 4:2:0 colocated, colours 2 2 2, no initialisation data.
	hexVPCC = "00 00 82 02 02 02 0000"

	hexSeqAVC  = "17 00 000000" + hexAVCC
	hexSeqHEVC = "1c 00 000000" + hexHVCC
	hexSeqAV1  = "1d 00 000000" + hexAV1C
	hexSeqAAC  = "af 00" + hexASC
)

// TestClassic reads one tag of every kind that FLV 10.1, E.4.2 and E.4.3 and the Chinese extension know.
func TestClassic(t *testing.T) {
	for _, tc := range []struct {
		name   string
		typ    TagType
		before []string
		body   string
		want   want
		err    string
	}{
		{
			"AVC key frame, two slices", VideoTag,
			[]string{hexSeqAVC},
			"17 01 000050 00000002 6588 00000003 650102",
			want{1, 1000 * ms, 1080 * ms, true, []string{"6588", "650102"}},
			"",
		},
		{
			"AVC inter frame", VideoTag,
			[]string{hexSeqAVC},
			"27 01 000000 00000002 419a",
			want{1, 1000 * ms, 1000 * ms, false, []string{"419a"}},
			"",
		},
		{
			"AVC, disposable is not key", VideoTag,
			[]string{hexSeqAVC},
			"37 01 000000 00000002 019a",
			want{1, 1000 * ms, 1000 * ms, false, []string{"019a"}},
			"",
		},
		{
			"AVC, generated key frame", VideoTag,
			[]string{hexSeqAVC},
			"47 01 000000 00000002 419a",
			want{1, 1000 * ms, 1000 * ms, true, []string{"419a"}},
			"",
		},
		{
			"AVC, IDR in what calls itself inter", VideoTag,
			[]string{hexSeqAVC},
			"27 01 000000 00000002 6588",
			want{1, 1000 * ms, 1000 * ms, true, []string{"6588"}},
			"",
		},
		{
			"AVC, negative composition time", VideoTag,
			[]string{hexSeqAVC},
			"27 01 ffffd8 00000002 419a",
			want{1, 1000 * ms, 1000 * ms, false, []string{"419a"}},
			"",
		},
		{
			"AVC, empty NAL units are dropped", VideoTag,
			[]string{hexSeqAVC},
			"27 01 000000 00000000 00000002 419a 00000000",
			want{1, 1000 * ms, 1000 * ms, false, []string{"419a"}},
			"",
		},
		{"AVC, only empty NAL units", VideoTag, []string{hexSeqAVC}, "27 01 000000 00000000", want{}, ""},
		{"AVC, no NAL unit", VideoTag, []string{hexSeqAVC}, "27 01 000000", want{}, ""},
		{"AVC, no picture", VideoTag, []string{hexSeqAVC}, "17 01 000000 00000002 09f0", want{}, ""},
		{"AVC end of sequence", VideoTag, []string{hexSeqAVC}, "17 02 000000", want{}, ""},
		{"AVC end of sequence, short", VideoTag, []string{hexSeqAVC}, "17 02", want{}, ""},
		{"command frame", VideoTag, []string{hexSeqAVC}, "57 00", want{}, ""},
		{"empty tag", VideoTag, nil, "", want{}, ""},
		{
			"AVC, length size 2", VideoTag,
			[]string{strings.Replace(hexSeqAVC, " ff e1", " fd e1", 1)},
			"27 01 000000 0002 419a",
			want{1, 1000 * ms, 1000 * ms, false, []string{"419a"}},
			"",
		},
		{
			"AVC, length size 1", VideoTag,
			[]string{strings.Replace(hexSeqAVC, " ff e1", " fc e1", 1)},
			"27 01 000000 02 419a",
			want{1, 1000 * ms, 1000 * ms, false, []string{"419a"}},
			"",
		},
		{
			"AVC, length size 3", VideoTag,
			[]string{strings.Replace(hexSeqAVC, " ff e1", " fe e1", 1)},
			"27 01 000000 000002 419a",
			want{1, 1000 * ms, 1000 * ms, false, []string{"419a"}},
			"",
		},
		{
			"AVC, parameter sets only in band", VideoTag,
			[]string{"17 00 000000 01 64000a ff e0 00"},
			"17 01 000000 00000016" + hexSPS + "00000006" + hexPPS + "00000002 6588",
			want{1, 1000 * ms, 1000 * ms, true, []string{hexSPS, hexPPS, "6588"}},
			"",
		},
		{"AVC without sequence header", VideoTag, nil, "17 01 000000 00000002 6588", want{}, "no config"},
		{
			"AVC, parameter sets nowhere", VideoTag,
			[]string{"17 00 000000 01 64000a ff e0 00"},
			"17 01 000000 00000002 6588",
			want{},
			"no config",
		},
		{"AVC after HEVC", VideoTag, []string{hexSeqHEVC}, "17 01 000000 00000002 6588", want{}, "no config"},
		{"AVC, NAL unit too long", VideoTag, []string{hexSeqAVC}, "27 01 000000 00000003 419a", want{}, "malformed"},
		{"AVC, NAL unit length cut", VideoTag, []string{hexSeqAVC}, "27 01 000000 00000002 419a 0000", want{}, "malformed"},
		{"AVC, NAL unit of 4 GiB", VideoTag, []string{hexSeqAVC}, "27 01 000000 ffffffff 419a", want{}, "malformed"},
		{"AVC, header cut", VideoTag, []string{hexSeqAVC}, "27 01 0000", want{}, "malformed"},
		{"AVC, one byte", VideoTag, []string{hexSeqAVC}, "27", want{}, "malformed"},
		{"AVC, packet type 9", VideoTag, []string{hexSeqAVC}, "27 09 000000", want{}, "unsupported: H264 packet type 9"},
		{"avcC empty", VideoTag, nil, "17 00 000000", want{}, "malformed"},
		{"avcC of version 0", VideoTag, nil, "17 00 000000 00 64000a ff e0 00", want{}, "malformed"},
		{"avcC, SPS too long", VideoTag, nil, "17 00 000000 01 64000a ff e1 0017" + hexSPS, want{}, "malformed"},
		{"avcC, no number of PPS", VideoTag, nil, "17 00 000000 01 64000a ff e1 0016" + hexSPS, want{}, "malformed"},
		{"avcC, SPS is none", VideoTag, nil, "17 00 000000 01 64000a ff e1 0002 6764 01 0006" + hexPPS, want{}, "malformed"},
		{
			"HEVC key frame", VideoTag,
			[]string{hexSeqHEVC},
			"1c 01 000028 00000004 2801af1d",
			want{1, 1000 * ms, 1040 * ms, true, []string{"2801af1d"}},
			"",
		},
		{"hvcC cut", VideoTag, nil, "1c 00 000000" + hexHVCC[:len(hexHVCC)-4], want{}, "malformed"},
		{
			"hvcC, array that is not there", VideoTag, nil,
			"1c 00 000000 01 01 60000000 900000000000 1e f000 fc fd f8 f8 0000 0f 03",
			want{},
			"malformed",
		},
		{
			"hvcC of version 2", VideoTag, nil,
			"1c 00 000000 02 01 60000000 900000000000 1e f000 fc fd f8 f8 0000 0f 00",
			want{},
			"malformed",
		},
		{
			// Tencent's extension: OBUs in the low-overhead format. Temporal delimiter, sequence header, frame.
			"AV1 key frame", VideoTag,
			[]string{hexSeqAV1},
			"1d 01 000000 1200 0a0a 0000000337fbe6d7c802 3202 1400",
			want{1, 1000 * ms, 1000 * ms, true, []string{hexAV1, "301400"}},
			"",
		},
		{
			"AV1, last OBU without size, with extension", VideoTag,
			[]string{hexSeqAV1},
			"2d 01 000000 3e 20 01 2a 34 20 3fff",
			want{1, 1000 * ms, 1000 * ms, false, []string{"3c202a", "34203fff"}},
			"",
		},
		{"AV1, only a temporal delimiter", VideoTag, []string{hexSeqAV1}, "2d 01 000000 1200", want{}, ""},
		{"AV1, OBU too long", VideoTag, []string{hexSeqAV1}, "2d 01 000000 3203 1400", want{}, "malformed"},
		{"AV1, size without end", VideoTag, []string{hexSeqAV1}, "2d 01 000000 32 8080808080808080 01", want{}, "malformed"},
		{"AV1, forbidden bit", VideoTag, []string{hexSeqAV1}, "2d 01 000000 b2 00", want{}, "malformed"},
		{"AV1 without sequence header", VideoTag, nil, "2d 01 000000 3202 1400", want{}, "no config"},
		{"av1C of another version", VideoTag, nil, "1d 00 000000 82000c00", want{}, "malformed"},
		{"av1C cut", VideoTag, nil, "1d 00 000000 81000c", want{}, "malformed"},
		{
			"AV1, sequence header only in band", VideoTag,
			[]string{"1d 00 000000 81000c00"},
			"1d 01 000000 0a0a 0000000337fbe6d7c802 3202 1400",
			want{1, 1000 * ms, 1000 * ms, true, []string{hexAV1, "301400"}},
			"",
		},
		{
			"VP8 key frame, no sequence header", VideoTag, nil,
			"1e 01 000000" + hexVP8,
			want{1, 1000 * ms, 1000 * ms, true, []string{hexVP8}},
			"",
		},
		{"VP8 before its key frame", VideoTag, []string{"1e 00 000000" + hexVPCC}, "2e 01 000000 b101", want{}, "no config"},
		{"VP8, key frame that is none", VideoTag, nil, "1e 01 000000 b101", want{}, "malformed"},
		{
			"VP9 key frame", VideoTag,
			[]string{"1f 00 000000" + hexVPCC},
			"1f 01 000000" + hexVP9,
			want{1, 1000 * ms, 1000 * ms, true, []string{hexVP9}},
			"",
		},
		{"Sorenson", VideoTag, nil, "22 0000", want{}, "unsupported: video codec 2 (Sorenson H.263)"},
		{"VP6", VideoTag, nil, "24 0000", want{}, "unsupported: video codec 4 (VP6)"},

		{
			"AAC raw", AudioTag,
			[]string{hexSeqAAC},
			"af 01 2111",
			want{2, 1000 * ms, 1000 * ms, true, []string{"2111"}},
			"",
		},
		{"AAC raw, empty", AudioTag, []string{hexSeqAAC}, "af 01", want{}, ""},
		{"AAC without sequence header", AudioTag, nil, "af 01 2111", want{}, "no config"},
		{"AAC, no packet type", AudioTag, []string{hexSeqAAC}, "af", want{}, "malformed"},
		{"AAC, bad configuration", AudioTag, nil, "af 00 ff", want{}, "malformed"},
		{"AAC, packet type 7", AudioTag, nil, "af 07 2111", want{}, "unsupported: AAC packet type 7"},
		{"silence", AudioTag, nil, "", want{}, ""},
		{"MP3", AudioTag, nil, "2e" + hexMP3, want{2, 1000 * ms, 1000 * ms, true, []string{hexMP3}}, ""},
		{"MP3 8 kHz", AudioTag, nil, "e2" + hexMP3, want{2, 1000 * ms, 1000 * ms, true, []string{hexMP3}}, ""},
		{"MP3, no frame header", AudioTag, nil, "2e 00010203", want{}, "malformed"},
		{"A-law", AudioTag, nil, "72 d5d5", want{2, 1000 * ms, 1000 * ms, true, []string{"d5d5"}}, ""},
		{"mu-law", AudioTag, nil, "83 ffff", want{2, 1000 * ms, 1000 * ms, true, []string{"ffff"}}, ""},
		{"Opus", AudioTag, nil, "df fc01", want{2, 1000 * ms, 1000 * ms, true, []string{"fc01"}}, ""},
		{"Speex", AudioTag, nil, "b6 00", want{}, "unsupported: audio format 11 (Speex)"},
		{"linear PCM", AudioTag, nil, "3e 00", want{}, "unsupported: audio format 3 (linear PCM)"},
		{"ADPCM", AudioTag, nil, "1e 00", want{}, "unsupported: audio format 1 (ADPCM)"},
		{"Nellymoser", AudioTag, nil, "62 00", want{}, "unsupported: audio format 6 (Nellymoser)"},
		{"unknown tag type", TagType(15), nil, "00", want{}, "unsupported: tag type 15"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var d Demuxer
			set(t, &d, tc.typ, tc.before...)
			units, err := feed(&d, tc.typ, 1000, tc.body)
			if got := cause(err); got != tc.err {
				t.Errorf("error %q (%v), want %q", got, err, tc.err)
			}
			switch {
			case tc.want.id == 0 && len(units) == 0:
			case tc.want.id != 0 && len(units) == 1:
				tc.want.check(t, units[0])
			default:
				t.Errorf("%d units", len(units))
			}
		})
	}
}

// TestClassicTracks looks at the tracks that the first unit of each codec leads to.
func TestClassicTracks(t *testing.T) {
	for _, tc := range []struct {
		typ    TagType
		bodies []string
		want   string
	}{
		{VideoTag, []string{hexSeqAVC, "17 01 000000 00000002 6588"}, "H264 64x48 25 fps"},
		{VideoTag, []string{hexSeqHEVC, "1c 01 000000 00000004 2801af1d"}, "H265 64x48 25 fps"},
		{VideoTag, []string{hexSeqAV1, "1d 01 000000 3202 1400"}, "AV1 128x96"},
		{VideoTag, []string{"1e 01 000000" + hexVP8}, "VP8 64x48"},
		{VideoTag, []string{"1f 01 000000" + hexVP9}, "VP9 64x48"},
		{AudioTag, []string{hexSeqAAC, "af 01 2111"}, "AAC 44.1 kHz stereo"},
		{AudioTag, []string{"2e" + hexMP3}, "MP3 44.1 kHz mono"},
		{AudioTag, []string{"7e d5"}, "PCMA 8 kHz mono"},
		{AudioTag, []string{"83 ff"}, "PCMU 8 kHz stereo"},
		{AudioTag, []string{"de fc"}, "Opus 48 kHz mono"},
		{AudioTag, []string{"df fc"}, "Opus 48 kHz stereo"},
	} {
		var d Demuxer
		var last []*av.AccessUnit
		for _, b := range tc.bodies {
			var err error
			if last, err = feed(&d, tc.typ, 0, b); err != nil {
				t.Fatalf("%s: %v", tc.want, err)
			}
		}
		tracks := d.Tracks()
		if len(tracks) != 1 || len(last) != 1 || last[0].Track != tracks[0] || tracks[0].String() != tc.want {
			t.Errorf("tracks %v, units %d, want %s", tracks, len(last), tc.want)
		}
	}
}

// TestErrorPlace checks that an error says where it happened, and that the demuxer goes on after it.
func TestErrorPlace(t *testing.T) {
	var d Demuxer
	set(t, &d, VideoTag, hexSeqAVC)
	_, err := feed(&d, VideoTag, 1234, "27 01 000000 00000009 419a")
	const want = "flv: video tag at 1234 ms, offset 5: NAL unit of 9 bytes at 4 of 6: cut short"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if units, err := feed(&d, VideoTag, 1274, "27 01 000000 00000002 419a"); err != nil || len(units) != 1 {
		t.Errorf("%d units, error %v", len(units), err)
	}
}
