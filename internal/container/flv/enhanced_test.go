package flv

import (
	"strings"
	"testing"
)

// FourCCs, E-RTMP v2, enums VideoFourCc and AudioFourCc.
const (
	fourAVC1 = "61766331"
	fourHVC1 = "68766331"
	fourAV01 = "61763031"
	fourVP08 = "76703038"
	fourVP09 = "76703039"
	fourVVC1 = "76766331"
	fourMP4A = "6d703461"
	fourOpus = "4f707573"
	fourFLAC = "664c6143"
	fourAC3  = "61632d33"
	fourEAC3 = "65632d33"
	fourMP3  = "2e6d7033"
)

// TestEnhanced reads one tag of every kind of E-RTMP v2. Video (ExVideoTagHeader): 1 bit, 3 bits of frame type, 4 bits
// of packet type, FourCC. Audio (ExAudioTagHeader): 9, 4 bits of packet type, FourCC. ModEx comes before the FourCC:
// size - 1, data, 4 bits of ModEx type, 4 bits of packet type.
func TestEnhanced(t *testing.T) {
	avc := []string{"90" + fourAVC1 + hexAVCC}
	hevc := []string{"90" + fourHVC1 + hexHVCC}
	av1 := []string{"90" + fourAV01 + hexAV1C}
	aac := []string{"90" + fourMP4A + hexASC}
	for _, tc := range []struct {
		name   string
		typ    TagType
		before []string
		body   string
		want   want
		err    string
	}{
		{
			"avc1 CodedFrames", VideoTag, avc,
			"91" + fourAVC1 + "000050 00000002 6588",
			want{1, 1000 * ms, 1080 * ms, true, []string{"6588"}},
			"",
		},
		{
			"avc1 CodedFramesX", VideoTag, avc,
			"a3" + fourAVC1 + "00000002 419a",
			want{1, 1000 * ms, 1000 * ms, false, []string{"419a"}},
			"",
		},
		{
			"hvc1 CodedFrames, negative composition time", VideoTag, hevc,
			"a1" + fourHVC1 + "ffffff 00000003 0201d0",
			want{1, 1000 * ms, 1000 * ms, false, []string{"0201d0"}},
			"",
		},
		{
			"hvc1 CodedFramesX", VideoTag, hevc,
			"93" + fourHVC1 + "00000004 2801af1d",
			want{1, 1000 * ms, 1000 * ms, true, []string{"2801af1d"}},
			"",
		},
		{
			"av01 CodedFrames has no composition time", VideoTag, av1,
			"91" + fourAV01 + "3202 1400",
			want{1, 1000 * ms, 1000 * ms, true, []string{"301400"}},
			"",
		},
		{
			// AV1VideoDescriptor: tag 80, length 4, the beginning of an av1C.
			"av01 MPEG2TSSequenceStart", VideoTag,
			[]string{"95" + fourAV01 + "80 04 81000c00"},
			"91" + fourAV01 + "0a0a 0000000337fbe6d7c802 3202 1400",
			want{1, 1000 * ms, 1000 * ms, true, []string{hexAV1, "301400"}},
			"",
		},
		{
			"av01 empty SequenceStart", VideoTag,
			[]string{"90" + fourAV01},
			"91" + fourAV01 + "0a0a 0000000337fbe6d7c802 3202 1400",
			want{1, 1000 * ms, 1000 * ms, true, []string{hexAV1, "301400"}},
			"",
		},
		{"av01 MPEG2TSSequenceStart cut", VideoTag, nil, "95" + fourAV01 + "80 04 8100", want{}, "malformed"},
		{
			"hvc1 MPEG2TSSequenceStart", VideoTag, nil, "95" + fourHVC1 + "80 04 81000c00",
			want{},
			"unsupported: H265 descriptor of MPEG-2 TS",
		},
		{
			"vp08 CodedFrames", VideoTag,
			[]string{"90" + fourVP08 + hexVPCC},
			"91" + fourVP08 + hexVP8,
			want{1, 1000 * ms, 1000 * ms, true, []string{hexVP8}},
			"",
		},
		{
			"vp09 CodedFramesX", VideoTag, nil,
			"93" + fourVP09 + hexVP9,
			want{1, 1000 * ms, 1000 * ms, true, []string{hexVP9}},
			"",
		},
		{"vp09 before its key frame", VideoTag, nil, "a1" + fourVP09 + "8601", want{}, "no config"},
		{"SequenceEnd", VideoTag, avc, "92" + fourAVC1, want{}, ""},
		{"Metadata", VideoTag, avc, "94" + fourAVC1 + "02 0009 636f6c6f72496e666f", want{}, ""},
		{"Metadata, frame type command", VideoTag, avc, "d4" + fourAVC1 + "02", want{}, ""},
		{"command", VideoTag, avc, "d1 00", want{}, ""},
		{"avc1 without sequence header", VideoTag, nil, "93" + fourAVC1 + "00000002 6588", want{}, "no config"},
		{"vvc1", VideoTag, nil, "90" + fourVVC1, want{}, `unsupported: video codec "vvc1"`},
		{"audio FourCC in a video tag", VideoTag, nil, "90" + fourMP4A, want{}, `unsupported: video codec "mp4a"`},
		{"video packet type 9", VideoTag, nil, "99" + fourAVC1, want{}, "unsupported: video packet type 9"},
		{"FourCC cut", VideoTag, nil, "91 617663", want{}, "malformed"},
		{"composition time cut", VideoTag, avc, "91" + fourAVC1 + "0000", want{}, "malformed"},
		{
			"ModEx TimestampOffsetNano", VideoTag, avc,
			"97 02 0f4240 01" + fourAVC1 + "000050 00000002 6588",
			want{1, 1001 * ms, 1081 * ms, true, []string{"6588"}},
			"",
		},
		{
			"ModEx twice, the first unknown", VideoTag, avc,
			"97 00 ff 57 02 000001 03" + fourAVC1 + "00000002 6588",
			want{1, 1000*ms + 1, 1000*ms + 1, true, []string{"6588"}},
			"",
		},
		{
			"ModEx with 16 bits of size", VideoTag, avc,
			"97 ff 0101" + strings.Repeat("00", 258) + "13" + fourAVC1 + "00000002 6588",
			want{1, 1000 * ms, 1000 * ms, true, []string{"6588"}},
			"",
		},
		{
			"ModEx, nanoseconds too short", VideoTag, avc,
			"97 01 ffff 03" + fourAVC1 + "00000002 6588",
			want{1, 1000 * ms, 1000 * ms, true, []string{"6588"}},
			"",
		},
		{"ModEx cut", VideoTag, avc, "97 05 0000", want{}, "malformed"},
		{"ModEx without end", VideoTag, avc, "97 00 00 07 00 00 07", want{}, "malformed"},

		{
			"mp4a", AudioTag, aac,
			"91" + fourMP4A + "2111",
			want{2, 1000 * ms, 1000 * ms, true, []string{"2111"}},
			"",
		},
		{"mp4a without sequence header", AudioTag, nil, "91" + fourMP4A + "2111", want{}, "no config"},
		{
			"Opus", AudioTag,
			[]string{"90" + fourOpus + hexOpus},
			"91" + fourOpus + "fc01",
			want{2, 1000 * ms, 1000 * ms, true, []string{"fc01"}},
			"",
		},
		{
			"Opus, empty sequence header", AudioTag,
			[]string{"90" + fourOpus},
			"91" + fourOpus + "fc01",
			want{2, 1000 * ms, 1000 * ms, true, []string{"fc01"}},
			"",
		},
		{
			"Opus, no sequence header", AudioTag, nil,
			"91" + fourOpus + "fc01",
			want{2, 1000 * ms, 1000 * ms, true, []string{"fc01"}},
			"",
		},
		{"Opus, bad ID header", AudioTag, nil, "90" + fourOpus + "4f70", want{}, "malformed"},
		{
			"fLaC", AudioTag,
			[]string{"90" + fourFLAC + "664c6143 80000022" + hexFLAC},
			"91" + fourFLAC + "fff8",
			want{2, 1000 * ms, 1000 * ms, true, []string{"fff8"}},
			"",
		},
		{
			"fLaC, STREAMINFO alone", AudioTag,
			[]string{"90" + fourFLAC + hexFLAC},
			"91" + fourFLAC + "fff8",
			want{2, 1000 * ms, 1000 * ms, true, []string{"fff8"}},
			"",
		},
		{"fLaC, another block first", AudioTag, nil, "90" + fourFLAC + "664c6143 81000022" + hexFLAC, want{}, "malformed"},
		{"fLaC, STREAMINFO cut", AudioTag, nil, "90" + fourFLAC + "664c6143 80000022 1200", want{}, "malformed"},
		{"fLaC without sequence header", AudioTag, nil, "91" + fourFLAC + "fff8", want{}, "no config"},
		{"ac-3", AudioTag, nil, "91" + fourAC3 + hexAC3, want{2, 1000 * ms, 1000 * ms, true, []string{hexAC3}}, ""},
		{"ac-3, no sync word", AudioTag, nil, "91" + fourAC3 + "0000", want{}, "malformed"},
		{".mp3", AudioTag, nil, "91" + fourMP3 + hexMP3, want{2, 1000 * ms, 1000 * ms, true, []string{hexMP3}}, ""},
		{"ec-3", AudioTag, nil, "91" + fourEAC3 + "0b77", want{}, `unsupported: audio codec "ec-3"`},
		{"SequenceEnd, audio", AudioTag, aac, "92" + fourMP4A, want{}, ""},
		{"MultichannelConfig", AudioTag, aac, "94" + fourMP4A + "01 02 00000003", want{}, ""},
		{"audio packet type 3", AudioTag, nil, "93" + fourMP4A, want{}, "unsupported: audio packet type 3"},
		{
			"ModEx, audio", AudioTag, aac,
			"97 02 07a120 01" + fourMP4A + "2111",
			want{2, 1000*ms + 500_000, 1000*ms + 500_000, true, []string{"2111"}},
			"",
		},

		{
			"multitrack OneTrack, track 2", VideoTag,
			[]string{"96 00" + fourAVC1 + "02" + hexAVCC},
			"96 03" + fourAVC1 + "02 00000002 6588",
			want{5, 1000 * ms, 1000 * ms, true, []string{"6588"}},
			"",
		},
		{
			"multitrack OneTrack with ModEx", AudioTag,
			[]string{"95 00" + fourMP4A + "01" + hexASC},
			"97 02 000001 05 01" + fourMP4A + "01 2111",
			want{4, 1000*ms + 1, 1000*ms + 1, true, []string{"2111"}},
			"",
		},
		{
			"multitrack in multitrack", VideoTag, nil, "96 06" + fourAVC1 + "00",
			want{},
			"unsupported: multitrack type 0 of packet type 6",
		},
		{
			"multitrack type 3", VideoTag, nil, "96 31" + fourAVC1 + "00",
			want{},
			"unsupported: multitrack type 3 of packet type 1",
		},
		{"multitrack without a track", VideoTag, nil, "96 11" + fourAVC1, want{}, "malformed"},
		{"multitrack, track too long", VideoTag, nil, "96 11" + fourAVC1 + "00 000005 0000", want{}, "malformed"},
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

// TestManyTracks: E-RTMP v2, AvMultitrackType.ManyTracks: one FourCC, then each track's number, 24 bits of size, body.
func TestManyTracks(t *testing.T) {
	var d Demuxer
	set(t, &d, AudioTag, "95 10"+fourMP4A+"00 000005"+hexASC+"01 000005"+hexASC)
	units, err := feed(&d, AudioTag, 40, "95 11"+fourMP4A+"00 000002 2110 01 000003 211122")
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units, error %v", len(units), err)
	}
	want{2, 40 * ms, 40 * ms, true, []string{"2110"}}.check(t, units[0])
	want{4, 40 * ms, 40 * ms, true, []string{"211122"}}.check(t, units[1])
	if tracks := d.Tracks(); len(tracks) != 2 || tracks[0].ID != 2 || tracks[1].ID != 4 {
		t.Errorf("tracks %v", tracks)
	}
}

// TestManyTracksManyCodecs: E-RTMP v2, AvMultitrackType.ManyTracksManyCodecs: each track has its FourCC, number, size,
// body. A track that is not supported and one that is broken do not keep the others from arriving; the first cause is
// told.
func TestManyTracksManyCodecs(t *testing.T) {
	var d Demuxer
	set(t, &d, VideoTag,
		"90"+fourAVC1+hexAVCC,
		"96 00"+fourHVC1+"01"+hexHVCC)
	units, err := feed(&d, VideoTag, 40, "96 23"+
		fourVVC1+"03 000002 0000"+
		fourAVC1+"00 000006 00000002 6588"+
		fourHVC1+"01 000007 000000ff 2801af"+
		fourVP09+"02 00000a"+hexVP9)
	if got := cause(err); got != `unsupported: video codec "vvc1"` {
		t.Error(err)
	}
	if len(units) != 2 {
		t.Fatalf("%d units", len(units))
	}
	want{1, 40 * ms, 40 * ms, true, []string{"6588"}}.check(t, units[0])
	want{5, 40 * ms, 40 * ms, true, []string{hexVP9}}.check(t, units[1])
	if tracks := d.Tracks(); len(tracks) != 3 {
		t.Errorf("tracks %v", tracks)
	}
}

// TestTrackLimit: tracks beyond av.MaxTracks, and parts beyond that number in one message, are refused.
func TestTrackLimit(t *testing.T) {
	var d Demuxer
	var many strings.Builder
	many.WriteString("95 10" + fourMP4A)
	for i := range 17 {
		many.WriteString(string("0123456789abcdef"[i>>4]) + string("0123456789abcdef"[i&15]) + "000005" + hexASC)
	}
	_, err := feed(&d, AudioTag, 0, many.String())
	if got := cause(err); got != "unsupported: multitrack message of more than 16 tracks" {
		t.Error(err)
	}
	if _, err = feed(&d, VideoTag, 0, hexSeqAVC); cause(err) != "unsupported: more than 16 tracks" {
		t.Error(err)
	}
	if n := len(d.Tracks()); n != 16 {
		t.Errorf("%d tracks", n)
	}
}
