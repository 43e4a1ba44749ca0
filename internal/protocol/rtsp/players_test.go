package rtsp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

// Who is sent datagrams must be heard of within a minute: by reports, or by requests.
func TestAbsentPlayer(t *testing.T) {
	report := netip.MustParseAddrPort("192.0.2.1:7001")
	for name, tc := range map[string]struct {
		speak func(h *rig, k *talker)
		ends  bool
	}{
		"silent": {func(*rig, *talker) {}, true},
		"reports": {func(h *rig, _ *talker) {
			if r := h.server.players.find(report); r.player != nil {
				r.player.note()
			}
		}, false},
		"requests": {func(_ *rig, k *talker) { _, _ = k.try("GET_PARAMETER @x") }, false},
		"of others": {func(h *rig, _ *talker) {
			if h.server.players.find(netip.MustParseAddrPort("192.0.2.1:7003")).player != nil {
				h.t.Error("another port is the player's")
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				k := h.talk().stage("paused")
				p, u := h.player(), &h.server.players
				// Pipes have no UDP: let it be one that is sent datagrams.
				u.mu.Lock()
				p.lane = &lane{ports: &h.server.ports, to: []receiver{{0, netip.MustParseAddrPort("192.0.2.1:7000"), report}}}
				p.paused.Store(0)
				u.mu.Unlock()
				u.add(p)
				p.note()
				begin := time.Now()
				for time.Since(begin) < 5*time.Minute {
					tc.speak(h, k)
					if _, err := k.media(20 * time.Second); err != nil {
						break
					}
				}
				took := time.Since(begin)
				switch {
				case !tc.ends && took < 5*time.Minute:
					t.Errorf("ended after %v", took)
				case tc.ends && (took < time.Minute || took > 62*time.Second):
					t.Errorf("ended after %v", took)
				case tc.ends:
					h.Logged("stopped playing", "neither requests nor receiver reports for 1m0s")
				}
			})
		})
	}
}

// variant begins to play on unusual channels.
func (r *rig) variant(i int) (*talker, int) {
	r.t.Helper()
	k := r.talk()
	k.asks(fmt.Sprintf("SETUP @x/trackID=1|tcp=%d-%d", 100+2*i, 101+2*i))
	a, err := k.try("PLAY @x")
	if err != nil {
		r.t.Fatal(err)
	}
	return k, int(a.StatusCode)
}

// A stream is packed for so many unusual selections of channels and no more; places are given back.
func TestVariants(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		pub := h.publish("live/x", 30)
		pub.keep()
		var all []*talker
		for i := range variantsMax {
			k, code := h.variant(i)
			if code != 200 {
				t.Fatalf("%d: %d", i, code)
			}
			go func() { _, _ = k.media(time.Hour) }()
			all = append(all, k)
		}
		k, code := h.variant(variantsMax)
		if code != 453 {
			t.Errorf("one more: %d", code)
		}
		k.closed(time.Second)
		h.Logged("refused to play", "selections of tracks and channels")
		same, code := h.variant(3) // which there is
		if code != 200 {
			t.Errorf("the same as another: %d", code)
		}
		h.play("live/x") // and as everybody
		_ = same.conn.Close()
		_ = all[0].conn.Close()
		h.Viewers(variantsMax)
		k, code = h.variant(variantsMax)
		if code != 200 {
			t.Errorf("when one has gone: %d", code)
		}
		_ = k.conn.Close()
		_ = pub.Conn().Close()
		time.Sleep(30 * time.Second) // nobody resumes
		synctest.Wait()
		if n := len(h.server.variants.all); n > 0 {
			t.Errorf("%d streams have variants when all have ended", n)
		}
	})
}

// Places are given back too by those who do not get to play.
func TestVariantsOfTheHasty(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		for _, last := range []string{"TEARDOWN @x", "PAUSE @x|@", "FOO"} {
			for range variantsMax + 2 {
				k := h.talk()
				var b []byte
				for _, text := range []string{"SETUP @x/trackID=2|tcp=50-51", "PLAY @x", "PAUSE @x", last} {
					b = append(b, k.request(strings.TrimSuffix(text, "|@"))...)
				}
				go func() { _, _ = k.conn.Write(append(b, make([]byte, 5000)...)) }() // junk ends it
				k.closed(10 * time.Second)
			}
		}
		h.Viewers(0)
		if _, code := h.variant(0); code != 200 {
			t.Error(code)
		}
	})
}
