package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// What the figures say of groups of pictures and of time, as units come.
func TestStatsOfTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		p, e := s.Publish(), av264(10) // 25 pictures a second
		p.Declare(true, true)
		type figures struct {
			units, keys uint64
			gop         time.Duration
			gopUnits    int
			span        time.Duration
		}
		of := func(kind av.Kind) (f figures) {
			for _, tr := range s.Stats().Tracks {
				if tr.Track.Kind() == kind {
					return figures{tr.Units, tr.Keys, tr.GOP, tr.GOPUnits, tr.Span}
				}
			}
			return f
		}
		pictures := func(n int) {
			for n > 0 {
				u := e.Next()
				if write(t, p, u); u.Track.Kind() == av.Video {
					n--
				}
			}
		}
		same := func(what string, got, want figures) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		pictures(1)
		same("the first picture", of(av.Video), figures{units: 1, keys: 1})
		pictures(9)
		same("a group that is not complete", of(av.Video), figures{units: 10, keys: 1, span: 360 * time.Millisecond})
		pictures(1)
		same("a group", of(av.Video), figures{11, 2, 400 * time.Millisecond, 10, 400 * time.Millisecond})
		pictures(24)
		same("three groups", of(av.Video), figures{35, 4, 400 * time.Millisecond, 10, 1360 * time.Millisecond})
		sound := of(av.Audio)
		if sound.keys != 0 || sound.gop != 0 || sound.gopUnits != 0 || sound.span < 1300*time.Millisecond || sound.span > 1360*time.Millisecond {
			t.Errorf("sound: %+v", sound)
		}
	})
}

// A group of another length is the newest one's; one that begins after a splice is none of the pictures before.
func TestStatsOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		write(t, s.Publish(), h264(25).Take(26)...)
		if tr := s.Stats().Tracks[0]; tr.GOPUnits != 25 || tr.GOP != time.Second || tr.Keys != 2 || tr.Span != time.Second {
			t.Errorf("%+v", tr)
		}
		time.Sleep(time.Second)
		p, e := s.Publish(), sim.New(sim.Options{Video: av.H264, GOP: 50, FPS: 50})
		write(t, p, e.Take(50)...)
		if tr := s.Stats().Tracks[0]; tr.GOPUnits != 0 || tr.GOP != 0 {
			t.Errorf("after a splice: %+v", tr)
		}
		write(t, p, e.Next())
		if tr := s.Stats().Tracks[0]; tr.GOPUnits != 50 || tr.GOP != time.Second || tr.Units != 77 {
			t.Errorf("a group after a splice: %+v", tr)
		}
	})
}
