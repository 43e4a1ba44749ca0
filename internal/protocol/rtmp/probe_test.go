package rtmp

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
			begin := time.Now()
			for _, c := range []struct {
				verb, code string
				do         func(c *Client) error
			}{
				{"publish", "NetStream.Publish.BadAuth", func(c *Client) error { return c.Publish(t.Context()) }},
				{"play", "NetStream.Play.BadAuth", func(c *Client) error { return c.Play(t.Context()) }},
			} {
				client, err := dialClient(t.Context(), visit(h, hub.ProbeApp+"/"+name, nil), false)
				if err != nil {
					t.Fatal(err)
				}
				err = c.do(client)
				if st, ok := errors.AsType[*StatusError](err); !ok || st.Code != c.code {
					t.Errorf("%s %s: %v, want %s", c.verb, name, err, c.code)
				}
				h.Logged("level=INFO", "refused to "+c.verb, hub.ProbeApp, "denied")
				_ = client.Close()
			}
			if d := time.Since(begin); d > time.Second {
				t.Errorf("refusing took %v", d)
			}
		})
	}
}

// TestProbeIsQuiet has the probe come, whose lines are for debugging and do not hold its token.
func TestProbeIsQuiet(t *testing.T) {
	bubble(t, withProbe(), func(t *testing.T, h *conformance.House) {
		p := newPublisher(t, h, hub.ProbeApp+"/token-1")
		p.write(10)
		play := newPlayer(t, h, hub.ProbeApp+"/token-1")
		if _, err := play.Read(); err != nil {
			t.Fatal(err)
		}
		if err := p.client().Unpublish(); err != nil {
			t.Fatal(err)
		}
		h.Logged("stopped playing")
		h.Logged("stopped publishing")
		if text := h.Log(); strings.Contains(text, "INFO") || strings.Contains(text, "token-1") {
			t.Error(text)
		}
	})
}

// TestLookIsNoFailure has one connect and go, as those do who only look whether somebody listens.
func TestLookIsNoFailure(t *testing.T) {
	for _, listener := range []string{"RTMP", "RTMPS"} {
		h := conformance.Open(t, Protocol(), conformance.Options{
			TLS: selfSigned(t), Settings: []string{"rtmp.tls.listen=:0"},
		})
		_ = h.MustDial(listener).Close()
		h.Logged("level=DEBUG", "handshake failed")
		h.Logged("connection closed")
		if text := h.Log(); strings.Contains(text, "INFO") {
			t.Errorf("%s: %s", listener, text)
		}
	}
}
