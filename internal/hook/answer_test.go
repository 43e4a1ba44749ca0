package hook

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/zlm"
)

func TestAnswerCode(t *testing.T) {
	for text, code := range map[string]int{
		`{"code":0}`: 0, `{"code":-1}`: -1, `{"code":401,"msg":"Unauthorized"}`: 401, `{"code":"0"}`: 0, `{"code":"-7"}`: -7, `{"code": 0 }`: 0,
		` {"msg":null,"code":0,"data":{"code":5}} `: 0, `{"code":0.0}`: 0, `{"code":1e2}`: 100, `{"code":-0}`: 0, `{"code":"0.0"}`: 0,
		`{"code":2147483647}`: math.MaxInt32, `{"code":-2147483648}`: math.MinInt32,
		`{"code":1,"code":0}`: 0, `{"code":0,"code":1}`: 1, `{"Code":1,"code":0}`: 0, "\n{\t\"code\"\r\n:\t0}": 0,
	} {
		a, err := parseAnswer([]byte(text))
		if err != nil || a.code != code {
			t.Errorf("%s: %d, %v, want %d", text, a.code, err, code)
		}
	}
	for _, text := range []string{
		``, ` `, `null`, `0`, `"0"`, `[]`, `[{"code":0}]`, `{}`, `{"code":null}`, `{"code":true}`, `{"code":false}`, `{"code":""}`, `{"code":"ok"}`,
		`{"code":0.5}`, `{"code":"0.5"}`, `{"code":[0]}`, `{"code":{"code":0}}`, `{"Code":0}`, `{"code":2147483648}`, `{"code":1e99}`, `{"code":1e999}`,
		`{"code":"NaN"}`, `{"code":"Inf"}`, `{"code":"0x0"}`, `{"code":"0x0p0"}`, `{"code":0`, `{"code":0}}`, `{"code":0}{"code":0}`, `{code:0}`,
		`<html>`, `ok`, "\x00", "\xff\xfe{\x00}", `{"code":0,}`, `{"code":0,"x":` + strings.Repeat("[", 100_000), `{"a":` + strings.Repeat(`{"a":`, 20_000),
		strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000),
	} {
		if a, err := parseAnswer([]byte(text)); !errors.Is(err, errAnswer) {
			t.Errorf("%.60s: code %d, %v, want no answer", text, a.code, err)
		}
	}
}

func TestAnswerMessage(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{`{"code":401,"msg":"Unauthorized"}`, "denied: Unauthorized (code 401)"},
		{`{"code":-1,"msg":"推流鉴权失败"}`, "denied: 推流鉴权失败 (code -1)"},
		{`{"code":-1,"msg":null}`, "denied: code -1"},
		{`{"code":-1}`, "denied: code -1"},
		{`{"code":-1,"msg":{"a":1}}`, "denied: code -1"},
		{`{"code":-1,"msg":7}`, "denied: 7 (code -1)"},
		{`{"code":1,"msg":"a\r\nb\u0000c\u001b[31m\u2028d\u202ee\ud800"}`, "denied: a  b c [31m d e  (code 1)"},
		{`{"code":1,"msg":"` + strings.Repeat("é", 500) + `"}`, "denied: " + strings.Repeat("é", 100) + "... (code 1)"},
		{`{"code":1,"msg":"x` + strings.Repeat("é", 500) + `"}`, "denied: x" + strings.Repeat("é", 99) + "... (code 1)"},
	} {
		a, err := parseAnswer([]byte(c.answer))
		if err != nil {
			t.Fatal(c.answer, err)
		}
		if err := a.refusal(); err.Error() != c.want || !errors.Is(err, hub.ErrDenied) {
			t.Errorf("%.40s: %q, want %q", c.answer, err, c.want)
		}
	}
}

func TestAnswerTruth(t *testing.T) {
	for value, want := range map[string][2]bool{
		`true`: {true, true}, `false`: {false, true}, `1`: {true, true}, `0`: {false, true}, `-1`: {true, true}, `0.0`: {false, true}, `0.5`: {true, true},
		`"true"`: {true, true}, `"TRUE"`: {true, true}, `"false"`: {false, true}, `"1"`: {true, true}, `"0"`: {false, true}, `"no"`: {false, true},
		`"NaN"`: {false, true}, `null`: {}, `""`: {}, `[]`: {}, `[true]`: {}, `{}`: {}, `{"a":true}`: {},
	} {
		a, err := parseAnswer([]byte(`{"code":0,"close":` + value + `}`))
		if err != nil {
			t.Fatal(value, err)
		}
		is, ok := a.truth("close")
		if got := [2]bool{is, ok}; got != want {
			t.Errorf("%s: %v, want %v", value, got, want)
		}
		if is, ok := a.truth("absent"); is || ok {
			t.Error("what is not there is there")
		}
	}
}

