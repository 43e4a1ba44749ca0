package rtsp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// What each method is answered with in each state.
func TestMethods(t *testing.T) {
	requests := map[string]string{
		"OPTIONS": "OPTIONS @x", "GET_PARAMETER": "GET_PARAMETER @x", "SET_PARAMETER": "SET_PARAMETER @x", "DESCRIBE": "DESCRIBE @x",
		"ANNOUNCE": "ANNOUNCE @y|@sdp", "SETUP": "SETUP @x/trackID=2|tcp=2-3", "PLAY": "PLAY @x", "PAUSE": "PAUSE @x",
		"RECORD": "RECORD @y", "TEARDOWN": "TEARDOWN @x", "REDIRECT": "REDIRECT @x", "FOO": "FOO @x",
	}
	setup := map[string]int{ // of what comes before media
		"OPTIONS": 200, "GET_PARAMETER": 200, "SET_PARAMETER": 200, "DESCRIBE": 200, "ANNOUNCE": 200, "SETUP": 200,
		"PLAY": 455, "PAUSE": 200, "RECORD": 455, "TEARDOWN": 200, "REDIRECT": 501, "FOO": 501,
	}
	media := map[string]int{
		"OPTIONS": 200, "GET_PARAMETER": 200, "SET_PARAMETER": 200, "DESCRIBE": 455, "ANNOUNCE": 455, "SETUP": 455,
		"PLAY": 455, "PAUSE": 455, "RECORD": 455, "TEARDOWN": 200, "REDIRECT": 501, "FOO": 501,
	}
	for state, tc := range map[string]struct {
		usual map[string]int
		but   map[string]int
	}{
		"new":        {setup, nil},
		"described":  {setup, nil},
		"set up":     {setup, map[string]int{"PLAY": 200}},
		"announced":  {setup, nil},
		"to record":  {setup, map[string]int{"RECORD": 200}},
		"playing":    {media, map[string]int{"PLAY": 200, "PAUSE": 200}},
		"paused":     {media, map[string]int{"PLAY": 200, "PAUSE": 200}},
		"publishing": {media, map[string]int{"RECORD": 200, "PAUSE": 200}},
	} {
		t.Run(state, func(t *testing.T) {
			for method, text := range requests {
				want := tc.usual[method]
				if code, ok := tc.but[method]; ok {
					want = code
				}
				bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
					h.publish("live/x", 30)
					k := h.talk().stage(state)
					k.ask(want, text)
					if method != "TEARDOWN" || state == "publishing" {
						k.isOpen()
					} else {
						k.closed(time.Second)
					}
				})
			}
		})
	}
}

// What is wrong with a request, whatever it asks for.
func TestOddRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		code int
	}{
		"no CSeq":               {"OPTIONS @x|CSeq: ", 200},
		"odd CSeq":              {"OPTIONS @x|CSeq: -7 x", 200},
		"another version":       {"OPTIONS @x RTSP/2.0", 505},
		"DESCRIBE of version 2": {"DESCRIBE @x RTSP/2.0", 505},
		"somebody's session":    {"GET_PARAMETER @x|Session: 12345678", 454},
		"PLAY in it":            {"PLAY @x|Session: 12345678", 454},
		"RECORD in it":          {"RECORD @x|Session: 12345678", 454},
		"PAUSE in it":           {"PAUSE @x|Session: 12345678;timeout=60", 454},
		"OPTIONS in it":         {"OPTIONS @x|Session: 12345678", 200},
		"no stream":             {"DESCRIBE @nothing", 404},
		"no URL of RTSP":        {"DESCRIBE http://test/live/x", 400},
		"no key":                {"DESCRIBE rtsp://test/live", 400},
		"no key to publish":     {"ANNOUNCE rtsp://test/|@sdp", 400},
		"a URL of nothing":      {"ANNOUNCE rtsp:///|@sdp", 400},
		"SETUP of nothing":      {"SETUP @nothing/trackID=1|tcp=0-1", 404},
		"no SDP":                {"ANNOUNCE @y|body=hello", 400},
		"an empty SDP":          {"ANNOUNCE @y", 400},
		"nothing usable in it":  {"ANNOUNCE @y|body=v=0\r\nm=application 0 TCP/X 96\r\n", 415},
		"a back channel, and nothing else that can be read": {"ANNOUNCE @y|body=v=0\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n" +
			"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/0\r\n", 415},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30)
				k := h.talk()
				r := k.ask(tc.code, tc.text)
				if want := fmt.Sprint(k.cseq); !strings.Contains(tc.text, "CSeq") && (len(r.Header["CSeq"]) != 1 || r.Header["CSeq"][0] != want) {
					t.Errorf("CSeq %v, want %s", r.Header["CSeq"], want)
				}
				_ = k.conn.Close()
				synctest.Wait()
				if n := strings.Count(h.Log(), "session=s2"); n > 3 {
					t.Errorf("%d lines of the log", n)
				}
				switch tc.code {
				case 400, 404, 415:
					h.Logged("session=s2", "refused")
				}
			})
		})
	}
}

