package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/m3u8"
)

// hlsURL is where a stream's playlist of a name is.
func (s *server) hlsURL(stream, playlist string) string {
	return "http://" + s.http + "/live/" + stream + "/" + playlist
}

// The playlists of a stream.
const (
	listTS    = "hls.m3u8"
	listFMP4  = "hls.fmp4.m3u8"
	listIndex = "index.m3u8"
)

// follower is a player of ours that follows a playlist and holds it, and the media, to the specification.
type follower struct {
	url    string
	player *m3u8.Player
	units  *m3u8.Units
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	tracks  []*av.Track
	counts  map[av.Kind]int
	first   time.Duration // from the begin to the first picture, or sound where there is none
	lag     time.Duration // the newest piece's: now less its date
	numbers []int64       // media sequence numbers, in order
	breaks  int           // discontinuities
	err     error
}

// follow begins to follow.
func follow(t testing.TB, url string, o m3u8.Options) *follower {
	t.Helper()
	o.Check = true
	o.Client = &http.Client{}
	p, err := m3u8.NewPlayer(url, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{url: url, player: p, units: m3u8.NewUnits(p), cancel: cancel, done: make(chan struct{}), counts: map[av.Kind]int{}}
	began := time.Now()
	go func() {
		defer close(f.done)
		defer o.Client.CloseIdleConnections()
		for {
			u, err := f.units.Next(ctx)
			f.mu.Lock()
			if err != nil {
				f.err = err
				f.mu.Unlock()
				return
			}
			f.note(u, began)
			f.mu.Unlock()
		}
	}()
	t.Cleanup(func() { f.close() })
	return f
}

// note takes a unit. Under mu.
func (f *follower) note(u *av.AccessUnit, began time.Time) {
	if len(f.counts) == 0 {
		f.first = time.Since(began)
	}
	f.counts[u.Track.Kind()]++
	f.tracks = f.units.Tracks()
	piece := f.units.Piece()
	if n := len(f.numbers); n == 0 || f.numbers[n-1] != piece.MSN {
		f.numbers = append(f.numbers, piece.MSN)
		if piece.Discontinuity {
			f.breaks++
		}
	}
	if !piece.PDT.IsZero() {
		f.lag = time.Since(piece.PDT)
	}
}

func (f *follower) close() {
	f.cancel()
	<-f.done
}

// count is how many units of a kind have come.
func (f *follower) count(k av.Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[k]
}

// verdict ends it and tells of all that was wrong, but for some rules.
func (f *follower) verdict(t testing.TB, except ...string) {
	t.Helper()
	f.close()
	if f.err != nil && !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, io.EOF) {
		t.Errorf("%s: %v", f.url, f.err)
	}
	// A short answer is not compressed.
	for _, p := range m3u8.Except(f.player.Problems(), append(except, "gzip")...) {
		t.Errorf("%s: %v", f.url, p)
	}
	for _, m := range f.player.Missed() {
		t.Errorf("%s: missed %+v", f.url, m)
	}
	if !slices.IsSorted(f.numbers) {
		t.Errorf("%s: media sequence numbers %v", f.url, f.numbers)
	}
}

// TestHLS has an encoder publish and players of ours follow all playlists: everything that RFC 8216bis asks for holds, of the playlists and
// of the media that they tell of.
func TestHLS(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const seconds = 9
	for _, c := range []struct {
		name         string
		encode       string
		video, audio bool
	}{
		{"avc", "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=sample_rate=44100 -c:v libx264 -preset ultrafast -bf 2 -g 50 -c:a aac", true, true},
		{"avc30", "-f lavfi -i testsrc2=size=320x180:rate=30000/1001 -f lavfi -i sine=sample_rate=48000 -c:v libx264 -preset ultrafast -bf 0 -g 30 -c:a aac", true, true},
		{"picture", "-f lavfi -i testsrc2=size=320x180:rate=24 -c:v libx264 -preset ultrafast -bf 3 -g 96", true, false},
		{"sound", "-f lavfi -i sine=sample_rate=48000 -c:a aac", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-v", "error", "-nostdin", "-re"}, strings.Fields(c.encode)...)
			start(t, "ffmpeg", append(args, "-f", "flv", s.rtmpURL(c.name))...)
			within(t, 20*time.Second, "the stream is ready", func() bool {
				st, _ := s.stream(t, c.name)
				return st.Ready
			})
			all := []*follower{
				follow(t, s.hlsURL(c.name, listTS), m3u8.Options{}),
				follow(t, s.hlsURL(c.name, listTS), m3u8.Options{NoBlock: true, NoGzip: true}),
				follow(t, s.hlsURL(c.name, listFMP4), m3u8.Options{LowLatency: true, Parents: true}),
				follow(t, s.hlsURL(c.name, listFMP4), m3u8.Options{LowLatency: true, Preload: true, NoDelta: true}),
				follow(t, s.hlsURL(c.name, listFMP4), m3u8.Options{FromStart: true}),
				follow(t, s.hlsURL(c.name, listIndex), m3u8.Options{LowLatency: true}),
			}
			hold(seconds * time.Second)
			for i, f := range all {
				if c.video && f.count(av.Video) < 60 || c.audio && f.count(av.Audio) < 100 {
					t.Errorf("player %d of %s: %d pictures, %d units of sound", i, f.url, f.count(av.Video), f.count(av.Audio))
				}
				f.mu.Lock()
				t.Logf("player %d of %s: first after %v, at last %v behind", i, f.url, f.first.Round(time.Millisecond), f.lag.Round(time.Millisecond))
				f.mu.Unlock()
				f.verdict(t, "part-overdue")
			}
			if lag := all[2].lag; lag > 2*time.Second {
				t.Errorf("with low latency: %v behind", lag)
			}
		})
	}
}

