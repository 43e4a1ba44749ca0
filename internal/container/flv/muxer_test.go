package flv

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/amf"
)

// TestMux compares configuration and frame bodies with bytes put together from the specifications; see the comments at
// the constants. Frames are of 1 s, key frames of 80 ms composition time. avcC and av1C are what FFmpeg 5.1 writes into
// MP4 files for the same sets; so is the hvcC, but for the mark of completeness at its arrays (2x instead of ax).
func TestMux(t *testing.T) {
	for _, tc := range []struct {
		codec               av.Codec
		form                Form
		config, key, notKey string
	}{
		{
			av.H264, Enhanced, hexSeqAVC,
			"17 01 000050 00000004 06050180 00000003 658884 00000002 6501", "27 01 000000 00000003 419a24",
		},
		{
			av.H264, Legacy, hexSeqAVC,
			"17 01 000050 00000004 06050180 00000003 658884 00000002 6501", "27 01 000000 00000003 419a24",
		},
		{
			av.H265, Enhanced, "90" + fourHVC1 + hexHVCC,
			"91" + fourHVC1 + "000050 00000003 4e0105 00000004 2801af1d", "a3" + fourHVC1 + "00000003 0201d0",
		},
		{
			av.H265, Legacy, hexSeqHEVC,
			"1c 01 000050 00000003 4e0105 00000004 2801af1d", "2c 01 000000 00000003 0201d0",
		},
		{
			av.AV1, Enhanced, "90" + fourAV01 + hexAV1C,
			"91" + fourAV01 + "0a0a 0000000337fbe6d7c802 3202 1400", "a1" + fourAV01 + "36 20 02 3fff",
		},
		{
			av.AV1, Legacy, hexSeqAV1,
			"1d 01 000050 0a0a 0000000337fbe6d7c802 3202 1400", "2d 01 000000 36 20 02 3fff",
		},
		{
			av.VP8, Enhanced, "90" + fourVP08 + hexVPCC,
			"91" + fourVP08 + hexVP8, "a1" + fourVP08 + "b1010042",
		},
		{av.VP8, Legacy, "1e 00 000000" + hexVPCC, "1e 01 000050" + hexVP8, "2e 01 000000 b1010042"},
		{av.VP9, Enhanced, "90" + fourVP09 + hexVPCC, "91" + fourVP09 + hexVP9, "a1" + fourVP09 + "86010042"},
		{av.VP9, Legacy, "1f 00 000000" + hexVPCC, "1f 01 000050" + hexVP9, "2f 01 000000 86010042"},
		{av.AAC, Enhanced, hexSeqAAC, "af 01 fc010203", ""},
		{av.AAC, Legacy, hexSeqAAC, "af 01 fc010203", ""},
		{av.MP3, Enhanced, "", "2e" + hexMP3, ""},
		{av.PCMA, Enhanced, "", "72 fc010203", ""},
		{av.PCMU, Legacy, "", "82 fc010203", ""},
		{
			av.Opus, Enhanced,
			// RFC 7845, 5.1: "OpusHead", version, channels, pre-skip 3840, 48 kHz, gain, family.
			"90" + fourOpus + "4f70757348656164 01 02 000f 80bb0000 0000 00", "91" + fourOpus + "fc010203", "",
		},
		{av.Opus, Legacy, "", "df fc010203", ""},
		{av.FLAC, Enhanced, "90" + fourFLAC + "664c6143 80000022" + hexFLAC, "91" + fourFLAC + "fc010203", ""},
		{av.FLAC, Legacy, "", "", ""},
		{av.AC3, Enhanced, "", "91" + fourAC3 + hexAC3, ""},
		{av.AC3, Legacy, "", "", ""},
	} {
		track := trackOf(tc.codec)
		u := &av.AccessUnit{Track: track, DTS: time.Second, PTS: time.Second, Key: true, Data: payloadOf(tc.codec, true)}
		if track.Kind() == av.Video {
			u.PTS += 80 * ms
		}
		check := func(what string, got []byte, want string) {
			if want = hex.EncodeToString(unhex(want)); hex.EncodeToString(got) != want {
				t.Errorf("%v %v %s\n got %x\nwant %s", tc.codec, tc.form, what, got, want)
			}
		}
		check("config", tc.form.AppendConfig(nil, track), tc.config)
		check("key", tc.form.AppendUnit(nil, u), tc.key)
		if tc.notKey != "" {
			u.Key, u.PTS, u.Data = false, u.DTS, payloadOf(tc.codec, false)
			check("not key", tc.form.AppendUnit(nil, u), tc.notKey)
		}
	}
}