// How a media is asked for, by whom who plays.
func TestSetupToPlay(t *testing.T) {
	const udp = "|Transport: RTP/AVP;unicast;client_port=5000-5001"
	for name, tc := range map[string]struct {
		text string
		code int
		want string // in the answer's Transport
	}{
		"by its control":            {"SETUP @x/trackID=2|tcp=4-5", 200, "interleaved=4-5"},
		"without DESCRIBE":          {"SETUP @x/trackID=1|tcp=0-1", 200, "interleaved=0-1"},
		"no such track":             {"SETUP @x/trackID=3|tcp=0-1", 404, ""},
		"track 0":                   {"SETUP @x/trackID=0|tcp=0-1", 200, "interleaved=0-1"},
		"a very large track":        {"SETUP @x/trackID=99999999999999999999|tcp=0-1", 404, ""},
		"the stream's URL":          {"SETUP @x|tcp=0-1", 200, "interleaved=0-1"},
		"a slash at its end":        {"SETUP @x/trackID=1/|tcp=0-1", 200, "interleaved=0-1"},
		"a query before it":         {"SETUP @x?token=1/trackID=1|tcp=0-1", 200, "interleaved=0-1"},
		"a query behind it":         {"SETUP @x/trackID=1?token=1|tcp=0-1", 200, "interleaved=0-1"},
		"in the query":              {"SETUP @x?token=1&trackID=1|tcp=0-1", 200, "interleaved=0-1"},
		"first in the query":        {"SETUP @x?trackID=1&token=1|tcp=0-1", 200, "interleaved=0-1"},
		"another case":              {"SETUP @x/trackid=1|tcp=0-1", 200, "interleaved=0-1"},
		"another host":              {"SETUP rtsp://elsewhere:554/live/x/trackID=1|tcp=0-1", 200, "interleaved=0-1"},
		"a path only":               {"SETUP /live/x/trackID=1|tcp=0-1", 200, "interleaved=0-1"},
		"the control only":          {"SETUP trackID=1|tcp=0-1", 400, ""},
		"no channels":               {"SETUP @x/trackID=2|Transport: RTP/AVP/TCP;unicast", 200, "interleaved=2-3"},
		"one channel":               {"SETUP @x/trackID=2|tcp=6", 200, "interleaved=6-7"},
		"the same channel twice":    {"SETUP @x/trackID=2|tcp=6-6", 200, "interleaved=2-3"},
		"the last channels":         {"SETUP @x/trackID=2|tcp=254-255", 200, "interleaved=254-255"},
		"channels that are none":    {"SETUP @x/trackID=2|tcp=256-257", 461, ""},
		"no transport":              {"SETUP @x/trackID=1", 461, ""},
		"an unknown transport":      {"SETUP @x/trackID=1|Transport: RAW/RAW/UDP;unicast", 461, ""},
		"multicast":                 {"SETUP @x/trackID=1|Transport: RTP/AVP;multicast;port=5000-5001", 461, ""},
		"SRTP":                      {"SETUP @x/trackID=1|Transport: RTP/SAVP;unicast;client_port=5000-5001", 461, ""},
		"UDP where there is none":   {"SETUP @x/trackID=1" + udp, 461, ""},
		"several, the first good":   {"SETUP @x/trackID=1|tcp=0-1,RTP/AVP;multicast", 200, "interleaved=0-1"},
		"several, the last good":    {"SETUP @x/trackID=1|Transport: RTP/AVP;multicast, RTP/AVP;unicast;client_port=5-6,RTP/AVP/TCP;interleaved=0-1", 200, "TCP"},
		"several headers":           {"SETUP @x/trackID=1|Transport: RTP/AVP;multicast|tcp=0-1", 200, "interleaved=0-1"},
		"somebody's session":        {"SETUP @x/trackID=1|tcp=0-1|Session: 1234", 200, "interleaved=0-1"},
		"to record though it plays": {"SETUP @x/trackID=1|tcp=0-1;mode=record", 200, "interleaved=0-1"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30)
				r := h.talk().ask(tc.code, tc.text)
				if got := strings.Join(r.Header["Transport"], ""); !strings.Contains(got, tc.want) {
					t.Errorf("Transport %q, want %q", got, tc.want)
				}
			})
		})
	}
}

