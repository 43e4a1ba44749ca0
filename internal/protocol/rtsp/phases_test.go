package rtsp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// A peer that stops saying what it wants is closed after 10 s, wherever it stopped.
func TestSilentSetup(t *testing.T) {
	for _, state := range []string{"new", "described", "set up", "announced", "to record"} {
		t.Run(state, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				k := h.talk()
				begin := time.Now()
				k.stage(state)
				k.closed(time.Minute)
				if took := time.Since(begin); took != 10*time.Second {
					t.Errorf("closed after %v", took)
				}
				h.Logged("session ended before media", "no RECORD or PLAY in time (10s)")
				h.Viewers(0)
			})
		})
	}
}

// To ask for something now and then does not buy time.
func TestBusySetup(t *testing.T) {
	for _, text := range []string{"OPTIONS *", "GET_PARAMETER @x", "DESCRIBE @x", "SETUP @x/trackID=1|tcp=0-1", "ANNOUNCE @y|@sdp", "PLAY @y", "FOO @x"} {
		t.Run(text, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				k := h.talk()
				begin := time.Now()
				for time.Since(begin) < 5*time.Minute {
					if _, err := k.try(text); err != nil {
						break
					}
					time.Sleep(3 * time.Second)
				}
				if took := time.Since(begin); took > 13*time.Second {
					t.Errorf("it lasted for %v", took)
				}
				h.Viewers(0)
			})
		})
	}
}

// The time for which a viewer waits for its stream does not count.
func TestWaitDoesNotCount(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		k := h.talk()
		time.Sleep(6 * time.Second)
		b := k.request("DESCRIBE @x")
		go func() { _, _ = k.conn.Write(b) }()
		time.Sleep(4500 * time.Millisecond)
		h.publish("live/x", 30).keep()
		if r, err := k.answer("1"); err != nil || r.StatusCode != base.StatusOK {
			t.Fatalf("%+v, %v", r, err)
		}
		time.Sleep(3 * time.Second) // 9 s without the wait
		k.asks("SETUP @x/trackID=1|tcp=0-1")
		time.Sleep(500 * time.Millisecond)
		k.asks("PLAY @x")
	})
}

// A stream that does not come is told within the time that viewers wait.
func TestNoStream(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		begin := time.Now()
		k := h.talk()
		k.ask(404, "DESCRIBE @x")
		if took := time.Since(begin); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("it was told after %v", took)
		}
		k.closed(time.Second)
	})
}

// A publisher that sends bytes, but nothing that is ever whole, is ended as a silent one is.
func TestPublisherWithoutUnits(t *testing.T) {
	for name, frame := range map[string]func(i int) []byte{
		"nothing": func(int) []byte { return nil },
		"parts of a picture": func(i int) []byte { // FU-A that goes on and on (RFC 6184, 5.8)
			return wire.AppendFrame(nil, 0, []byte{0x80, 96, byte(i >> 8), byte(i), 0, 0, 0, 1, 0, 0, 0, 1, 0x7c, 0x05, 1, 2, 3})
		},
		"reports": func(i int) []byte {
			return wire.AppendFrame(nil, 1, []byte{0x80, 200, 0, 6, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, byte(i), 0, 0, 0, 1, 0, 0, 0, 1})
		},
		"goodbyes":       func(int) []byte { return wire.AppendFrame(nil, 1, []byte{0x81, 203, 0, 1, 0, 0, 0, 1}) },
		"other channels": func(int) []byte { return wire.AppendFrame(nil, 9, make([]byte, 100)) },
		"requests":       func(int) []byte { return []byte("GET_PARAMETER rtsp://test/live/y RTSP/1.0\r\nCSeq: 99\r\n\r\n") },
		"junk":           func(i int) []byte { return wire.AppendFrame(nil, 0, []byte{1, 2, 3}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				k := h.talk().stage("publishing")
				begin := time.Now()
				done := make(chan struct{})
				go func() {
					defer close(done)
					for i := 0; time.Since(begin) < time.Minute; i++ {
						_ = k.conn.SetWriteDeadline(time.Now().Add(time.Second))
						if b := frame(i); len(b) > 0 {
							if _, err := k.conn.Write(b); err != nil {
								return
							}
						}
						time.Sleep(50 * time.Millisecond)
					}
				}()
				if took := k.closed(time.Minute); took > 7*time.Second || took < 4*time.Second {
					t.Errorf("closed after %v", took)
				}
				<-done
				h.Publishers(0)
				h.Logged("stopped publishing", "no media for too long")
			})
		})
	}
}