// TestRecords: the records of sets whose chroma format and depth are not the usual, as FFmpeg 5.1 writes them into MP4.
func TestRecords(t *testing.T) {
	one := func(s string) [][]byte { return [][]byte{unhex(s)} }
	for _, tc := range []struct {
		track *av.Track
		want  string
	}{
		{
			must(av.NewH264(1, one(hexSPS444), one("68ebc3c44844"))), // chroma format 3
			"01 f4000a ff e1 0018" + hexSPS444 + "01 0006 68ebc3c44844 ff f8 f8 00",
		},
		{
			must(av.NewH264(1, one(hexSPSBase), one("68cb83cb20"))), // no such fields
			"01 42c00a ff e1 0017" + hexSPSBase + "01 0005 68cb83cb20",
		},
		{
			must(av.NewH265(1, nil, one(hexSPS26510), one(hexPPS265))), // 10 bits, no VPS
			"01 02 20000000 900000000000 1e f000 fc fd fa fa 0000 0f 02 21 0001 0028" + hexSPS26510 +
				"22 0001 0006" + hexPPS265,
		},
	} {
		appendRecord := appendAVCC
		if tc.track.Codec == av.H265 {
			appendRecord = appendHVCC
		}
		if got, want := hex.EncodeToString(appendRecord(nil, tc.track)), hex.EncodeToString(unhex(tc.want)); got != want {
			t.Errorf("%v\n got %s\nwant %s", tc.track, got, want)
		}
	}
}

// TestRoundTrip: what is written is read as the same units of an equal track, in both forms.
func TestRoundTrip(t *testing.T) {
	for _, form := range []Form{Enhanced, Legacy} {
		for _, c := range av.Codecs() {
			track := trackOf(c)
			if track == nil || !form.Carries(track) {
				continue
			}
			var d Demuxer
			typ := TypeFor(track.Kind())
			if config := form.AppendConfig(nil, track); len(config) > 0 {
				if units, err := d.Demux(Tag{Type: typ, Body: config}); err != nil || len(units) != 0 {
					t.Errorf("%v %v: config gives %d units, error %v", form, c, len(units), err)
				}
			}
			for i := range 5 {
				dts := time.Duration(i) * 40 * ms
				in := &av.AccessUnit{Track: track, DTS: dts, PTS: dts, Key: i == 0 || track.Kind() == av.Audio}
				in.Data = payloadOf(c, in.Key)
				if c == av.H264 || c == av.H265 {
					in.PTS += time.Duration(i) * 80 * ms
				}
				units, err := d.Demux(Tag{Type: typ, Time: Milliseconds(in.DTS), Body: form.AppendUnit(nil, in)})
				if err != nil || len(units) != 1 {
					t.Fatalf("%v %v: %d units, error %v", form, c, len(units), err)
				}
				out := *units[0]
				if !out.Track.Equal(track) && (form == Enhanced || c != av.Opus) {
					t.Errorf("%v %v: track %+v, want %+v", form, c, out.Track, track)
				}
				out.Track, out.Held = track, 0
				if !reflect.DeepEqual(&out, in) {
					t.Errorf("%v %v\n got %+v\nwant %+v", form, c, &out, in)
				}
			}
		}
	}
}

