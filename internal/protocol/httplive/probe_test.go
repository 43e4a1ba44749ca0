package httplive

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

func withProbe() conformance.Options {
	o := conformance.Options{Hub: hub.DefaultConfig()}
	o.Hub.Probe = "token"
	return o
}

// TestProbeAppIsDenied has others come for the application of the server's own probe.
func TestProbeAppIsDenied(t *testing.T) {
	for _, name := range []string{"x", "token", "token-", "other-1"} {
		bubble(t, withProbe(), func(t *testing.T, h *conformance.House) {
			begin, target := time.Now(), "/"+hub.ProbeApp+"/"+name+".live.flv"
			if r := body(t, ask(t, h.MustDial("HTTP"), "GET", target)); r.Code != 403 || r.Error != "denied" {
				t.Errorf("%s: %+v", name, r)
			}
			h.Logged("level=INFO", "refused to play", hub.ProbeApp, "denied")
			s, err := shake(h.MustDial("HTTP"), target)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.next()
			var code codeError
			if !errors.As(err, &code) || code.code != 4403 || !strings.Contains(code.reason, `"error":"denied"`) {
				t.Errorf("%s by WebSocket: %v", name, err)
			}
			if d := time.Since(begin); d > time.Second {
				t.Errorf("refusing took %v", d)
			}
		})
	}
}

// TestProbeIsQuiet has the probe come, whose lines are for debugging and do not hold its token.
func TestProbeIsQuiet(t *testing.T) {
	o := withProbe()
	o.Hub.Play.Wait = 0
	bubble(t, o, func(t *testing.T, h *conformance.House) {
		if r := body(t, ask(t, h.MustDial("HTTP"), "GET", "/"+hub.ProbeApp+"/token-1.live.flv")); r.Code != 404 {
			t.Errorf("%+v", r)
		}
		h.Logged("level=DEBUG", "refused to play")
		if text := h.Log(); strings.Contains(text, "INFO") || strings.Contains(text, "token-1") {
			t.Error(text)
		}
	})
}