// A publisher whose goodbye is followed by nothing is silent; one that goes on is not.
func TestGoodbyeIsNotTheEnd(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		k := h.talk().stage("to record")
		k.asks("SETUP @y/trackID=2|tcp=2-3", "RECORD @y")
		bye := []byte{0x81, 203, 0, 1, 0, 0, 0, 1}
		feed(k, 30, func(b []byte) []byte { return wire.AppendFrame(wire.AppendFrame(b, 1, bye), 3, bye) })
		synctest.Wait()
		h.Publishers(1)
		k.isOpen()
	})
}

// How long a player may be silent, by what it does.
func TestSilentPlayer(t *testing.T) {
	for name, tc := range map[string]struct {
		state       string
		ask         string // every half minute
		least, most time.Duration
	}{
		"plays":                    {"playing", "", time.Hour, 0},
		"pauses":                   {"paused", "", time.Minute, 62 * time.Second},
		"pauses, and keeps alive":  {"paused", "GET_PARAMETER @x", 10 * time.Minute, 10*time.Minute + 2*time.Second},
		"pauses again and again":   {"paused", "PAUSE @x", 10 * time.Minute, 10*time.Minute + 2*time.Second},
		"pauses and plays in turn": {"playing", "PAUSE @x|PLAY @x", time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				k := h.talk()
				k.asks("DESCRIBE @x", "SETUP @x/trackID=2|tcp=0-1", "PLAY @x") // sound: there is less of it
				begin := time.Now()
				if tc.state == "paused" {
					k.asks("PAUSE @x")
				}
				end := begin.Add(12 * time.Minute)
				for time.Now().Before(end) {
					if tc.ask != "" {
						for text := range strings.SplitSeq(tc.ask, "|") {
							_, _ = k.try(text)
						}
					}
					if _, err := k.media(30 * time.Second); err != nil {
						break
					}
				}
				took := time.Since(begin)
				switch {
				case tc.most == 0 && took < 12*time.Minute:
					t.Errorf("ended after %v", took)
				case tc.most > 0 && (took < tc.least || took > tc.most):
					t.Errorf("ended after %v, want %v", took, tc.least)
				case tc.most > 0:
					h.Logged("stopped playing", "has said nothing for too long")
					h.Viewers(0)
				}
			})
		})
	}
}

// A pause at the very moment at which it began to play is one too.
func TestPauseAtOnce(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		k := h.talk()
		var all []byte
		for _, text := range []string{"SETUP @x/trackID=1|tcp=0-1", "PLAY @x", "PAUSE @x"} {
			all = append(all, k.request(text)...)
		}
		go func() { _, _ = k.conn.Write(all) }()
		if took := k.closed(5 * time.Minute); took > 62*time.Second {
			t.Errorf("it was closed after %v", took)
		}
	})
}

// A player that pauses and goes on gets a key picture first.
func TestPause(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		c := h.play("live/x")
		read := func() (key bool) {
			t.Helper()
			u, err := c.ReadUnit()
			if err != nil {
				t.Fatal(err)
			}
			return u.Key && u.Track.ID == 1
		}
		if !read() {
			t.Error("it does not begin with a key picture")
		}
		for range 3 {
			for range 7 {
				read()
			}
			if err := c.bounded(t.Context(), func() error { _, err := c.Request("PAUSE", "", nil, nil); return err }); err != nil {
				t.Fatal(err)
			}
			c.units = nil
			_ = c.conn.SetReadDeadline(time.Now().Add(7 * time.Second))
			if u, err := c.ReadUnit(); err == nil {
				t.Fatalf("in the pause comes %v at %v", u.Track, u.DTS)
			}
			if err := c.bounded(t.Context(), func() error { _, err := c.Request("PLAY", "", nil, nil); return err }); err != nil {
				t.Fatal(err)
			}
			_ = c.conn.SetReadDeadline(time.Now().Add(7 * time.Second))
			// A unit of the time before, of which only the end was missing, may come first.
			goesOn := false
			for range 3 {
				goesOn = goesOn || read()
			}
			if !goesOn {
				t.Error("it does not go on with a key picture")
			}
		}
		h.Viewers(1)
	})
}