// What one media has been given binds the others.
func TestSetupsTogether(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		k := h.talk().stage("described")
		transport := func(want string, text string) {
			t.Helper()
			if got := strings.Join(k.ask(200, text).Header["Transport"], ""); !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", text, got, want)
			}
		}
		transport("interleaved=8-9", "SETUP @x/trackID=1|tcp=8-9")
		session := k.session
		transport("interleaved=2-3", "SETUP @x/trackID=1|tcp=2-3")                        // again
		transport("interleaved=0-1", "SETUP @x/trackID=2|tcp=3-4")                        // the usual are the other's now
		k.ask(461, "SETUP @x/trackID=2|Transport: RTP/AVP;unicast;client_port=5000-5001") // the other goes by TCP
		if k.session != session {
			t.Errorf("session %q, then %q", session, k.session)
		}
		k.ask(200, "PLAY @x|Range: npt=0.000-")
		seen := map[byte]bool{}
		for len(seen) < 4 {
			it, err := k.in.Read()
			if err != nil {
				t.Fatalf("after channels %v: %v", seen, err)
			}
			if it.Frame != nil {
				seen[it.Channel] = true
			}
		}
		for _, c := range []byte{0, 1, 2, 3} {
			if !seen[c] {
				t.Errorf("nothing on channel %d, only %v", c, seen)
			}
		}
	})
}

// How a media is asked for, by whom who publishes.
func TestSetupToRecord(t *testing.T) {
	type step struct {
		text string
		code int
		want string
	}
	for name, steps := range map[string][]step{
		"by their controls":    {{"SETUP @y/trackID=1|tcp=0-1", 200, "interleaved=0-1"}, {"SETUP @y/trackID=2|tcp=2-3", 200, "2-3"}},
		"in any order":         {{"SETUP @y/trackID=2|tcp=0-1", 200, "0-1"}, {"SETUP @y/trackID=1|tcp=2-3", 200, "2-3"}},
		"by odd ones":          {{"SETUP @y/video|tcp=0-1", 200, "0-1"}, {"SETUP @y/audio|tcp=2-3", 200, "2-3"}, {"SETUP @y/more|tcp=4-5", 404, ""}},
		"again":                {{"SETUP @y/trackID=1|tcp=0-1", 200, "0-1"}, {"SETUP @y/trackID=1|tcp=6-7", 200, "6-7"}},
		"the same channels":    {{"SETUP @y/trackID=1|tcp=0-1", 200, "0-1"}, {"SETUP @y/trackID=2|tcp=1-2", 461, ""}},
		"no channels":          {{"SETUP @y/trackID=1|tcp=2-3", 200, "2-3"}, {"SETUP @y/trackID=2|Transport: RTP/AVP/TCP", 200, "0-1"}},
		"one channel for both": {{"SETUP @y/trackID=1|tcp=5-5", 200, "0-1"}},
		"mixed":                {{"SETUP @y/trackID=1|tcp=0-1", 200, "0-1"}, {"SETUP @y/trackID=2|Transport: RTP/AVP;client_port=5-6", 461, ""}},
		"no transport":         {{"SETUP @y/trackID=1", 461, ""}},
		"multicast":            {{"SETUP @y/trackID=1|Transport: RTP/AVP;multicast;port=5-6", 461, ""}},
		"another path":         {{"SETUP rtsp://test/else/where|tcp=0-1", 200, "0-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				k := h.talk().stage("announced")
				for _, s := range steps {
					r := k.ask(s.code, s.text)
					if got := strings.Join(r.Header["Transport"], ""); !strings.Contains(got, s.want) {
						t.Errorf("%s: Transport %q, want %q", s.text, got, s.want)
					}
				}
			})
		})
	}
}

