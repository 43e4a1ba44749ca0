package conformance

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

// need says what a case asks of a room.
type need uint8

const (
	publishing need = 1 << iota // a driver that publishes
	playing                     // a driver that plays
	fakeTime                    // a bubble: the case takes long
	atOnce                      // players that get each unit at once, by a connection
)

// oneCase is a case of the suite.
type oneCase struct {
	name string
	need need
	hub  func(*hub.Config, bool) // settings; the flag says that time is real
	auth hub.Authorizer
	tell func() hub.Observer // makes who is told of events
	slow bool                // a player does not read: sockets have small buffers
	stop bool                // nor will it: where time is real, the stall timeout is a second
	run  func(s *stage)
}

// Run holds a room to everything that is asked of one.
func Run(t *testing.T, r Room) {
	t.Helper()
	for _, c := range cases() {
		if c.need&publishing != 0 && r.Publish == nil || c.need&playing != 0 && r.Play == nil || c.need&atOnce != 0 && r.Behind > 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Run("memory", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { perform(t, r, r.Forms[0], c, true) })
			})
			if c.need&fakeTime == 0 {
				t.Run("loopback", func(t *testing.T) { perform(t, r, r.Forms[0], c, false) })
			}
		})
	}
	for _, f := range r.Forms {
		c := oneCase{run: codecs}
		t.Run("codecs/"+f.Name, func(t *testing.T) {
			t.Run("memory", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { perform(t, r, f, c, true) })
			})
			t.Run("loopback", func(t *testing.T) { perform(t, r, f, c, false) })
		})
	}
}

// perform plays one case in one house.
func perform(t *testing.T, r Room, f Form, c oneCase, memory bool) {
	t.Helper()
	if !memory { // a bubble finds what is left behind by itself
		already := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, already) })
	}
	o := Options{
		Memory: memory, Narrow: c.slow, Hub: hub.DefaultConfig(), Auth: c.auth,
		Settings: append(append([]string(nil), r.Settings...), f.Settings...), Egress: egress.Default(),
	}
	if !memory { // what is real should not take long
		o.Egress.AudioHold = time.Millisecond
	}
	if c.stop && !memory {
		o.Egress.StallTimeout = time.Second
	}
	if c.hub != nil {
		c.hub(&o.Hub, !memory)
	}
	if c.tell != nil {
		o.Observer = c.tell()
	}
	s := &stage{House: Open(t, r.Protocol, o), t: t, room: r, form: f, sent: ledger{}, sources: map[string]*source{}, told: o.Observer, auth: c.auth}
	c.run(s)
	s.Close() // while the clients are still there
}

func cases() []oneCase {
	return []oneCase{
		{name: "late joiner", need: playing | atOnce, run: lateJoiner},
		{name: "parameter sets change", need: playing, run: parameterSets},
		{name: "late track", need: playing | atOnce, run: lateTrack},
		{name: "stamps wrap", need: playing, run: stampsWrap},
		{name: "stamps jump", need: playing, run: stampsJump},
		{name: "stamps go back", need: playing, run: stampsGoBack},
		{name: "stamps stand still", need: playing | atOnce, run: stampsStandStill},
		{name: "silence and on", need: playing | atOnce | fakeTime, run: silenceAndOn},

		{name: "second publisher refused", need: publishing, hub: reject, run: secondRefused},
		{name: "takeover", need: publishing, hub: takeover, run: secondTakesOver},
		{name: "play before publish", need: playing, run: playBeforePublish},
		{name: "play without publish", need: playing, hub: shortWait, run: playWithoutPublish},
		{name: "publish denied", need: publishing, auth: token{}, run: publishDenied},
		{name: "storm of denied", need: publishing, auth: &counting{}, run: stormOfDenied},
		{name: "nothing to carry", need: playing, run: nothingToCarry},
		{name: "play denied", need: playing, auth: token{}, run: playDenied},

		{name: "publisher stops", need: playing, run: publisherStops},
		{name: "publisher vanishes", need: playing, hub: noResume, run: publisherVanishes},
		{name: "publisher is silent", need: publishing, hub: shortSilence, run: publisherSilent},
		{name: "player leaves", need: playing | atOnce, run: playerLeaves},
		{name: "player is slow", need: playing | atOnce, slow: true, hub: smallRing, run: playerSlow},
		{name: "player stops reading", need: playing | atOnce, slow: true, stop: true, run: playerStops},
		{name: "cancel", need: playing, run: cancelled},
		{name: "server closes", need: playing | atOnce, run: serverCloses},

		{name: "challenge met", need: publishing, hub: shortChallenge, run: challengeMet},
		{name: "challenge not met", need: playing, hub: shortChallenge, run: challengeNotMet},
		{name: "challenger leaves", need: publishing, hub: shortChallenge, run: challengerLeaves},
		{name: "resume", need: playing, run: resume},
		{name: "resume window over", need: playing, hub: shortWindow, run: windowOver},
		{name: "clean stop", need: playing, run: cleanStop},
		{name: "standby steps in", need: playing, hub: standby, run: standbyStepsIn},
		{name: "kick", need: playing, run: kick},
		{name: "end", need: playing, run: endStream},
		{name: "same identity", need: playing, auth: identities{}, run: sameIdentity},
		{name: "renamed key", need: playing, auth: renames{}, run: renamedKey},
		{name: "flapping publisher", need: publishing | fakeTime, tell: newDiary, run: flapping},

		{name: "garbage", hub: shortWait, run: garbage},
		{name: "drip", need: fakeTime, run: drip},
		{name: "silent client", need: fakeTime, run: silentClient},
		{name: "many sessions", need: playing, run: many},
	}
}

func reject(c *hub.Config, _ bool) { c.Publish.OnConflict = hub.Reject }

func takeover(c *hub.Config, _ bool) { c.Publish.OnConflict = hub.Takeover }

func shortWait(c *hub.Config, real bool) {
	if real {
		c.Play.Wait = 50 * time.Millisecond
	}
}

func noResume(c *hub.Config, _ bool) { c.Publish.ResumeWindow = 0 }

func shortSilence(c *hub.Config, real bool) {
	if real {
		c.Publish.MaxSilence = 500 * time.Millisecond
	}
}

func shortChallenge(c *hub.Config, real bool) {
	if real {
		c.Publish.ChallengeTimeout = 500 * time.Millisecond
	}
}

func shortWindow(c *hub.Config, real bool) {
	if real {
		c.Publish.ResumeWindow = 300 * time.Millisecond
	}
}

func standby(c *hub.Config, _ bool) { c.Publish.OnConflict = hub.Standby }

func smallRing(c *hub.Config, _ bool) { c.Limits.RingUnits = 32 }

// usual is the media of all cases that do not care.
func (s *stage) usual() sim.Options {
	return sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10, BFrames: 2}
}
