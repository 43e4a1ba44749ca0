package rtp

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
)

// quirks are descriptions as devices write them, shortened and with other addresses, and what is read: of each media its kind,
// rtpmap, track, and control, or "error"; a back channel in brackets.
var quirks = []struct {
	file   string
	seen   string // the public report
	medias []string
}{
	{"empty_connection", "mediamtx#5033, mediamtx#120, gortsplib#618", []string{"video H264/90000 H264 640x360, video"}},
	{"negative_session", "mediamtx#2708", []string{"video H264/90000 in band, track1"}},
	{"huge_session", "mediamtx#5949", []string{"video H264/90000 H264 640x360, trackID=1"}},
	{"dotted_session", "mediamtx#2555, mediamtx#5292, moonfire-nvr#213 (space behind the rtpmap)", []string{"video H264/90000 in band, track1"}},
	{"only_media", "gortsplib#441", []string{"video H264/90000 in band, trackID=0"}},
	{"no_origin_lf", "mediamtx#3583", []string{"video H264/90000 H264 640x360, trackID=0"}},
	{"smart_type", "gortsplib#271, androidx/media#1472", []string{
		"video H264/90000 H264 640x360, track1", "audio PCMA/8000 PCMA 8 kHz mono, track2", "data TP-LINK/90000 Opaque TP-LINK/90000, track3",
	}},
	{"back_channel", "gortsplib#479", []string{
		"video H264/90000 H264 640x360, trackID=0", "audio PCMA/8000 PCMA 8 kHz mono, trackID=1",
		"data vnd.onvif.metadata/90000 Opaque vnd.onvif.metadata/90000, trackID=4", "[audio MPEG4-GENERIC/64000 AAC 64 kHz mono, trackID=5]",
	}},
	{"announced", "mediamtx#795 (the AAC configuration of FFmpeg)", []string{
		"video H264/90000 in band, ", "audio MPEG4-GENERIC/48000/2 AAC 48 kHz stereo, ",
	}},
	{"no_rtpmap", "mediamtx#832, media-stream-library-js#121", []string{
		"video H264/90000 in band, trackID=1", "audio PCMU/8000 PCMU 8 kHz mono, trackID=2", "error",
	}},
	{"null_type", "rtsp-client-android#90", []string{"video H264/90000 H264 640x360, track=1", "error"}},
	{"foreign_fmtp", "gortsplib#658", []string{
		"video H264/90000 in band, trackID=video", "audio MPEG4-GENERIC/16000 AAC 16 kHz mono, trackID=audio",
	}},
	{"annexb_sprop", "moonfire-nvr#213", []string{"video H264/90000 H264 1280x720 12 fps, trackID=0"}},
	{"broken_sprop", "FFmpeg#181, retina#42, mediamtx#2348", []string{
		"video H264/90000 in band, ", "video H264/90000 in band, ", "video H265/90000 in band, ",
	}},
	{"static_types", "media-stream-library-js#725, gortsplib#630", []string{
		"video JPEG/90000 in band, track1", "audio MPA/90000 in band, track2", "audio G722/8000 G722 16 kHz mono, track3",
		"video H264/90000 in band, rtsp://192.0.2.1:554/?inst=2&h26x=4&stream=video",
	}},
	{"odd_case", "", []string{
		"video h264/90000 H264 640x360, track1", "audio Mpeg4-Generic/44100/2 AAC 44.1 kHz stereo, ", "audio OPUS/48000/2 Opus 48 kHz stereo, ",
	}},
	{"latm_without_config", "mediamtx#3590, mediamtx#1881", []string{
		"video H264/90000 in band, ", "error", "audio MP4A-LATM/44100 AAC 44.1 kHz mono, ",
	}},
	{"trailing_garbage", "", []string{"video H264/90000 in band, track1"}},
}

func summary(m Media) string {
	if m.Err != nil {
		if m.Format != nil {
			return "error, but a format"
		}
		return "error"
	}
	track := "in band"
	if t := m.Format.Track(1); t != nil {
		track = t.String()
	}
	s := fmt.Sprintf("%v %v %s, %s", m.Kind, m.Format, track, m.Control)
	if m.Back {
		return "[" + s + "]"
	}
	return s
}