// A media is found by its control, wherever a query stands.
func TestFits(t *testing.T) {
	for _, tc := range []struct {
		raw, base, control string
		want               bool
	}{
		{"rtsp://h/live/x/trackID=1", "rtsp://h/live/x", "trackID=1", true},
		{"rtsp://h/live/x/trackID=1", "rtsp://h/live/x/", "trackID=1", true},
		{"rtsp://h/live/x//trackID=1", "rtsp://h/live/x/", "trackID=1", true},
		{"rtsp://h/live/x/trackID=1/", "rtsp://h/live/x", "trackID=1", true},
		{"rtsp://h/live/x/trackID=11", "rtsp://h/live/x", "trackID=1", false},
		{"rtsp://h/live/x/2trackID=1", "rtsp://h/live/x", "trackID=1", false},
		{"rtsp://h/live/x?t=1/trackID=1", "rtsp://h/live/x?t=1", "trackID=1", true},
		{"rtsp://h/live/x?t=1&trackID=1", "rtsp://h/live/x?t=1", "trackID=1", true},
		{"rtsp://h/live/x/trackID=1?t=1", "rtsp://h/live/x?t=1", "trackID=1", true},
		{"rtsp://h/live/x/trackID=2?t=1", "rtsp://h/live/x?t=1", "trackID=1", false},
		{"rtsp://h/live/x?t=1/trackID=2", "rtsp://h/live/x?t=1", "trackID=1", false},
		{"rtsp://h/trackID=1", "rtsp://h/live/x", "trackID=1", true},
		{"rtsp://10.0.0.1:554/live/x/s0", "rtsp://h/live/x", "rtsp://h:554/live/x/s0", true},
		{"rtsp://h/live/x/s1", "rtsp://h/live/x", "rtsp://h/live/x/s0", false},
		{"rtsp://h/live/x", "rtsp://h/live/x", "", false},
		{"rtsp://h/live/x", "rtsp://h/live/x", "*", false},
	} {
		if got := fits(tc.raw, tc.base, tc.control); got != tc.want {
			t.Errorf("%s of %s, control %s: %v", tc.raw, tc.base, tc.control, got)
		}
	}
}

func TestSplitTrack(t *testing.T) {
	for _, tc := range []struct {
		raw, stream string
		track       int
	}{
		{"rtsp://h/live/x", "rtsp://h/live/x", 0},
		{"rtsp://h/live/x/trackID=1", "rtsp://h/live/x", 1},
		{"rtsp://h/live/x/trackID=12/", "rtsp://h/live/x/", 12},
		{"rtsp://h/live/x/trackID=1?t=1", "rtsp://h/live/x?t=1", 1},
		{"rtsp://h/live/x?t=1/trackID=2", "rtsp://h/live/x?t=1", 2},
		{"rtsp://h/live/x?t=1&trackID=2", "rtsp://h/live/x?t=1", 2},
		{"rtsp://h/live/x?trackID=2&t=1", "rtsp://h/live/x?t=1", 2},
		{"rtsp://h/live/x?trackID=2", "rtsp://h/live/x", 2},
		{"rtsp://h/live/x/trackID=", "rtsp://h/live/x/trackID=", 0},
		{"rtsp://h/live/x/trackID=-1", "rtsp://h/live/x/trackID=-1", 0},
	} {
		if stream, track := splitTrack(tc.raw); stream != tc.stream || track != tc.track {
			t.Errorf("%s: %s and %d, want %s and %d", tc.raw, stream, track, tc.stream, tc.track)
		}
	}
}