// TestCarries names all that cannot be written.
func TestCarries(t *testing.T) {
	mjpeg := must(av.NewMJPEG(1, 64, 48))
	surround := must(av.NewOpus(2, unhex("4f707573486561640106380180bb0000000001"+"0402 000401020305")))
	wide := must(av.NewG711(2, av.PCMA, 16000, 1))
	g722 := must(av.NewG722(2, 1))
	opaque := must(av.NewOpaque(1, "H266", 90000))
	for _, track := range []*av.Track{mjpeg, wide, g722, must(av.NewL16(2, 48000, 2)), av.NewKLV(3), opaque, {}} {
		for _, form := range []Form{Enhanced, Legacy} {
			u := &av.AccessUnit{Track: track, Data: [][]byte{{1}}}
			if form.Carries(track) || form.AppendConfig(nil, track) != nil || form.AppendUnit(nil, u) != nil {
				t.Errorf("%v carries %v", form, track)
			}
		}
	}
	if !Enhanced.Carries(surround) || Legacy.Carries(surround) {
		t.Error("Opus 5.1")
	}
	h264, hevc, aac, flac := trackOf(av.H264), trackOf(av.H265), trackOf(av.AAC), trackOf(av.FLAC)
	for _, tc := range []struct {
		form         Form
		tracks       []*av.Track
		video, audio *av.Track
	}{
		{Enhanced, nil, nil, nil},
		{Enhanced, []*av.Track{mjpeg, flac, hevc, h264, aac}, hevc, flac},
		{Legacy, []*av.Track{g722, flac, hevc, h264, aac}, hevc, aac},
		{Legacy, []*av.Track{flac, opaque}, nil, nil},
	} {
		if v, a := tc.form.Select(tc.tracks); v != tc.video || a != tc.audio {
			t.Errorf("%v of %v: %v and %v", tc.form, tc.tracks, v, a)
		}
	}
}

// TestAppendMetadata: FLV 10.1, E.5, and E-RTMP v2, "Enhancing onMetaData".
func TestAppendMetadata(t *testing.T) {
	const four = 'O'<<24 | 'p'<<16 | 'u'<<8 | 's'
	p := func(name string, v any) amf.Property { return amf.Property{Name: name, Value: v} }
	for _, tc := range []struct {
		form         Form
		video, audio *av.Track
		want         amf.ECMAArray
	}{
		{Enhanced, trackOf(av.H264), trackOf(av.AAC), amf.ECMAArray{
			p("width", 64.), p("height", 48.), p("framerate", 25.), p("videocodecid", 7.),
			p("audiocodecid", 10.), p("audiosamplerate", 44100.), p("audiosamplesize", 16.), p("stereo", true),
			p("audiochannels", 2.), p("encoder", "Vigil"),
		}},
		{Enhanced, trackOf(av.AV1), trackOf(av.Opus), amf.ECMAArray{
			p("width", 128.), p("height", 96.), p("videocodecid", float64('a'<<24|'v'<<16|'0'<<8|'1')),
			p("audiocodecid", float64(four)), p("audiosamplerate", 48000.), p("audiosamplesize", 16.), p("stereo", true),
			p("audiochannels", 2.), p("encoder", "Vigil"),
		}},
		{Legacy, trackOf(av.VP9), nil, amf.ECMAArray{
			p("width", 64.), p("height", 48.), p("videocodecid", 15.), p("encoder", "Vigil"),
		}},
		{Legacy, nil, must(av.NewMP3(2, unhex("ffe348c40000"))), amf.ECMAArray{
			p("audiocodecid", 14.), p("audiosamplerate", 8000.), p("audiosamplesize", 16.), p("stereo", false),
			p("audiochannels", 1.), p("encoder", "Vigil"),
		}},
	} {
		got, err := amf.Decode(tc.form.AppendMetadata(nil, tc.video, tc.audio))
		if want := []any{"onMetaData", tc.want}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("error %v\n got %v\nwant %v", err, got, want)
		}
	}
}

