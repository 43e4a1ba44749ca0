package hls

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

func eachFormat(t *testing.T, test func(t *testing.T, f segment.Format)) {
	t.Helper()
	for _, f := range []segment.Format{segment.TS, segment.FMP4} {
		t.Run(nameOf(f), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, f) })
		})
	}
}

// A stream that is cut has its playlist in the folder, which is as new as what viewers get; the folder does not grow; and after the stream's end
// it is told, and then nothing is left.
func TestFolder(t *testing.T) {
	eachFormat(t, func(t *testing.T, f segment.Format) {
		s := newStudio(t)
		m := s.film("live/a/b", f).run(time.Second)
		h := m3u8.History{Slack: -1}
		most := 0
		for range 120 {
			m.run(time.Second)
			if m.edition.Next() == 0 || m.playlist() == "" {
				continue
			}
			if n, newest := m.segments(); n != len(m.edition.Segments) || !newest {
				t.Fatalf("%d segments, the newest %v, of %d\n%s", n, newest, len(m.edition.Segments), m.playlist())
			}
			_, found := h.Add(m3u8.Response{At: time.Now(), Body: []byte(m.playlist())})
			for _, p := range m3u8.Musts(found) {
				t.Errorf("%v\n%s", p, m.playlist())
			}
			most = max(most, len(s.disk.list()))
		}
		if most < 12 || most > 20 {
			t.Errorf("%d files", most)
		}
		m.end()
		s.wait(time.Second)
		if !strings.HasSuffix(m.playlist(), "#EXT-X-ENDLIST\n") {
			t.Errorf("there is no end\n%s", m.playlist())
		}
		s.wait(25 * time.Second)
		if len(s.disk.list()) < 8 {
			t.Error("what players may still ask for is gone", s.disk.list())
		}
		s.wait(10 * time.Second)
		if left := s.disk.list(); len(left) > 0 || len(s.all.all) > 0 {
			t.Error("left:", left, s.all.all)
		}
		if s.log.b.Len() > 0 {
			t.Error(s.log.b.String())
		}
	})
}

// A disk that freezes makes nobody wait, and holds one segment at the most; when it answers again, the playlist goes on with the newest.
func TestFolderFrozen(t *testing.T) {
	eachFormat(t, func(t *testing.T, f segment.Format) {
		s := newStudio(t)
		m := s.film("live/a", f).run(21 * time.Second)
		s.disk.freeze()
		m.run(10 * time.Second)
		s.disk.with(func() { s.disk.refuse = errRefused })
		m.run(60 * time.Second)
		was := m.playlist()
		s.disk.with(func() { s.disk.refuse = nil })
		s.disk.thaw()
		m.run(4 * time.Second)
		if n, newest := m.segments(); n < 3 || n > 5 || !newest || m.playlist() == was {
			t.Errorf("4 s after the thaw there are %d segments, the newest %v\n%s", n, newest, m.playlist())
		}
		m.run(20 * time.Second)
		if n, newest := m.segments(); n != 7 || !newest {
			t.Errorf("later there are %d segments, the newest %v", n, newest)
		}
		if s.disk.most > 2<<20 {
			t.Errorf("%d bytes were waiting for the disk", s.disk.most)
		}
		if n := len(s.disk.list()); n > 20 {
			t.Errorf("%d files", n)
		}
		if a, b := s.log.count("are not written"), s.log.count("written again"); a != 1 || b != 1 || s.log.count(`lost=3`) != 1 {
			t.Errorf("%d and %d lines\n%s", a, b, s.log.b.String())
		}
		s.disk.freeze()
		m.run(2 * time.Second).end()
		s.wait(time.Minute)
		if m.copies.newest != nil || len(s.all.all) != 1 {
			t.Error("a stream that has ended is kept in memory for the disk")
		}
		s.disk.thaw()
		s.wait(5 * time.Second)
		if left := s.disk.list(); len(left) > 0 || len(s.all.all) > 0 {
			t.Error("left:", left)
		}
	})
}

// A disk that is full, or fails: the playlist stays as it is, with all that it names, and goes on when there is room.
func TestFolderFull(t *testing.T) {
	eachFormat(t, func(t *testing.T, f segment.Format) {
		s := newStudio(t)
		m := s.film("live/a", f).run(21 * time.Second)
		asked := 0
		s.disk.with(func() {
			asked = s.disk.asked
			s.disk.fails = func(operation, _ string) error {
				if operation == "write" {
					return errNoRoom
				}
				return nil
			}
		})
		was := m.playlist()
		m.run(60 * time.Second)
		if m.playlist() != was {
			t.Error("there was no room for another playlist")
		}
		for _, name := range named("live/a/x", []byte(was)) {
			if s.disk.read(name) == "" {
				t.Errorf("%s is gone, and is in the playlist", name)
			}
		}
		s.disk.with(func() {
			if asked = s.disk.asked - asked; asked < 20 || asked > 70 {
				t.Errorf("in 60 s it was tried %d times", asked)
			}
			s.disk.fails = nil
		})
		m.run(4 * time.Second)
		if n, newest := m.segments(); n < 3 || !newest {
			t.Errorf("with room again there are %d segments, the newest %v", n, newest)
		}
		m.run(30 * time.Second)
		if n := len(s.disk.list()); n > 20 {
			t.Errorf("%d files: %v", n, s.disk.list())
		}
		if a, b := s.log.count("are not written"), s.log.count("written again"); a != 1 || b != 1 {
			t.Errorf("%d and %d lines\n%s", a, b, s.log.b.String())
		}
	})
}