func TestSDPQuirks(t *testing.T) {
	for _, q := range quirks {
		b, err := os.ReadFile(filepath.Join("testdata", "sdp", q.file+".sdp"))
		if err != nil {
			t.Fatal(err)
		}
		for _, ends := range []string{"\r\n", "\n", "\r"} { // whatever the lines end with
			text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", ends)
			d, err := ParseSDP([]byte(text))
			if err != nil {
				t.Errorf("%s (%s): %v", q.file, q.seen, err)
				continue
			}
			var got []string
			for _, m := range d.Medias {
				got = append(got, summary(m))
			}
			if !slices.Equal(got, q.medias) {
				t.Errorf("%s (%s), lines end with %q:\n got %q\nwant %q", q.file, q.seen, ends, got, q.medias)
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join("testdata", "sdp", "*.sdp"))
	if len(files) != len(quirks) {
		t.Errorf("%d files, %d quirks", len(files), len(quirks))
	}
}

// TestSDPWithoutUse: there is an error only if nothing can be used.
func TestSDPWithoutUse(t *testing.T) {
	for _, s := range []string{
		"", "v=0\r\ns=-\r\n", "garbage", "m=\r\n", "m=audio 0 RTP/AVP\r\n", "m=audio 0 RTP/AVP 99\r\n", "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0\n",
		"m=audio 0 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n", "m=video 0 RTP/AVP 96\na=rtpmap:96 X/10\n", strings.Repeat("m=", sdpMax),
		"m=audio 0 RTP/AVP 96\na=rtpmap:96 opus/48000/3\nm=audio 0 RTP/AVP 96\na=rtpmap:96 multiopus/48000/6\n",
	} {
		d, err := ParseSDP([]byte(s))
		if strings.Contains(s, "opus/48000/3") {
			if err != nil || d.Medias[1].Err == nil {
				t.Errorf("multiopus without mapping: %+v", d)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q: %+v", clip(s), d)
		}
	}
}

// TestAppendSDP is a golden of what DESCRIBE answers.
func TestAppendSDP(t *testing.T) {
	h264, err := av.NewH264(1, [][]byte{unhex("6742c01ed9005005ba10000003001000000303c8f162e480")}, [][]byte{unhex("68cb8cb2")})
	if err != nil {
		t.Fatal(err)
	}
	aac, err := av.NewAAC(2, unhex("1190"))
	if err != nil {
		t.Fatal(err)
	}
	var medias []Media
	for i, tr := range []*av.Track{h264, aac} {
		f, err := FormatOf(tr, uint8(96+i))
		if err != nil {
			t.Fatal(err)
		}
		medias = append(medias, Media{Kind: tr.Kind(), Format: f})
	}
	medias = append(medias, Media{Kind: av.Data}) // cannot be described
	medias[1].Control = "streamid=1"
	const want = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam 1\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n" +
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
		"a=fmtp:96 packetization-mode=1; profile-level-id=42C01E; sprop-parameter-sets=Z0LAHtkAUAW6EAAAAwAQAAADA8jxYuSA,aMuMsg==\r\n" +
		"a=control:trackID=0\r\n" +
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n" +
		"a=fmtp:97 streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; config=1190\r\n" +
		"a=control:streamid=1\r\n"
	if got := string(AppendSDP(nil, "cam\r1", medias)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzSDP: no panic; a media has a format or an error; what can be described is read again as it was.
func FuzzSDP(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join("testdata", "sdp", "*.sdp"))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("m=audio 0 RTP/AVP 96\na=rtpmap:96 multiopus/48000/6\na=fmtp:96 num_streams=4;coupled_streams=2;channel_mapping=0,4,1,2,3,5\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseSDP(b)
		if err != nil {
			return
		}
		for _, m := range d.Medias {
			if (m.Format == nil) == (m.Err == nil) {
				t.Fatalf("%+v", m)
			}
			if m.Format == nil {
				continue
			}
			NewReceiver(1, m.Format, new(Clock), Options{})
			tr := m.Format.Track(1)
			if tr == nil {
				continue
			}
			o, err := FormatOf(tr, 96)
			if err != nil {
				t.Fatalf("%v: %v", tr, err)
			}
			again, err := ParseSDP(AppendSDP(nil, d.Name, []Media{{Format: o}}))
			if err != nil {
				t.Fatalf("%+v: %v", o, err)
			}
			if back := again.Medias[0].Format.Track(1); back == nil || !back.Equal(tr) {
				t.Fatalf("%+v became %+v", tr, back)
			}
			if !o.Fits(tr) {
				t.Fatalf("%+v does not fit %+v", tr, o)
			}
		}
	})
}

// A section names each payload type once, however long its line is: each is looked for in all lines.
func TestManyPayloadTypes(t *testing.T) {
	if n := len(newSection("video 0 RTP/AVP" + strings.Repeat(" 96", 20_000)).formats); n != typesMax {
		t.Errorf("%d payload types", n)
	}
	d, err := ParseSDP([]byte("m=video 0 RTP/AVP 96" + strings.Repeat(" 97", 20_000) + "\na=rtpmap:96 H264/90000\n"))
	if err != nil || d.Medias[0].Format.Codec() != av.H264 {
		t.Errorf("%+v, %v", d, err)
	}
}
