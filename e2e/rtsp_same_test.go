package e2e

import (
	"crypto/md5"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// sameCase is a clip for TestSameUnits.
type sameCase struct {
	name  string
	units func(testing.TB) []*av.AccessUnit
}

var sameCases = []sameCase{
	{"H.264 with B-frames, AAC", func(t testing.TB) []*av.AccessUnit { return unitsOf(t, clipAAC) }},
	{"H.265, Opus", func(t testing.TB) []*av.AccessUnit {
		return merge(codecUnits(t, av.H265), codecUnits(t, av.Opus))
	}},
	{"AV1", func(t testing.TB) []*av.AccessUnit { return codecUnits(t, av.AV1) }},
	{"VP9", func(t testing.TB) []*av.AccessUnit { return codecUnits(t, av.VP9) }},
	{"G.711 alone", func(t testing.TB) []*av.AccessUnit { return codecUnits(t, av.PCMA) }},
}

// codecUnits are the units of the clip that TestCodecs has of a codec.
func codecUnits(t testing.TB, codec av.Codec) []*av.AccessUnit {
	t.Helper()
	i := slices.IndexFunc(codecCases, func(c codecCase) bool { return c.codec == codec })
	return codecCases[i].read(t, elementary(t, codecCases[i].clip))
}

// way is how units travel between the server and its peers.
type way struct {
	name      string
	exact     bool // times are told in ticks of the track's clock, not in milliseconds
	datagrams bool
	publish   func(t testing.TB, s *server, name string, units []*av.AccessUnit)
	play      func(t testing.TB, s *server, name string) *viewing
}

var sameWays = []way{
	{name: "RTMP", publish: func(t testing.TB, s *server, name string, units []*av.AccessUnit) {
		p := publish(t, s, name, flv.Enhanced, trackOf(av.Video, units), trackOf(av.Audio, units))
		if err := p.pace(t.Context(), units); err != nil {
			t.Fatal(err)
		}
		p.end()
	}, play: func(t testing.TB, s *server, name string) *viewing { return view(t, s.rtmpURL(name)) }},
	{name: "HTTP-FLV", play: func(t testing.TB, s *server, name string) *viewing { return view(t, s.flvURL(name)) }},
	{name: "RTSP-TCP", exact: true, publish: func(t testing.TB, s *server, name string, units []*av.AccessUnit) {
		publishRTSP(t, s, name, overTCP, units)
	}, play: func(t testing.TB, s *server, name string) *viewing { return viewRTSP(t, s.rtspURL(name), overTCP) }},
	{name: "RTSP-UDP", exact: true, datagrams: true, publish: func(t testing.TB, s *server, name string, units []*av.AccessUnit) {
		publishRTSP(t, s, name, overUDP, units)
	}, play: func(t testing.TB, s *server, name string) *viewing { return viewRTSP(t, s.rtspURL(name), overUDP) }},
}

// TestSameUnits publishes one clip by every protocol and plays it by every protocol: whichever way it came and went, it is the same
// units, in order, at the same times.
func TestSameUnits(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m", "rtmp.form=enhanced", "httplive.form=enhanced")
	for i, c := range sameCases {
		for _, from := range sameWays {
			if from.publish == nil {
				continue
			}
			t.Run(c.name+"/"+from.name, func(t *testing.T) {
				t.Parallel()
				units := c.units(t)
				name := fmt.Sprintf("same-%d-%s", i, from.name)
				views := make([]*viewing, len(sameWays))
				for k, to := range sameWays {
					views[k] = to.play(t, s, name)
				}
				s.awaitWaiting(t, name, len(views))
				from.publish(t, s, name, units)
				for k, to := range sameWays {
					got := views[k].wait(t, 10*time.Second)
					if err := sameUnits(got, units, limitsOf(from, to)); err != nil {
						t.Errorf("from %s to %s: %v", from.name, to.name, err)
					}
				}
			})
		}
	}
}

// limits are by how much times may be off.
type limits struct {
	ticks bool          // within a track by two ticks of its clock: stamps are rounded on the way in and on the way out; else by 1 ms
	apart time.Duration // between tracks, more than that
}

// limitsOf returns what holds for units that come one way and go another. By UDP the report that says how the clocks of two medias belong
// together may come after the first packets of both, and what it says is not obeyed where the difference is below 10 ms.
func limitsOf(from, to way) limits {
	l := limits{ticks: from.exact && to.exact}
	if from.datagrams || to.datagrams {
		l.apart = 10 * time.Millisecond
	}
	return l
}

// sameUnits compares what came with what was sent: all units of each track, in order, and their times. A viewer may have missed the
// first units of sound: see joinLoss.
func sameUnits(got []arrival, want []*av.AccessUnit, l limits) error {
	var origins []time.Duration // by the clock of want
	for _, kind := range []av.Kind{av.Video, av.Audio} {
		sent := only(kind, want)
		var came []*av.AccessUnit
		for _, g := range got {
			if g.Track.Kind() == kind {
				came = append(came, g.AccessUnit)
			}
		}
		missed := len(sent) - len(came)
		if missed < 0 || len(came) == 0 && missed > 0 || missed > 0 && (kind == av.Video || missed > joinLoss) {
			return fmt.Errorf("%v: %d units, want %d", kind, len(came), len(sent))
		}
		if sent = sent[missed:]; len(sent) == 0 {
			continue
		}
		tolerance := time.Millisecond
		if l.ticks {
			tolerance = 2 * tickOf(sent[0].Track)
		}
		if err := sameTrack(came, sent, tolerance); err != nil {
			return fmt.Errorf("%v, of which %d units were missed: %w", kind, missed, err)
		}
		origins = append(origins, came[0].PTS-sent[0].PTS)
		if off := origins[len(origins)-1] - origins[0]; off.Abs() > tolerance+l.apart {
			return fmt.Errorf("%v: off by %v from the other track", kind, off)
		}
	}
	return nil
}

// sameTrack compares units of one track.
func sameTrack(came, sent []*av.AccessUnit, tolerance time.Duration) error {
	for i, w := range sent {
		if a, b := normal(came[i]), normal(w); a != b {
			return fmt.Errorf("unit %d: other bytes:\n%s\nwant\n%s", i, a, b)
		}
		if off := came[i].PTS - w.PTS - (came[0].PTS - sent[0].PTS); off.Abs() > tolerance {
			return fmt.Errorf("unit %d: its time is off by %v", i, off)
		}
		if came[i].Key != w.Key {
			return fmt.Errorf("unit %d: key is %v", i, came[i].Key)
		}
		if i > 0 && came[i].DTS <= came[i-1].DTS {
			return fmt.Errorf("unit %d: DTS %v after %v", i, came[i].DTS, came[i-1].DTS)
		}
	}
	return nil
}

// tickOf is the resolution of a track's time in RTP.
func tickOf(t *av.Track) time.Duration {
	rate := 90_000
	if t.Kind() == av.Audio && t.SampleRate > 0 {
		rate = t.SampleRate
	}
	return time.Second/time.Duration(rate) + 1
}

// normal is what must stay of a unit on any way: its elements but parameter sets, which protocols keep in different places, and
// delimiters, which say nothing.
func normal(u *av.AccessUnit) string {
	text := fmt.Sprintf("%v:", u.Track.Codec)
	for _, b := range u.Data {
		if !ancillary(u.Track.Codec, b) {
			text += fmt.Sprintf(" %x(%d)", md5.Sum(b), len(b))
		}
	}
	return text
}

// ancillary says whether a NAL unit is a parameter set or a delimiter, an OBU a sequence header or a delimiter.
func ancillary(c av.Codec, b []byte) bool {
	switch c { //nolint:exhaustive // the others have none
	case av.H264:
		typ := b[0] & 31
		return typ == 7 || typ == 8 || typ == 9
	case av.H265:
		typ := b[0] >> 1 & 63
		return typ >= 32 && typ <= 35
	case av.AV1:
		typ := b[0] >> 3 & 15
		return typ == 1 || typ == 2
	}
	return false
}