// A disk that takes longer for a segment than that lasts gets as many as it can take; the playlist follows, and says what is there.
func TestFolderSlow(t *testing.T) {
	eachFormat(t, func(t *testing.T, f segment.Format) {
		s := newStudio(t)
		s.disk.latency = 1300 * time.Millisecond
		m := s.film("live/a", f).run(10 * time.Second)
		lists := map[string]bool{}
		for range 100 {
			m.run(time.Second)
			lists[m.playlist()] = true
		}
		if len(lists) < 20 {
			t.Errorf("%d playlists in 100 s", len(lists))
		}
		if n := len(s.disk.list()); n > 24 {
			t.Errorf("%d files", n)
		}
	})
}

// A stream that is cut anew takes its playlist over at once, whatever of the one before is under way; what that had goes when its time is over.
func TestFolderCutAnew(t *testing.T) {
	eachFormat(t, func(t *testing.T, f segment.Format) {
		for _, late := range []bool{false, true} {
			s := newStudio(t)
			old := s.film("live/a", f).run(21 * time.Second)
			if late { // its last segment, or playlist, is written when another stream has begun
				s.disk.freeze()
			}
			old.run(2 * time.Second).end()
			m := s.film("live/a", f).run(5 * time.Second)
			old.copies.close(nil) // it has no say any more
			if late {
				s.disk.thaw()
			}
			m.run(2 * time.Second)
			if n, newest := m.segments(); n == 0 || !newest || strings.Contains(m.playlist(), "ENDLIST") {
				t.Errorf("%d segments, the newest %v\n%s", n, newest, m.playlist())
			}
			tokens := func() map[string]int {
				all := map[string]int{}
				for _, name := range s.disk.list() {
					token, _, _ := strings.Cut(strings.TrimPrefix(name, "live/a/"), "-")
					all[token]++
				}
				return all
			}
			if len(tokens()) != 3 {
				t.Error("the files of the one before are gone at once, or the playlist is", tokens())
			}
			m.run(30 * time.Second)
			if len(tokens()) != 2 {
				t.Error("the files of the one before are left", tokens())
			}
		}
	})
}

// What a process has left that died is removed when the stream is cut again: what has names like ours, of the same format, in that folder, and nothing
// else. That makes room, if there is none.
func TestFolderLeftovers(t *testing.T) {
	const token = "bbbbbbbbbbbbbbbb"
	eachFormat(t, func(t *testing.T, f segment.Format) {
		for _, full := range []bool{false, true} {
			s := newStudio(t)
			gone := map[segment.Format][]string{
				segment.TS:   {token + "-1.hls.ts", token + "-2.hls.ts", token + "-3.hls.ts.tmp", "hls.m3u8.tmp"},
				segment.FMP4: {token + "-1.hls.m4s", token + "-1.hls.mp4", token + "-3.hls.mp4.tmp", "hls.fmp4.m3u8.tmp"},
			}
			stays := []string{"index.html", "holiday.ts", "x-1.hls.ts", "b/" + token + "-1.hls.ts", "b/" + token + "-1.hls.m4s", "../" + token + "-1.hls.ts"}
			stays = append(stays, gone[1-f]...)
			for _, name := range slices.Concat(gone[f], stays) {
				s.disk.files["live/a/"+name] = []byte{1}
			}
			s.disk.files["live/a/"+playlistOf(f)] = []byte(token + "-1" + gone[f][0][len(token)+2:] + "\n")
			if full {
				s.disk.fails = func(operation, _ string) error {
					if _, there := s.disk.files["live/a/"+gone[f][0]]; there && operation == "write" {
						return errNoRoom
					}
					return nil
				}
				delete(s.disk.files, "live/a/"+playlistOf(f))
			}
			m := s.film("live/a", f).run(10 * time.Second)
			if n, _ := m.segments(); n == 0 {
				t.Errorf("full %v: there is nothing\n%s", full, m.playlist())
			}
			for _, name := range gone[f] {
				if slices.Contains(s.disk.list(), "live/a/"+name) {
					t.Errorf("full %v: %s is left", full, name)
				}
			}
			for _, name := range stays {
				if !slices.Contains(s.disk.list(), "live/a/"+name) {
					t.Errorf("full %v: %s is gone", full, name)
				}
			}
		}
	})
}