func ms(n int) *time.Duration { return new(time.Duration(n) * time.Millisecond) }

// what wvp answers to on_publish: all that it does not set is null.
const wvp = `{"code":0,"msg":"success","enable_audio":true,"enable_mp4":null,"mp4_max_second":null,"mp4_save_path":null,"stream_replace":null,` +
	`"modify_stamp":null,"continue_push_ms":null,"auto_close":null,"enable_hls":null,"enable_hls_fmp4":null,"enable_rtsp":null,"enable_rtmp":null,` +
	`"enable_ts":null,"enable_fmp4":null,"on_conflict":null,"identity":null}`

func TestPermit(t *testing.T) {
	long := strings.Repeat("x", 600)
	for _, c := range []struct {
		answer string
		want   hub.Permit
		says   map[zlm.Schema]bool
	}{
		{answer: yes},
		{answer: wvp, want: hub.Permit{Terms: hub.Terms{Audio: new(true)}}},
		{answer: `{"code":0,"stream_replace":"","continue_push_ms":"","auto_close":"","enable_rtsp":"","modify_stamp":"","on_conflict":"","identity":""}`},
		{answer: `{"code":0,"stream_replace":{"a":1},"continue_push_ms":[5],"auto_close":{},"enable_rtsp":[false],"modify_stamp":[1],"on_conflict":["reject"]}`},
		{answer: `{"code":0,"unknown":true,"enable_mp4":false,"hls_demand":true,"mp4_as_player":"x","paced_sender_ms":40,"max_track":2}`},

		{answer: `{"code":0,"stream_replace":"340200_001"}`, want: hub.Permit{Key: key("340200_001")}},
		{answer: `{"code":0,"stream_replace":34020000}`, want: hub.Permit{Key: key("34020000")}},
		{answer: `{"code":0,"stream_replace":"a/b"}`, want: hub.Permit{Key: key("a/b")}},
		{answer: `{"code":0,"stream_replace":"摄像头"}`, want: hub.Permit{Key: key("摄像头")}},
		{answer: `{"code":0,"identity":"` + long[:256] + `"}`, want: hub.Permit{Identity: long[:256]}},
		{answer: `{"code":0,"on_conflict":"takeover"}`, want: hub.Permit{OnConflict: hub.Takeover}},

		{answer: `{"code":0,"continue_push_ms":5000}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(5000)}}},
		{answer: `{"code":0,"continue_push_ms":"5000"}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(5000)}}},
		{answer: `{"code":0,"continue_push_ms":10.7}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(10)}}},
		{answer: `{"code":0,"continue_push_ms":false}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(0)}}},
		{answer: `{"code":0,"continue_push_ms":-1}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(0)}}},
		{answer: `{"code":0,"continue_push_ms":-1e300}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(0)}}},
		{answer: `{"code":0,"continue_push_ms":1e300}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(600_000)}}},
		{answer: `{"code":0,"continue_push_ms":"Inf"}`, want: hub.Permit{Terms: hub.Terms{Resume: ms(600_000)}}},
		{answer: `{"code":0,"continue_push_ms":"NaN"}`},
		{answer: `{"code":0,"continue_push_ms":"soon"}`},

		{answer: `{"code":0,"auto_close":1}`, want: hub.Permit{Terms: hub.Terms{CloseIdle: new(true)}}},
		{answer: `{"code":0,"auto_close":"false"}`, want: hub.Permit{Terms: hub.Terms{CloseIdle: new(false)}}},
		{answer: `{"code":0,"enable_audio":false}`, want: hub.Permit{Terms: hub.Terms{Audio: new(false)}}},
		{answer: `{"code":0,"enable_audio":"0"}`, want: hub.Permit{Terms: hub.Terms{Audio: new(false)}}},
		{answer: `{"code":0,"enable_audio":1}`, want: hub.Permit{Terms: hub.Terms{Audio: new(true)}}},
		{answer: `{"code":0,"enable_audio":null}`},
		{answer: `{"code":0,"modify_stamp":0}`, want: hub.Permit{Terms: hub.Terms{Stamps: stream.Absolute}}},
		{answer: `{"code":0,"modify_stamp":"1"}`, want: hub.Permit{Terms: hub.Terms{Stamps: stream.Receive}}},
		{answer: `{"code":0,"modify_stamp":2}`, want: hub.Permit{Terms: hub.Terms{Stamps: stream.Relative}}},
		{answer: `{"code":0,"modify_stamp":3}`},
		{answer: `{"code":0,"modify_stamp":1.5}`},
		{answer: `{"code":0,"modify_stamp":"NaN"}`},

		{answer: `{"code":0,"enable_rtsp":0}`, says: map[zlm.Schema]bool{zlm.RTSP: false}},
		{answer: `{"code":0,"enable_rtsp":true,"enable_rtmp":null}`, says: map[zlm.Schema]bool{zlm.RTSP: true}},
		{
			answer: `{"code":0,"enable_hls":"false","enable_hls_fmp4":false,"enable_ts":true,"enable_rtmp":1}`,
			says:   map[zlm.Schema]bool{zlm.HLS: false, zlm.HLSFMP4: false, zlm.TS: true, zlm.RTMP: true},
		},
		{
			answer: `{"code":0,"enable_rtmp":0,"enable_rtsp":0,"enable_ts":0,"enable_fmp4":0,"enable_hls":0,"enable_hls_fmp4":0}`,
			says:   map[zlm.Schema]bool{zlm.RTMP: false, zlm.RTSP: false, zlm.TS: false, zlm.FMP4: false, zlm.HLS: false, zlm.HLSFMP4: false},
		},
	} {
		a, err := parseAnswer([]byte(c.answer))
		if err != nil {
			t.Fatal(c.answer, err)
		}
		p, err := a.permit(key("cam1"))
		if err != nil {
			t.Errorf("%.80s: %v", c.answer, err)
		}
		c.want.Terms.Serves = zlm.Serves(c.says)
		if !reflect.DeepEqual(p, c.want) {
			t.Errorf("%.80s: %+v, want %+v", c.answer, p, c.want)
		}
	}
}

func TestPermitRefused(t *testing.T) {
	for _, name := range []string{`../x`, `a/../b`, `.`, `..`, `/x`, `x/`, `a//b`, `a\nb`, `a\u0000`, `\u0085`, strings.Repeat("x", 600)} {
		a, err := parseAnswer([]byte(`{"code":0,"stream_replace":"` + name + `"}`))
		if err != nil {
			t.Fatal(name, err)
		}
		if p, err := a.permit(key("cam1")); !errors.Is(err, hub.ErrBadName) || len(err.Error()) > 300 {
			t.Errorf("%.20s: %v, %v", name, p, err)
		}
	}
	a, _ := parseAnswer([]byte(`{"code":0,"identity":"` + strings.Repeat("x", 257) + `"}`))
	if _, err := a.permit(key("cam1")); err == nil {
		t.Error("an identity may be as long as it wants")
	}
}

