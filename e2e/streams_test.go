package e2e

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// unitsOf reads the units of a clip in FLV.
func unitsOf(t testing.TB, c clip) []*av.AccessUnit {
	t.Helper()
	f, err := os.Open(c.make(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var units []*av.AccessUnit
	var d flv.Demuxer
	for r := flv.NewReader(f, flv.BodyMax); ; {
		tag, err := r.Read()
		if err != nil {
			return units
		}
		more, err := d.Demux(tag)
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, more...)
	}
}

// only returns the units of a kind.
func only(kind av.Kind, units []*av.AccessUnit) []*av.AccessUnit {
	return slices.DeleteFunc(slices.Clone(units), func(u *av.AccessUnit) bool { return u.Track.Kind() != kind })
}

// later returns the units moved by d.
func later(d time.Duration, units []*av.AccessUnit) []*av.AccessUnit {
	moved := make([]*av.AccessUnit, len(units))
	for i, u := range units {
		c := *u
		c.DTS, c.PTS = u.DTS+d, u.PTS+d
		moved[i] = &c
	}
	return moved
}

// merge orders units by DTS.
func merge(parts ...[]*av.AccessUnit) []*av.AccessUnit {
	all := slices.Concat(parts...)
	slices.SortStableFunc(all, func(a, b *av.AccessUnit) int { return int(a.DTS - b.DTS) })
	return all
}

// trackOf returns the first track of a kind, or nil.
func trackOf(kind av.Kind, units []*av.AccessUnit) *av.Track {
	if some := only(kind, units); len(some) > 0 {
		return some[0].Track
	}
	return nil
}

// TestStreams publishes what streams of the field do. Every viewer gets every unit, on a time that runs on, and ffmpeg
// decodes it all.
func TestStreams(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m")
	plain := func(t testing.TB) []*av.AccessUnit { return unitsOf(t, clipAAC) }
	late := func(t testing.TB) []*av.AccessUnit {
		video := only(av.Video, unitsOf(t, clipVideo))
		return merge(video, later(seconds*time.Second, video), later(5*time.Second, unitsOf(t, clipAudio)[:80]))
	}
	half := func(shift uint32) func(int, int) uint32 {
		return func(i, n int) uint32 {
			if i < n/2 {
				return 0
			}
			return shift
		}
	}
	for _, c := range []struct {
		name   string
		units  func(testing.TB) []*av.AccessUnit
		shift  func(i, n int) uint32 // added to the stamp of unit i of n
		silent bool                  // the sound is not announced
		missed time.Duration         // what viewers who waited may miss, because the server waits for what was announced
	}{
		{name: "timestamps wrap 2^32", units: plain, shift: func(int, int) uint32 { return 1<<32 - 2000 }},
		{name: "timestamps jump an hour", units: plain, shift: half(3_600_000)},
		{name: "timestamps go back ten minutes", units: plain, shift: func(i, n int) uint32 { return half(-600_000&0xffffffff)(i, n) + 900_000 }},
		{name: "timestamps go back to zero", units: plain, shift: func(i, n int) uint32 {
			if i < n/2 {
				return 100_000
			}
			return 1<<32 - 2000
		}},
		{name: "parameter sets change", units: func(t testing.TB) []*av.AccessUnit {
			return merge(unitsOf(t, clipAAC), later(seconds*time.Second+100*time.Millisecond, only(av.Video, unitsOf(t, clipLarge))))
		}},
		{name: "sound comes 5 s late, unannounced", units: late, silent: true},
		{name: "sound comes 5 s late, announced", units: late, missed: 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			units := c.units(t)
			name := "odd-" + idOf(c.name)
			judges := []func(testing.TB){}
			for _, url := range []string{s.rtmpURL(name), s.flvURL(name)} {
				judges = append(judges, watchOdd(t, url, units, c.missed))
			}
			viewers := 3 * len(judges)
			s.awaitWaiting(t, name, viewers)
			audio := trackOf(av.Audio, units)
			if c.silent {
				audio = nil
			}
			p := publish(t, s, name, flv.Enhanced, trackOf(av.Video, units), audio)
			shift := func(i int) uint32 {
				if c.shift == nil {
					return 0
				}
				return c.shift(i, len(units))
			}
			if err := p.paceShifted(t.Context(), units, shift); err != nil {
				t.Fatal(err)
			}
			p.end()
			for _, judge := range judges {
				judge(t)
			}
		})
	}
}

func idOf(name string) string {
	b := []byte(name)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			b[i] = '-'
		}
	}
	return string(b)
}

// watchOdd plays a URL with our own viewer, ffprobe and ffmpeg.
func watchOdd(t testing.TB, url string, units []*av.AccessUnit, missed time.Duration) func(testing.TB) {
	t.Helper()
	own := view(t, url)
	prober := start(t, "ffprobe", probeArgs(url)...)
	decoder := start(t, "ffmpeg", "-v", "error", "-nostdin", "-i", url, "-map", "0:v",
		"-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-")
	sent := len(only(av.Video, units))
	length := units[len(units)-1].DTS - units[0].DTS
	return func(t testing.TB) {
		t.Helper()
		got := own.wait(t, playLimit)
		pictures := 0
		for _, g := range got {
			if g.Track.Kind() == av.Video {
				pictures++
			}
		}
		if least := sent - int(missed/frameTime); pictures < least || pictures > sent {
			t.Errorf("%s: %d pictures, the publisher sent %d", url, pictures, sent)
		}
		if lost := len(units) - len(got) - (sent - pictures); lost < 0 || lost > joinLoss {
			t.Errorf("%s: %d units, the publisher sent %d", url, len(got), len(units))
		}
		last := map[int]time.Duration{}
		for i, g := range got {
			if before, ok := last[g.Track.ID]; ok && g.DTS <= before {
				t.Errorf("%s: unit %d: DTS %v after %v", url, i, g.DTS, before)
				break
			}
			last[g.Track.ID] = g.DTS
		}
		if len(got) > 0 {
			if d := got[len(got)-1].DTS - got[0].DTS - length; d < -300*time.Millisecond-missed || d > 300*time.Millisecond {
				t.Errorf("%s: %v longer than what was published", url, d)
			}
		}
		prober.succeed(t, playLimit)
		r := parseProbe(t, prober.out.String())
		r.ordered(t)
		if n := len(r.samples["video"]); n != pictures {
			t.Errorf("ffprobe %s: %d pictures, the publisher sent %d", url, n, pictures)
		}
		decoder.wait(t, playLimit)
		decodedAll(t, decoder)
		if n := countFrames(decoder.out.String(), "video"); n != pictures {
			t.Errorf("ffmpeg %s: %d pictures decoded, the publisher sent %d", url, n, pictures)
		}
	}
}