// TestHLSResume: a publisher is lost and comes back, with other parameters; the playlists go on behind a discontinuity, and players miss nothing.
func TestHLSResume(t *testing.T) {
	t.Parallel()
	s := serve(t)
	encode := func(rate string) *process {
		return start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate="+rate, "-f", "lavfi", "-i", "sine",
			"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-f", "flv", s.rtmpURL("back"))
	}
	first := encode("25")
	within(t, 20*time.Second, "the stream is ready", func() bool {
		st, _ := s.stream(t, "back")
		return st.Ready
	})
	ts := follow(t, s.hlsURL("back", listTS), m3u8.Options{})
	low := follow(t, s.hlsURL("back", listFMP4), m3u8.Options{LowLatency: true})
	within(t, 20*time.Second, "both play", func() bool { return ts.count(av.Video) > 50 && low.count(av.Video) > 50 })
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	hold(2 * time.Second)
	had, hadLow := ts.count(av.Video), low.count(av.Video)
	encode("25")
	within(t, 20*time.Second, "both play on", func() bool {
		return ts.count(av.Video) > had+50 && low.count(av.Video) > hadLow+50 && ts.count(av.Audio) > 0
	})
	for _, f := range []*follower{ts, low} {
		// While the publisher was away there was nothing to say.
		f.close()
		problems := m3u8.Except(f.player.Problems(), "segment-overdue", "part-overdue", "update-overdue")
		for _, p := range problems {
			t.Errorf("%s: %v", f.url, p)
		}
		if f.breaks != 1 || len(f.player.Missed()) > 0 || !slices.IsSorted(f.numbers) {
			t.Errorf("%s: %d discontinuities, missed %v, numbers %v", f.url, f.breaks, f.player.Missed(), f.numbers)
		}
	}
}

// TestHLSJoin: who comes first to a stream that runs has a picture within a segment; who comes later at once.
func TestHLSJoin(t *testing.T) {
	t.Parallel()
	s := serve(t)
	start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", clipGOP3.make(t), "-c", "copy", "-f", "flv", s.rtmpURL("join"))
	within(t, 20*time.Second, "the stream is ready", func() bool {
		st, _ := s.stream(t, "join")
		return st.Ready
	})
	hold(7 * time.Second) // two GOPs of 3 s
	for _, list := range []string{listTS, listFMP4} {
		for i, most := range []time.Duration{3500 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond} {
			f := follow(t, s.hlsURL("join", list), m3u8.Options{LowLatency: list == listFMP4})
			within(t, 10*time.Second, fmt.Sprintf("a picture comes from %s", f.url), func() bool { return f.count(av.Video) > 0 })
			f.mu.Lock()
			t.Logf("%s, viewer %d: the first picture after %v", list, i, f.first.Round(time.Millisecond))
			if f.first > most {
				t.Errorf("%s, viewer %d: the first picture after %v, want %v", list, i, f.first, most)
			}
			f.mu.Unlock()
			f.verdict(t)
		}
	}
}

// TestHLSStopped: players that ask for segments and do not read them, or read them very slowly, cost the others nothing.
func TestHLSStopped(t *testing.T) {
	t.Parallel()
	s := serve(t)
	start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25",
		"-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "6M", "-f", "flv", s.rtmpURL("full"))
	within(t, 20*time.Second, "the stream is ready", func() bool {
		st, _ := s.stream(t, "full")
		return st.Ready
	})
	healthy := []*follower{
		follow(t, s.hlsURL("full", listTS), m3u8.Options{}),
		follow(t, s.hlsURL("full", listFMP4), m3u8.Options{LowLatency: true}),
	}
	within(t, 20*time.Second, "both play", func() bool { return healthy[0].count(av.Video) > 50 && healthy[1].count(av.Video) > 50 })
	const stopped = 40
	for range stopped {
		askAndStop(t, s.http, "full")
	}
	before := [2]int{healthy[0].count(av.Video), healthy[1].count(av.Video)}
	hold(6 * time.Second)
	for i, f := range healthy {
		if got := f.count(av.Video) - before[i]; got < 100 {
			t.Errorf("%s: %d pictures in 6 s beside %d who do not read", f.url, got, stopped)
		}
		f.verdict(t)
	}
}

// askAndStop asks for a playlist, then for its newest segment, and reads nothing of that.
func askAndStop(t testing.TB, address, stream string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	in := bufio.NewReader(conn)
	get := func(path string) {
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
	}
	folder := "/live/" + stream + "/"
	get(folder + listTS)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	get(folder + lines[len(lines)-1])
}