// One media that cannot be read does not cost the other one.
func TestBadMediaBesideGood(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		k := h.talk()
		sdp := string(description(encoder().Tracks()))
		sdp += "m=video 0 RTP/AVP 100\r\na=rtpmap:100 nobody-knows/90000\r\na=control:trackID=3\r\n"
		sdp += "m=audio 0 RTP/AVP 101\r\na=rtpmap:101 MPEG4-GENERIC/0\r\na=control:trackID=4\r\n"
		k.asks("ANNOUNCE @y|body="+sdp, "SETUP @y/trackID=4|tcp=6-7", "SETUP @y/trackID=3|tcp=4-5",
			"SETUP @y/trackID=2|tcp=2-3", "SETUP @y/trackID=1|tcp=0-1", "RECORD @y")
		feed(k, 30, func(b []byte) []byte { // packets of the bad ones go between
			b = wire.AppendFrame(b, 4, []byte{0x80, 100, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9})
			return wire.AppendFrame(b, 6, nil)
		})
		h.Logged("publishing", "live/y", "H264", "AAC")
		h.play("live/y")
	})
}

// feed sends units by a session that publishes, as extra makes them.
func feed(k *talker, units int, extra func([]byte) []byte) {
	k.t.Helper()
	f := newFrames()
	for range units {
		b := f.next()
		if extra != nil {
			b = extra(b)
		}
		k.send(b)
	}
}

// Several requests at once are answered in their order.
func TestPipelined(t *testing.T) {
	for name, tc := range map[string]struct {
		texts []string
		media bool
	}{
		"to play": {[]string{
			"OPTIONS @x", "DESCRIBE @x", "SETUP @x/trackID=1|tcp=0-1", "SETUP @x/trackID=2|tcp=2-3", "PLAY @x", "GET_PARAMETER @x",
		}, true},
		"to play and pause": {[]string{"SETUP @x/trackID=1|tcp=0-1", "PLAY @x", "PAUSE @x", "GET_PARAMETER @x"}, false},
		"to publish": {[]string{
			"ANNOUNCE @y|@sdp", "SETUP @y/trackID=1|tcp=0-1", "SETUP @y/trackID=2|tcp=2-3", "RECORD @y", "GET_PARAMETER @y",
		}, false},
		"to stop before it begins": {[]string{"SETUP @x/trackID=1|tcp=0-1", "PLAY @x", "PAUSE @x", "TEARDOWN @x"}, false},
		"to publish nothing":       {[]string{"ANNOUNCE @y|@sdp", "SETUP @y/trackID=1|tcp=0-1", "RECORD @y", "TEARDOWN @y"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				k := h.talk()
				var all []byte
				for _, text := range tc.texts {
					all = append(all, k.request(text)...)
				}
				go func() { _, _ = k.conn.Write(all) }()
				for i, text := range tc.texts {
					r, err := k.answer(fmt.Sprint(i + 1))
					if err != nil {
						t.Fatalf("%s: %v", text, err)
					}
					if r.StatusCode != base.StatusOK {
						t.Errorf("%s: %d", text, r.StatusCode)
					}
				}
				if n, _ := k.media(time.Second); n > 0 != tc.media {
					t.Errorf("%d frames", n)
				}
			})
		})
	}
}

// A player that sends all it has to say, and goes, leaves nothing behind.
func TestPlayAndGone(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		for _, last := range []string{"PLAY @x", "PAUSE @x", "TEARDOWN @x"} {
			k := h.talk()
			var all []byte
			for _, text := range []string{"SETUP @x/trackID=1|tcp=0-1", "PLAY @x", "PAUSE @x", "TEARDOWN @x"} {
				all = append(all, k.request(text)...)
				if strings.HasPrefix(text, last[:5]) {
					break
				}
			}
			go func() { _, _ = k.conn.Write(all) }()
			if _, err := k.answer("1"); err != nil {
				t.Fatal(err)
			}
			_ = k.conn.Close()
			h.Viewers(0)
		}
	})
}

