package e2e

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// codecCase is a codec that no encoder of this machine can publish: the tests' own publisher does, with units of a real
// bitstream.
type codecCase struct {
	codec  av.Codec
	clip   clip
	read   func(testing.TB, []byte) []*av.AccessUnit
	forms  []flv.Form
	judges []flv.Form // the forms that mpegts.js understands
}

var (
	bothForms = []flv.Form{flv.Enhanced, flv.Legacy}
	enhanced  = []flv.Form{flv.Enhanced}
)

const small = "-t 2 -g 25 -pix_fmt yuv420p -b:v 150k -an "

var codecCases = []codecCase{
	{
		av.H265, mediaClip("v.hevc", small+"-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=0:aud=1:pools=1 -f hevc"),
		readHEVC, bothForms, bothForms,
	},
	{av.AV1, mediaClip("av1.ivf", small+"-c:v libaom-av1 -cpu-used 8 -usage realtime -lag-in-frames 0 -f ivf"), readAV1, bothForms, enhanced},
	{av.VP9, mediaClip("vp9.ivf", small+"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -f ivf"), readVP9, bothForms, nil},
	{av.VP8, mediaClip("vp8.ivf", small+"-c:v libvpx -deadline realtime -cpu-used 8 -auto-alt-ref 0 -f ivf"), readVP8, bothForms, nil},
	{av.Opus, mediaClip("a.opus", "-t 2 -vn -c:a libopus -ar 48000 -b:a 48k -f ogg"), readOpus, bothForms, enhanced},
	{av.FLAC, mediaClip("a.flac", "-t 2 -vn -c:a flac -ar 44100 -f flac"), readFLAC, enhanced, enhanced},
	{av.AC3, mediaClip("a.ac3", "-t 2 -vn -c:a ac3 -ar 48000 -b:a 96k -f ac3"), readAC3, enhanced, nil},
	{av.PCMA, mediaClip("a.alaw", "-t 2 -vn -c:a pcm_alaw -ar 8000 -f alaw"), readG711(av.PCMA), bothForms, nil},
	{av.PCMU, mediaClip("a.ulaw", "-t 2 -vn -c:a pcm_mulaw -ar 8000 -f mulaw"), readG711(av.PCMU), bothForms, nil},
}

// TestCodecs publishes each codec in each form and reads it back in that form: over RTMP and HTTP-FLV with our own reader, bit by
// bit, and with mpegts.js where it knows the codec, over HTTP-FLV, WebSocket-FLV, and RTMP by way of rtmpdump.
func TestCodecs(t *testing.T) {
	t.Parallel()
	servers := map[flv.Form]*server{}
	for _, form := range bothForms {
		servers[form] = serve(t, "play.wait=1m", "rtmp.form="+form.String(), "httplive.form="+form.String())
	}
	for _, c := range codecCases {
		for _, form := range c.forms {
			t.Run(fmt.Sprintf("%v/%v", c.codec, form), func(t *testing.T) {
				t.Parallel()
				c.run(t, servers[form], form)
			})
		}
	}
}

func (c codecCase) run(t *testing.T, s *server, form flv.Form) {
	t.Helper()
	units := c.read(t, elementary(t, c.clip))
	if len(units) < 15 {
		t.Fatalf("only %d units in %s", len(units), c.clip.file)
	}
	name := fmt.Sprintf("codec-%v-%v", c.codec, form)
	views := map[string]*viewing{"RTMP": view(t, s.rtmpURL(name)), "HTTP-FLV": view(t, s.flvURL(name))}
	viewers := len(views)
	var readers []*process
	var dump *process
	file := filepath.Join(t.TempDir(), "dump.flv")
	if slices.Contains(c.judges, form) {
		readers = []*process{startReader(t, s.flvURL(name)), startReader(t, s.wsURL(name))}
		dump = start(t, "rtmpdump", "-q", "--live", "-r", s.rtmpURL(name), "-o", file)
		viewers += 3
	}
	s.awaitWaiting(t, name, viewers)

	video, audio := units[0].Track, (*av.Track)(nil)
	if video.Kind() == av.Audio {
		video, audio = nil, video
	}
	p := publish(t, s, name, form, video, audio)
	p.send(0, units[0]) // everybody begins with it
	s.awaitPlaying(t, name, viewers)
	if err := p.pace(t.Context(), units[1:]); err != nil {
		t.Fatal(err)
	}
	p.end()

	for over, v := range views {
		if err := identical(v.wait(t, 20*time.Second), units, form); err != nil {
			t.Errorf("%s: %v", over, err)
		}
	}
	if dump == nil {
		return
	}
	dump.succeed(t, playLimit)
	readers = append(readers, startReader(t, file))
	source := recordingOf(units)
	for _, r := range readers {
		r.succeed(t, playLimit)
		clean(t, r)
		parseReader(t, r.out.String()).same(t, source, 0)
	}
}

// identical compares units that came with those that were sent.
func identical(got []arrival, want []*av.AccessUnit, form flv.Form) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d units, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		switch {
		case !g.Track.Equal(w.Track) && (w.Track.Codec != av.Opus || form != flv.Legacy): // which has no place for Opus's header
			return fmt.Errorf("unit %d: track %v, want %v", i, g.Track, w.Track)
		case !slices.EqualFunc(g.Data, w.Data, bytes.Equal):
			return fmt.Errorf("unit %d: other bytes (%d elements, want %d)", i, len(g.Data), len(w.Data))
		case g.DTS-got[0].DTS != w.DTS-want[0].DTS || g.PTS-g.DTS != w.PTS-w.DTS || g.Key != w.Key:
			return fmt.Errorf("unit %d: DTS %v, PTS %v, key %v; want %v, %v, %v", i, g.DTS, g.PTS, g.Key, w.DTS, w.PTS, w.Key)
		}
	}
	return nil
}

// recordingOf is what an independent program should find of units: H.265 with a length before each NAL unit, AV1 with a size in
// each OBU.
func recordingOf(units []*av.AccessUnit) *recording {
	r := newRecording()
	for _, u := range units {
		h := md5.New()
		for _, d := range u.Data {
			switch u.Track.Codec { //nolint:exhaustive // the others are as they are
			case av.H265:
				_ = binary.Write(h, binary.BigEndian, uint32(len(d)))
			case av.AV1:
				h.Write(binary.AppendUvarint([]byte{d[0] | 2}, uint64(len(d)-1)))
				d = d[1:]
			}
			h.Write(d)
		}
		kind := u.Track.Kind().String()
		r.codec[kind] = map[av.Codec]string{av.H265: "hevc", av.AV1: "av1", av.Opus: "opus", av.FLAC: "flac"}[u.Track.Codec]
		r.add(kind, sample{u.DTS.Milliseconds(), u.PTS.Milliseconds(), u.Key, hex.EncodeToString(h.Sum(nil))})
	}
	return r
}

// codecTable is README.md's table of TestCodecs.
func codecTable() string {
	b := &strings.Builder{}
	b.WriteString("| codec | enhanced | legacy | mpegts.js |\n|---|---|---|---|\n")
	for _, c := range codecCases {
		legacy, judged := " ", []string{}
		if slices.Contains(c.forms, flv.Legacy) {
			legacy = " x "
		}
		for _, f := range c.judges {
			judged = append(judged, f.String())
		}
		fmt.Fprintf(b, "| %v | x |%s| %s |\n", c.codec, legacy, strings.Join(judged, ", "))
	}
	return b.String()
}
