package server_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ set, wrong string }{
		{"log.level=debug", ""},
		{"rtmp.tls.listen=:1936", "rtmp.tls.listen: needs"},
		{"http.tls.listen=:8443", "http.tls.listen: needs"},
		{"tls.cert=none.pem tls.key=none.pem", "none.pem"},
		{"tls.cert=none.pem", "belong together"},
		{"rtmp.listen=:8080 http.listen=:8080", "RTMP and HTTP cannot both listen on :8080"},
		{"rtmp.listen=127.0.0.1:8080 http.listen=:8080", "RTMP and HTTP cannot both listen on :8080 and 127.0.0.1:8080"},
		{"rtmp.listen=127.0.0.1:8080 http.listen=127.0.0.2:8080", ""},
		{"watch.listen=:8080", "HTTP and watch cannot both listen on :8080"},
		{"watch.listen=127.0.0.1:1935", "RTMP and watch cannot both listen on 127.0.0.1:1935 and :1935"},
		{"http.listen=:8081", ""}, // watch.listen yields
		{"rtmp.listen= http.listen= rtsp.listen=", "every listener is off"},
		{"data=", "a folder is needed"},
	} {
		cfg, err := conf.Load(conf.Source{Set: strings.Fields(c.set), Known: server.Known()})
		if err == nil {
			err = server.Check(cfg)
		}
		if c.wrong == "" {
			if err != nil {
				t.Errorf("%s: %v", c.set, err)
			}
			continue
		}
		var problems conf.Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.set, err, c.wrong)
		}
	}
}

// TestWatchYields: the supervisor's usual port is nobody's who has not asked for it.
func TestWatchYields(t *testing.T) {
	for set, want := range map[string]string{
		"log.level=info": "127.0.0.1:8081", "http.listen=:8081": "", "rtmp.listen=127.0.0.1:8081": "",
		"http.listen=127.0.0.2:8081": "127.0.0.1:8081", "watch.listen=": "", "http.listen=:8081 watch.listen=:8082": ":8082",
	} {
		cfg, err := conf.Load(conf.Source{Set: strings.Fields(set), Known: server.Known()})
		if err != nil {
			t.Fatal(err)
		}
		if w, err := server.WatchingOf(cfg); err != nil || w.Listen != want {
			t.Errorf("%s: %q, %v; want %q", set, w.Listen, err, want)
		}
	}
}

// nonsense is what no number of the configuration may be, or only where sane says so.
var nonsense = map[reflect.Type][]string{
	reflect.TypeFor[time.Duration](): {"0s", "1ns", "-1ns", "2562047h", "1000000000h", "1e9", "NaN"},
	reflect.TypeFor[conf.Size]():     {"0", "1", "-1", "9223372036854775807", "8388608TiB", "1e9"},
	reflect.TypeFor[int]():           {"0", "-1", "9223372036854775807", "9223372036854775808", "1e9"},
}

// sane lists the settings, besides those whose documentation says what 0 is, that may be what looks like nonsense.
var sane = map[string][]string{
	"0s":  {"play.wait", "egress.audio_hold"},
	"1":   {"hooks.flow_threshold"},
	"1ns": {"hooks.cache", "publish.resume_window", "play.wait", "egress.audio_hold", "egress.merge_window"},

	"2562047h": {"limits.ring_age"}, // a ring is bounded in units and bytes too

	// As good as no limit.
	"9223372036854775807": {
		"hooks.flow_threshold", "limits.memory", "limits.ring_bytes", "limits.max_skips", "limits.publishers", "limits.publishers_per_app",
		"limits.publishers_per_address", "limits.viewers", "limits.viewers_per_stream", "limits.viewers_per_app", "limits.viewers_per_address",
		"limits.bandwidth", "limits.bandwidth_per_stream", "limits.bandwidth_per_app", "limits.bandwidth_per_address",
		"limits.publisher_bandwidth", "limits.connections_per_address", "limits.handshakes",
		"limits.handshakes_per_address", "rtmp.connections", "rtsp.connections",
	},
}

// No number is taken that cannot work, whatever stands in the configuration, and checking it neither panics nor takes long. A setting
// that is new, and takes nonsense, belongs into sane, or wants a Validate.
func TestNonsenseIsRefused(t *testing.T) {
	seen := 0
	for _, known := range server.Known() {
		eachSetting(known.Name, known.Doc, reflect.TypeOf(known.Defaults), func(key, doc string, is reflect.Type) {
			for _, value := range nonsense[is] {
				seen++
				begun := time.Now()
				cfg, err := conf.Load(conf.Source{Set: []string{key + "=" + value}, Known: server.Known()})
				if err == nil {
					err = server.Check(cfg)
				}
				if d := time.Since(begun); d > time.Second {
					t.Errorf("%s=%s: took %v", key, value, d)
				}
				zero := strings.TrimSuffix(value, "s") == "0" && (strings.Contains(doc, "0: ") || strings.Contains(doc, "0s: "))
				if want := zero || slices.Contains(sane[value], key); err == nil != want {
					t.Errorf("%s=%s is taken: %v, want %v (%v)", key, value, err == nil, want, err)
				}
			}
		})
	}
	if seen < 150 {
		t.Errorf("only %d cases", seen)
	}
}

// eachSetting calls f with each setting at and below path.
func eachSetting(path, doc string, is reflect.Type, f func(key, doc string, is reflect.Type)) {
	for is.Kind() == reflect.Pointer {
		is = is.Elem()
	}
	if is.Kind() != reflect.Struct {
		f(path, doc, is)
		return
	}
	for field := range is.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" && name != "-" {
			eachSetting(path+"."+name, field.Tag.Get("doc"), field.Type, f)
		}
	}
}