// Frames that nobody has asked for cost nothing: before RECORD, on channels that nobody has.
func TestStrayFrames(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		junk := wire.AppendFrame(wire.AppendFrame(nil, 0, []byte{0x80, 96, 1, 2}), 200, make([]byte, 65535))
		for _, state := range []string{"new", "described", "set up", "to record", "publishing"} {
			k := h.talk().stage(state)
			k.send(junk)
			k.isOpen()
			_ = k.conn.Close()
			synctest.Wait()
			time.Sleep(20 * time.Second) // what is left of a publisher
		}
		if n := strings.Count(h.Log(), "skipped"); n > 2 {
			t.Errorf("%d lines of it", n)
		}
	})
}

// A publishing that ends with TEARDOWN may be followed by another, or by playing.
func TestRounds(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		k := h.talk()
		for range 3 {
			k.session = ""
			k.stage("publishing")
			feed(k, 30, nil)
			h.Publishers(2)
			k.asks("TEARDOWN @y")
			h.Publishers(1)
		}
		k.session = ""
		k.stage("playing")
		if n, err := k.media(time.Second); n == 0 {
			t.Errorf("no media: %v", err)
		}
		k.asks("TEARDOWN @x")
		k.closed(2 * time.Second)
	})
}

// Rounds without media end.
func TestRoundsWithoutMedia(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		k := h.talk()
		for i := 0; ; i++ {
			if i > roundsMax {
				t.Fatalf("%d rounds", i)
			}
			k.session = ""
			if _, err := k.try("ANNOUNCE @y|@sdp"); err != nil {
				break
			}
			k.asks("SETUP @y/trackID=1|tcp=0-1", "RECORD @y", "TEARDOWN @y")
		}
		h.Publishers(0)
	})
}

// RECORD of a name that is taken is refused in the field's words, and the connection ends.
func TestBusy(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/y", 30).keep()
		k := h.talk().stage("to record")
		if r := k.ask(406, "RECORD @y"); r.StatusMessage != "Already publishing" {
			t.Error(r.StatusMessage)
		}
		k.closed(time.Second)
		h.Publishers(1)
		h.Logged("refused to publish", "live/y")
	})
}

// A body of 64 KiB is a description, a longer one is not; nor is one of 17 medias.
func TestDescriptionLimits(t *testing.T) {
	sdp := string(description(encoder().Tracks()))
	pad := func(n int) string {
		var b strings.Builder
		b.WriteString(sdp)
		for n-b.Len() > 202 {
			b.WriteString("a=x:" + strings.Repeat("y", 194) + "\r\n")
		}
		return b.String() + "a=z:" + strings.Repeat("z", n-b.Len()-6) + "\r\n"
	}
	medias := func(n int) string {
		b := "v=0\r\n"
		for range n {
			b += "m=audio 0 RTP/AVP 0\r\n"
		}
		return b
	}
	for name, tc := range map[string]struct {
		body string
		code int
	}{
		"64 KiB": {pad(setupBody), 200}, "more": {pad(setupBody + 1), 413}, "16 medias": {medias(16), 200}, "17 medias": {medias(17), 453},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				k := h.talk()
				b := k.request("ANNOUNCE @y|body=" + tc.body)
				go func() { _, _ = k.conn.Write(b) }()
				r, err := k.answer("1")
				if err != nil || int(r.StatusCode) != tc.code {
					t.Errorf("%+v, %v; want %d", r, err, tc.code)
				}
				_ = k.conn.Close()
			})
		})
	}
}

// Letters that are of other lengths in lower case do not lead astray.
func TestSplitTrackOfLetters(t *testing.T) {
	for _, raw := range []string{
		"rtsp://h/live/" + strings.Repeat("\u023a", 40) + "/trackID=1", "rtsp://h/live/" + strings.Repeat("\u212a", 40) + "/TRACKID=1",
		"trac\u212aID=1/trackID=1", "trackID=", "\xff\xfe/trackID=1",
	} {
		stream, track := splitTrack(raw)
		if i := strings.LastIndex(raw, "/"); i > 0 && (track != 1 || stream != raw[:i]) {
			t.Errorf("%q: %q and %d", raw, stream, track)
		}
	}
}