// Sessions in their set-up make room when memory is short; those that play or publish stay.
func TestSetupWithoutMemory(t *testing.T) {
	for _, state := range []string{"new", "described", "set up", "announced", "to record", "playing", "publishing"} {
		t.Run(state, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
				h.publish("live/x", 30).keep()
				k := h.talk().stage(state)
				if state == "publishing" {
					feed(k, 30, nil)
				}
				time.Sleep(time.Second)
				h.Hub.SetPressure(hub.Refuse)
				defer h.Hub.SetPressure(hub.Calm)
				if state == "playing" || state == "publishing" {
					time.Sleep(2 * time.Second)
					k.isOpen()
					return
				}
				if took := k.closed(10 * time.Second); took > 2*time.Second {
					t.Errorf("closed after %v", took)
				}
				if state != "new" {
					h.Logged("short of memory")
				}
			})
		})
	}
}

// Who is refused for want of memory is told so.
func TestRefusedWithoutMemory(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		h.publish("live/x", 30).keep()
		k := h.talk().stage("to record")
		h.Hub.SetPressure(hub.Refuse)
		defer h.Hub.SetPressure(hub.Calm)
		k.ask(503, "RECORD @y")
		h.talk().ask(503, "DESCRIBE @x")
	})
}

// An operator ends a session within a second, whatever it does.
func TestKick(t *testing.T) {
	ends := map[string]func(h *rig, id, name string) error{
		"kick": func(h *rig, id, _ string) error { return h.Hub.Kick(h.t.Context(), id) },
		"end": func(h *rig, _, name string) error {
			k, err := hub.ParseKey("live/" + name)
			if err != nil {
				return err
			}
			return h.Hub.End(h.t.Context(), k)
		},
	}
	for state, name := range map[string]string{"described": "x", "set up": "x", "playing": "x", "paused": "x", "publishing": "y", "waiting": "z"} {
		for how, end := range ends {
			t.Run(fmt.Sprint(how, " ", state), func(t *testing.T) {
				bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
					h.publish("live/x", 30).keep()
					k := h.talk()
					if state == "waiting" {
						b := k.request("DESCRIBE @z")
						go func() { _, _ = k.conn.Write(b) }()
						time.Sleep(time.Second)
					} else {
						k.stage(state)
					}
					gone := make(chan time.Duration, 1)
					go func() { gone <- k.closed(5 * time.Second) }()
					if err := end(h, "s2", name); err != nil {
						t.Error(err)
					}
					if took := <-gone; took > time.Second {
						t.Errorf("it took %v", took)
					}
					synctest.Wait()
					if state == "described" || state == "set up" {
						h.Logged("session=s2", "ended by the operator")
					}
				})
			})
		}
	}
}

// A stream that ends while a player makes up its mind ends the player's session.
func TestStreamEndsInSetup(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
		pub := h.publish("live/x", 30)
		k := h.talk().stage("set up")
		go func() { _ = pub.End() }()
		h.Publishers(0)
		r, err := k.try("PLAY @x")
		if err == nil && r.StatusCode != base.StatusNotFound {
			t.Errorf("%d", r.StatusCode)
		}
		h.Viewers(0)
	})
}

// A server that is told to stop does so at once, whatever its sessions do: House.Close judges that.
func TestStop(t *testing.T) {
	for _, state := range []string{"new", "described", "set up", "announced", "to record", "playing", "paused", "publishing"} {
		bubble(t, conformance.Options{}, func(t *testing.T, h *rig) {
			h.publish("live/x", 30)
			h.talk().stage(state)
			h.Close()
		})
	}
}