// When the server ends, all stays: the next one goes on with the stream.
func TestFolderClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t)
		m := s.film("live/a", segment.TS).run(20 * time.Second)
		m.copies.close(fmt.Errorf("%w", hub.ErrClosing))
		s.wait(time.Hour)
		if n, _ := m.segments(); n != 7 || strings.Contains(m.playlist(), "ENDLIST") {
			t.Error(m.playlist())
		}
	})
}

// What cannot be removed is not remembered for ever, and does not keep anything from being written.
func TestFolderUnremovable(t *testing.T) {
	eachFormat(t, func(t *testing.T, f segment.Format) {
		s := newStudio(t)
		denied := errors.New("operation not permitted")
		s.disk.fails = func(operation, _ string) error {
			if operation != "write" {
				return denied
			}
			return nil
		}
		m := s.film("live/a", f).run(20 * time.Minute)
		if n, newest := m.segments(); n != 7 || !newest {
			t.Errorf("%d segments, the newest %v", n, newest)
		}
		if n := len(m.copies.files); n > keptMost+7 {
			t.Errorf("%d files are remembered", n)
		}
		s.disk.with(func() { s.disk.fails = nil })
		m.run(3 * time.Minute)
		if n := len(s.disk.list()); n > 20 {
			t.Errorf("%d files are left", n)
		}
		s.disk.with(func() { s.disk.refuse = denied })
		m.end()
		s.wait(15 * time.Minute)
		if len(s.all.all) > 0 {
			t.Error("a stream that has ended is remembered")
		}
	})
}

// Streams whose folders lie in each other's do not touch each other; those that would have the same one on some disks do not get it both.
func TestFoldersOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t)
		outer, inner := s.film("live/a", segment.TS), s.film("live/a/b", segment.TS)
		other := s.film("live/a", segment.FMP4)
		for range 20 {
			outer.run(time.Second)
			inner.run(0)
			other.run(0)
		}
		if s.film("live/A", segment.FMP4).copies != nil || s.film("LIVE/a", segment.TS).copies != nil || s.log.count("capital letters") != 2 {
			t.Error(s.log.b.String())
		}
		outer.end()
		for range 60 {
			inner.run(time.Second)
			other.run(0)
		}
		for _, m := range []*film{inner, other} {
			if n, newest := m.segments(); n != 7 || !newest {
				t.Errorf("%s: %d segments, the newest %v", m.dir, n, newest)
			}
		}
		if outer.playlist() != "" {
			t.Error(outer.playlist())
		}
		other.end()
		inner.run(time.Minute)
		if s.film("live/A", segment.TS).copies == nil {
			t.Error("the name is not free")
		}
	})
}

// Where there is no disk, or no such folder can be, that is a mistake in the configuration.
func TestFolderNeedsADisk(t *testing.T) {
	cfg := Default()
	if all, err := newMirrors(protocol.Env{}, cfg, nil); all != nil || err != nil {
		t.Error(all, err)
	}
	cfg.Dir = "copies"
	if _, err := newMirrors(protocol.Env{}, cfg, nil); err == nil || !strings.Contains(err.Error(), "hls.dir") {
		t.Error(err)
	}
	var name, path string
	bad := func(n, p string) (protocol.Folder, error) { name, path = n, p; return nil, errNoRoom }
	if _, err := newMirrors(protocol.Env{Folder: bad}, cfg, nil); err == nil || !strings.Contains(err.Error(), "hls.dir") || name != "hls" || path != "copies" {
		t.Error(err, name, path)
	}
}

func TestFolderOf(t *testing.T) {
	long := strings.Repeat("é", 128) // 256 bytes
	for _, c := range []struct {
		app, name string
		ok        bool
	}{
		{"live", "cam1", true},
		{"live", "a/b/c", true},
		{"live", "x.m3u8", true},
		{"live", "…/ü", true},
		{"live", "..a/.b", true},
		{"live", long[2:], true},
		{"live", "a/" + long, false},
		{"..", "cam", false},
		{"live", "../../etc", false},
		{"live", "a/./b", false},
		{"live", "a//b", false},
		{"live", "a/", false},
		{"", "a", false},
		{"live", "/etc/passwd", false},
		{"live", "a\x00b", false},
		{"live", "a\nb", false},
		{"live", "a\xff", false},
		{"live", "x/hls.m3u8", false},
		{"live", "x/HLS.fmp4.M3U8/y", false},
		{"live", "x/abcdefghijklm234-12.hls.ts", false},
		{"live", "ABCDEFGHIJKLM234-12.hls.MP4", false},
	} {
		path, err := folderOf(hub.Key{VHost: hub.DefaultVHost, App: c.app, Name: c.name})
		if ok := err == nil; ok != c.ok || ok && path != c.app+"/"+c.name || !ok && !errors.Is(err, errNoFolder) {
			t.Errorf("%q, %q: %q, %v", c.app, c.name, path, err)
		}
	}
	if got := fmt.Sprint(emptied("live/a/b")); got != "[live/a/b live/a]" {
		t.Error(got)
	}
}
