package httplive

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/sim"
)

// HEAD and GET say the same, which for fMP4 names the codecs.
func TestContentType(t *testing.T) {
	for _, tc := range []struct {
		name    string
		media   sim.Options
		flv, ts string
		mp4     string
	}{
		{
			"picture and sound",
			sim.Options{Video: av.H264, Audio: av.AAC},
			"video/x-flv", "video/mp2t", `video/mp4; codecs="avc1.64000d,mp4a.40.2"`,
		},
		{"picture", sim.Options{Video: av.H264}, "video/x-flv", "video/mp2t", `video/mp4; codecs="avc1.64000d"`},
		{"sound", sim.Options{Audio: av.Opus}, "video/x-flv", "video/mp2t", `audio/mp4; codecs="opus"`},
		{"what is left out", sim.Options{Video: av.VP8, Audio: av.AAC}, "video/x-flv", "video/mp2t", `audio/mp4; codecs="mp4a.40.2"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
				publishMedia(t, h, tc.media).write(30)
				for i, want := range []string{tc.flv, tc.ts, tc.mp4} {
					c := h.MustDial("HTTP")
					for _, method := range []string{"HEAD", "HEAD", "GET"} { // on the same connection
						resp := ask(t, c, method, "/live/x"+kinds[i].suffix)
						got, cache := resp.Header.Get("Content-Type"), resp.Header.Get("Cache-Control")
						if resp.StatusCode != http.StatusOK || got != want || cache != "no-store" {
							t.Errorf("%s: %d %q %q, want %q", method, resp.StatusCode, got, cache, want)
						}
					}
				}
				h.Viewers(3)
			})
		})
	}
}

// The room's list of codecs is what the formats carry, together.
func TestCodecs(t *testing.T) {
	all := formats(flv.Enhanced)
	for _, c := range av.Codecs() {
		if c == av.Opaque { // which is any other coding
			continue
		}
		track := &av.Track{ID: 1, Codec: c}
		if slices.Contains(Protocol().Play, c) && c != av.KLV {
			track = sim.NewTrack(1, c, 0)
		}
		want := slices.ContainsFunc(all, func(f *format) bool { return f.carries(track) })
		if got := slices.Contains(Protocol().Play, c); got != want {
			t.Errorf("%v: listed %v, carried %v", c, got, want)
		}
	}
}

func TestLeftOut(t *testing.T) {
	vp8, h264, other := sim.NewTrack(1, av.VP8, 0), sim.NewTrack(1, av.H264, 0), sim.NewTrack(5, av.H264, 0)
	sound, second, klv := sim.NewTrack(2, av.AAC, 0), sim.NewTrack(3, av.Opus, 0), &av.Track{ID: 33, Codec: av.KLV}
	const one = ": a viewer gets one track of "
	for _, tc := range []struct {
		name         string
		tracks       []*av.Track
		flv, ts, mp4 string
	}{
		{"nothing", []*av.Track{h264, sound}, "", "", ""},
		{"no place", []*av.Track{vp8, sound}, "", "VP8 352x288: MPEG-TS has no place for it", "VP8 352x288: fMP4 has no place for it"},
		{
			"several of a kind",
			[]*av.Track{h264, sound, second, other},
			second.String() + one + "audio; " + other.String() + one + "video", "", second.String() + one + "audio; " + other.String() + one + "video",
		},
		{"data", []*av.Track{sound, klv}, "KLV: FLV has no place for it", "", "KLV: fMP4 has no place for it"},
	} {
		for i, want := range []string{tc.flv, tc.ts, tc.mp4} {
			f := kinds[i].format
			if got := f.leftOut(tc.tracks, f.pick(tc.tracks)); got != want {
				t.Errorf("%s: %s: %q, want %q", tc.name, f.name, got, want)
			}
		}
	}
}

// What is left out is logged once for all viewers of a format, and they get the rest.
func TestLeftOutIsLogged(t *testing.T) {
	everyKind(t, "", func(t *testing.T, k kind) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			publishMedia(t, h, sim.Options{Video: av.VP8, Audio: av.AAC}).write(30)
			for range 3 {
				resp := ask(t, h.MustDial("HTTP"), "GET", "/live/x"+k.suffix)
				p := &playback{read: k.read(resp.Body)}
				_, err := p.Read()
				if err != nil {
					t.Fatal(err)
				}
			}
			want := 1
			if k.name == "FLV" {
				want = 0
			}
			if n := strings.Count(h.Log(), `msg="tracks are left out"`); n != want {
				t.Errorf("logged %d times, want %d:\n%s", n, want, h.Log())
			}
			if want > 0 {
				h.Logged("tracks are left out", "level=WARN", "protocol="+k.http, "stream=live/x", "VP8", k.name+" has no place for it")
			}
		})
	})
}

// A stream of which a format carries nothing is refused, and played in another.
func TestUncarried(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		publishMedia(t, h, sim.Options{Video: av.VP8}).write(30)
		for _, k := range kinds {
			head := ask(t, h.MustDial("HTTP"), "HEAD", "/live/x"+k.suffix)
			if k.name == "FLV" {
				if head.StatusCode != http.StatusOK {
					t.Errorf("%s: %d", k.name, head.StatusCode)
				}
				continue
			}
			if head.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("%s: %d", k.name, head.StatusCode)
			}
			if r := body(t, ask(t, h.MustDial("HTTP"), "GET", "/live/x"+k.suffix)); r.Code != 415 || r.Error != "uncarried" {
				t.Errorf("%s: %+v", k.name, r)
			}
			s, err := shake(h.MustDial("HTTP"), "/live/x"+k.suffix)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = s.next(); codeOf(err) != "4415" {
				t.Errorf("%s: %v", k.socket, err)
			}
		}
	})
}

// Viewers of fMP4 who were told other tracks than those that come are ended, and say so; viewers of what tells as it goes stay.
func TestTracksChanged(t *testing.T) {
	usual := sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10}
	for _, tc := range []struct {
		name          string
		before, after sim.Options
		then          string // Content-Type for who comes again
	}{
		{"other pictures", usual, sim.Options{Video: av.H265, Audio: av.AAC, GOP: 10}, `video/mp4; codecs="hvc1.1.2.L153.80,mp4a.40.2"`},
		{"other sound", usual, sim.Options{Video: av.H264, Audio: av.Opus, GOP: 10}, `video/mp4; codecs="avc1.64000d,opus"`},
		{"no sound", usual, sim.Options{Video: av.H264, GOP: 10}, `video/mp4; codecs="avc1.64000d"`},
		{"sound", sim.Options{Video: av.H264, GOP: 10}, usual, `video/mp4; codecs="avc1.64000d,mp4a.40.2"`},
	} {
		everyKind(t, tc.name, func(t *testing.T, k kind) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
				first := publishMedia(t, h, tc.before)
				first.write(30)
				c := h.MustDial("HTTP")
				resp := ask(t, c, "GET", "/live/x"+k.suffix)
				var ended error
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					_, ended = io.Copy(io.Discard, resp.Body)
				}()
				s, err := shake(h.MustDial("HTTP"), "/live/x"+k.suffix)
				if err != nil {
					t.Fatal(err)
				}
				said := make(chan error, 1)
				go func() {
					for {
						if _, err := s.next(); err != nil {
							said <- err
							return
						}
					}
				}()
				h.Viewers(2)
				first.Release(errBroken) // another may go on
				synctest.Wait()
				o := tc.after
				o.Origin = 1
				second := publishMedia(t, h, o)
				for range 200 { // 4 s and more
					second.write(1)
					synctest.Wait()
				}
				if k.name != "fMP4" {
					h.Viewers(2)
					_ = c.Close()
					<-gone
					return
				}
				h.Viewers(0)
				<-gone
				if ended != nil {
					t.Errorf("the body ends with %v", ended)
				}
				if err, ok := errors.AsType[codeError](<-said); !ok || err.code != closeAgain || err.reason != "tracks-changed" {
					t.Errorf("the WebSocket ends with %v", err)
				}
				for _, name := range []string{k.http, k.socket} {
					h.Logged("stopped playing", "protocol="+name, `cause="tracks changed"`)
				}
				if got := ask(t, h.MustDial("HTTP"), "GET", "/live/x"+k.suffix).Header.Get("Content-Type"); got != tc.then {
					t.Errorf("again: %q, want %q", got, tc.then)
				}
				second.write(1)
				h.Viewers(1)
			})
		})
	}
}

// The key picture that a viewer begins with may be older than the first sound: its init segment has both, as it was told.
func TestFirstSound(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		src := publishMedia(t, h, sim.Options{Video: av.H264, Audio: av.AAC})
		src.write(10) // no other key picture
		s, err := shake(h.MustDial("HTTP"), "/live/x.live.mp4")
		if err != nil {
			t.Fatal(err)
		}
		init, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		if want := fmp4.AppendInit(nil, src.Stream().Tracks()); !bytes.Equal(init, want) || len(src.Stream().Tracks()) != 2 {
			t.Errorf("begins with %d bytes that are not the init segment of both tracks", len(init))
		}
		for range 9 {
			unit, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if string(unit[4:8]) != "moof" {
				t.Errorf("then %q", unit[4:8])
			}
		}
		h.Viewers(1)
	})
}

// One message is what a muxer makes at a time, and nothing is no message.
func TestMessages(t *testing.T) {
	begins := map[string]string{"FLV": "FLV", "MPEG-TS": "G", "fMP4": "\x00\x00\x00\x18ftyp"}
	everyKind(t, "", func(t *testing.T, k kind) {
		bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
			src := publish(t, h)
			s, err := shake(h.MustDial("HTTP"), "/live/x"+k.suffix)
			if err != nil {
				t.Fatal(err)
			}
			h.Viewers(1)
			src.write(20)
			for i := range 10 {
				message, err := s.next()
				if err != nil || len(message) == 0 {
					t.Fatalf("message %d: %d bytes, %v", i, len(message), err)
				}
				if i == 0 && !strings.HasPrefix(string(message), begins[k.name]) {
					t.Errorf("the first begins with % x", message[:min(len(message), 16)])
				}
				switch k.name {
				case "MPEG-TS":
					if len(message)%188 != 0 {
						t.Errorf("message %d has %d bytes", i, len(message))
					}
				case "fMP4":
					if i > 0 && string(message[4:8]) != "moof" {
						t.Errorf("message %d is %q", i, message[4:8])
					}
				}
			}
		})
	})
}

// quitter is a muxer that has given up.
type quitter struct {
	flvMuxer
	err error
}

func (q quitter) Err() error { return q.err }

// What frames a muxer says what that says.
func TestFramedErr(t *testing.T) {
	if err := (framed{newFLV(flv.Enhanced)}).Err(); err != nil {
		t.Errorf("a muxer that never gives up: %v", err)
	}
	for _, want := range []error{nil, fmp4.ErrTracksChanged} {
		if err := (framed{quitter{newFLV(flv.Enhanced), want}}).Err(); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	told := &fmp4.Muxer{Told: []*av.Track{sim.NewTrack(1, av.H264, 0)}}
	told.Config(nil, told.Told, nil, 0)
	told.Config(nil, []*av.Track{sim.NewTrack(1, av.H265, 0)}, told.Told, time.Second)
	if err := (framed{told}).Err(); !errors.Is(err, fmp4.ErrTracksChanged) {
		t.Errorf("fMP4: %v", err)
	}
	if r := refusalOf(fmp4.ErrTracksChanged); r.Code != http.StatusServiceUnavailable || r.Error != "tracks-changed" {
		t.Errorf("refused with %+v", r)
	}
}