// The name's virtual host stays, and its application: only the name is the platform's to change.
func TestPermitKey(t *testing.T) {
	a, _ := parseAnswer([]byte(`{"code":0,"stream_replace":"b/c"}`))
	p, err := a.permit(hub.Key{VHost: "tv.example", App: "live", Name: "a"})
	if want := (hub.Key{VHost: "tv.example", App: "live", Name: "b/c"}); err != nil || p.Key != want {
		t.Errorf("%v, %v", p.Key, err)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		yes, wvp, `{"code":401,"msg":"no"}`, `{"code":"0","close":true}`, `{"code":0,"stream_replace":"a/b","continue_push_ms":1e9,"modify_stamp":"1"}`,
		`{"code":0,"enable_rtsp":"0","identity":"a","on_conflict":"takeover"}`, `{"code":0.0,"stream_replace":"../x"}`, `[]`, ``, `{"code":1,"msg":"\ud800\u2028"}`,
		`{"code":0,"continue_push_ms":"-Inf","auto_close":{"a":[1]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAnswer(text)
		if err != nil {
			if !errors.Is(err, errAnswer) {
				t.Errorf("%v", err)
			}
			return
		}
		if !json.Valid(text) {
			t.Error("it is an answer and no JSON")
		}
		if text := a.refusal().Error(); len(text) > 300 || strings.ContainsAny(text, "\r\n\x00\x1b") {
			t.Errorf("%q", text)
		}
		a.truth("close")
		p, err := a.permit(key("cam1"))
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if r := p.Terms.Resume; r != nil && (*r < 0 || *r > resumeMost) {
			t.Errorf("resume window %v", *r)
		}
		if p.Key != (hub.Key{}) {
			k, err := hub.ParseKey(p.Key.App + "/" + p.Key.Name)
			if err != nil || k != p.Key || k.App != "live" {
				t.Errorf("renamed to %v: %v", p.Key, err)
			}
		}
		again, err := a.permit(key("cam1"))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("once %+v, once %+v, %v", p, again, err)
		}
	})
}