// TestMP3Flags: FLV 10.1, E.4.2.1, SoundRate and SoundType.
func TestMP3Flags(t *testing.T) {
	for _, tc := range []struct {
		rate, channels int
		want           byte
	}{
		{48000, 2, 0x2f},
		{44100, 1, 0x2e},
		{32000, 2, 0x2f},
		{24000, 2, 0x2b},
		{22050, 1, 0x2a},
		{16000, 1, 0x2a},
		{12000, 2, 0x27},
		{11025, 2, 0x27},
		{8000, 1, 0xe2},
	} {
		track := &av.Track{Codec: av.MP3, SampleRate: tc.rate, Channels: tc.channels}
		if got := Legacy.audioHeader(nil, track, packetFrame)[0]; got != tc.want {
			t.Errorf("%d Hz: %#x, want %#x", tc.rate, got, tc.want)
		}
	}
}

// TestCompositionTime: it is the difference of the rounded stamps, and fits 24 bits.
func TestCompositionTime(t *testing.T) {
	track := trackOf(av.H264)
	for _, tc := range []struct {
		dts, pts time.Duration
		want     string
	}{
		{0, 0, "000000"},
		{1_400 * time.Microsecond, 2_600 * time.Microsecond, "000002"}, // 1 to 3, though only 1.2 lie between
		{1_600 * time.Microsecond, 2_400 * time.Microsecond, "000000"},
		{(1<<32 - 10) * ms, (1<<32 + 30) * ms, "000028"}, // across the wrap
		{-10 * ms, 30 * ms, "000028"},
		{0, 3 * time.Hour, "7fffff"},
		{40 * ms, 0, "000000"},
	} {
		u := &av.AccessUnit{Track: track, DTS: tc.dts, PTS: tc.pts}
		if got := hex.EncodeToString(Enhanced.AppendUnit(nil, u)[2:5]); got != tc.want {
			t.Errorf("%v to %v: %s, want %s", tc.dts, tc.pts, got, tc.want)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	for _, tc := range []struct {
		d    time.Duration
		want uint32
	}{
		{0, 0},
		{499_999, 0},
		{500_000, 1},
		{33_366_667, 33},
		{-1 * ms, math.MaxUint32},
		{math.MaxUint32 * ms, math.MaxUint32},
		{(1 << 32) * ms, 0},
		{(1<<32 + 5) * ms, 5},
	} {
		if got := Milliseconds(tc.d); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.d, got, tc.want)
		}
	}
}

func TestFormText(t *testing.T) {
	for _, f := range []Form{Enhanced, Legacy} {
		b, err := json.Marshal(f)
		var back Form = 99
		if err != nil || string(b) != `"`+f.String()+`"` || json.Unmarshal(b, &back) != nil || back != f {
			t.Errorf("%v: %s, %v", f, b, err)
		}
	}
	f := Legacy
	if f.UnmarshalText([]byte("Enhanced")) == nil || f != Legacy {
		t.Error("a wrong word passed")
	}
}

// TestAppendNoAllocs: with room in dst, writing a unit allocates nothing.
func TestAppendNoAllocs(t *testing.T) {
	body, tag := make([]byte, 0, 4096), make([]byte, 0, 4096)
	for _, form := range []Form{Enhanced, Legacy} {
		for _, c := range av.Codecs() {
			track := trackOf(c)
			if track == nil {
				continue
			}
			u := &av.AccessUnit{Track: track, Key: true, Data: payloadOf(c, true)}
			if n := testing.AllocsPerRun(10, func() {
				AppendTag(tag, TypeFor(track.Kind()), 0, form.AppendUnit(body, u))
			}); n != 0 {
				t.Errorf("%v %v: %v allocations", form, c, n)
			}
		}
	}
}
