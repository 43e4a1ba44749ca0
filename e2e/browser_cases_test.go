package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// browserCase is something that a viewer with a browser meets: it is begun, and judged when all others are begun too.
type browserCase struct {
	name  string
	begin func(t testing.TB, s *server, b *browser) func(t testing.TB)
}

// TestBrowserCases: what the playback page does with streams that are not like others, and pages of other hosts with players of their own. It is
// not judged how smoothly they play: that is TestBrowserWays.
func TestBrowserCases(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1s", "publish.resume_window=1m")
	b := browse(t)
	cases := []browserCase{
		{"a publisher that comes back", comesBack},
		{"sound alone", soundAlone},
		{"H.265", noH265},
		{"another host's page", otherHost},
		{"odd names", oddNames},
		{"a stream that comes later", comesLater},
	}
	judges := make([]func(testing.TB), len(cases))
	for i, c := range cases {
		judges[i] = c.begin(t, s, b)
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { judges[i](t) })
	}
}

// publishLoop has ffmpeg publish a clip again and again.
func publishLoop(t testing.TB, s *server, c clip, name string) {
	t.Helper()
	args := []string{"-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", c.make(t), "-c", "copy"}
	if filepath.Ext(c.file) == ".flv" {
		args = append(args, "-f", "flv", "-rtmp_app", "live", "-rtmp_playpath", name, "rtmp://"+s.rtmp)
	} else { // what ffmpeg does not put into FLV
		args = append(append(args, "-f", "rtsp"), append(overTCP.flag(), s.rtspURL(name))...)
	}
	start(t, "ffmpeg", args...)
}

// playURL is where the page of live/name is.
func (s *server) playURL(name, query string) string {
	levels := strings.Split(name, "/")
	for i := range levels {
		levels[i] = url.PathEscape(levels[i])
	}
	return "http://" + s.http + "/play/live/" + strings.Join(levels, "/") + query
}

// goOn fails unless the pages play on for a while. It returns what they have done since they were opened.
func goOn(t testing.TB, length time.Duration, pages ...*webPage) []deeds {
	t.Helper()
	for _, p := range pages {
		p.take(t)
	}
	hold(length)
	all := make([]deeds, len(pages))
	for i, p := range pages {
		all[i] = p.take(t)
		v := sum(all[i].Samples)
		t.Logf("%s: %v", p.name, v)
		if v.progress < length.Seconds()/2 {
			t.Errorf("%s does not play on: %v", p.name, all[i])
		}
	}
	return all
}

// comesLater: the page of a stream that is not there says so, and plays when it is.
func comesLater(t testing.TB, s *server, b *browser) func(testing.TB) {
	t.Helper()
	p := b.open(t, "later", s.playURL("later", ""))
	p.await(t, time.Minute, "waiting")
	if now, title := p.vigil(t), p.text(t, "notice-title"); now.Error.Kind != "absent" || title != "The stream is not there" {
		t.Errorf("%q: %+v", title, now)
	}
	publishLoop(t, s, clipAAC, "later")
	return func(t testing.TB) {
		t.Helper()
		p.await(t, time.Minute, "playing")
		if title := p.text(t, "notice-title"); title != "" {
			t.Errorf("it plays, and says %q", title)
		}
		p.close(t)
	}
}

// comesBack: viewers play on by themselves when their publisher is killed and comes back.
func comesBack(t testing.TB, s *server, b *browser) func(testing.TB) {
	t.Helper()
	first := encodeClock(t, s, "back")
	pages := make([]*webPage, 0, 2)
	for _, via := range []string{"ws-flv", "ll-hls"} {
		pages = append(pages, b.open(t, "back by "+via, s.playURL("back", "?via="+via)))
	}
	return func(t testing.TB) {
		t.Helper()
		for _, p := range pages {
			p.await(t, time.Minute, "playing")
		}
		if err := first.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			p.await(t, time.Minute, "buffering")
		}
		hold(5 * time.Second) // longer than the page bears with a picture that stands still while media come
		encodeClock(t, s, "back")
		for _, p := range pages {
			p.await(t, time.Minute, "playing")
		}
		hold(time.Second)
		for i, d := range goOn(t, 3*time.Second, pages...) {
			if now := pages[i].vigil(t); now.Reconnects != 0 || now.Error.Kind != "" {
				t.Errorf("%s: %+v", pages[i].name, now)
			}
			d.quiet(t, s.http)
			pages[i].close(t)
		}
	}
}

// soundAlone: a stream without pictures plays, first in silence, as browsers want it, and aloud after a press of a button.
func soundAlone(t testing.TB, s *server, b *browser) func(testing.TB) {
	t.Helper()
	start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "sine=sample_rate=44100", "-c:a", "aac", "-f", "flv", s.rtmpURL("sound"))
	vias := []string{"ws-flv", "mse", "ll-hls"}
	pages := make([]*webPage, len(vias))
	for i, via := range vias {
		pages[i] = b.open(t, "sound by "+via, s.playURL("sound", "?via="+via))
	}
	return func(t testing.TB) {
		t.Helper()
		for _, p := range pages {
			p.await(t, time.Minute, "playing")
		}
		p := pages[0]
		if now := p.vigil(t); !now.Muted || now.Autoplay != "muted" {
			t.Errorf("it began aloud: %+v", now)
		}
		p.click(t, "#unmute")
		for i, d := range goOn(t, time.Second, pages...) {
			d.quiet(t, s.http)
			if now := pages[i].vigil(t); now.Muted != (i > 0) || now.State != "playing" {
				t.Errorf("%s: %+v", pages[i].name, now)
			}
			pages[i].close(t)
		}
	}
}

// noH265: this Chromium does not play H.265, and the page says so.
func noH265(t testing.TB, s *server, b *browser) func(testing.TB) {
	t.Helper()
	publishLoop(t, s, clipH265, "hevc")
	within(t, 30*time.Second, "the stream is ready", func() bool {
		st, _ := s.stream(t, "hevc")
		return st.Ready
	})
	p := b.open(t, "hevc", s.playURL("hevc", ""))
	return func(t testing.TB) {
		t.Helper()
		p.await(t, time.Minute, "failed")
		now, title, detail := p.vigil(t), p.text(t, "notice-title"), p.text(t, "notice-detail")
		if now.Error.Kind != "codec" || title != "This browser cannot play it" || !strings.Contains(detail, "H.265") {
			t.Errorf("%q, %q: %+v", title, detail, now)
		}
		d := p.take(t)
		d.quiet(t, s.http)
		p.close(t)
	}
}

// otherPages serves a page that knows nothing of ours, and the libraries that it plays with, at another origin.
func otherPages(t testing.TB) (url string) {
	t.Helper()
	files := map[string]string{"/": "embed.html", "/hls.js": "node_modules/hls.js/dist/hls.min.js", "/mpegts.js": "node_modules/mpegts.js/dist/mpegts.js"}
	dir := browserDir(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := os.ReadFile(filepath.Join(dir, files[r.URL.Path]))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if kind := "text/javascript; charset=utf-8"; strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", kind)
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(other.Close)
	return other.URL
}

// otherHost: a page of another origin plays HLS with hls.js, TS and FLV with mpegts.js, as their documents show.
func otherHost(t testing.TB, s *server, b *browser) func(testing.TB) {
	t.Helper()
	other := otherPages(t)
	encodeClock(t, s, "embedded")
	address := "http://" + s.http + "/live/embedded"
	pages := []*webPage{
		b.open(t, "embedded HLS by TS", other+"/#hls="+address+"/hls.m3u8"),
		b.open(t, "embedded HLS by fMP4", other+"/#hls="+address+"/hls.fmp4.m3u8"),
		b.open(t, "embedded TS", other+"/#ts="+address+".live.ts"),
		b.open(t, "embedded FLV", other+"/#flv="+address+".live.flv"),
	}
	return func(t testing.TB) {
		t.Helper()
		for _, p := range pages {
			position := 0.0
			within(t, time.Minute, p.name+" plays", func() bool {
				before := position
				p.eval(t, "document.querySelector('video').currentTime", &position)
				return before > 0 && position > before
			})
		}
		for i, d := range goOn(t, 3*time.Second, pages...) {
			var failures []string
			pages[i].eval(t, "errors", &failures)
			for _, f := range failures {
				t.Logf("%s: the library says: %s", pages[i].name, f)
				if strings.HasPrefix(f, "fatal") {
					t.Errorf("%s: %s", pages[i].name, f)
				}
			}
			// Libraries warn of what they mend themselves.
			d.Messages = slices.DeleteFunc(d.Messages, func(m string) bool { return strings.HasPrefix(m, "warning:") })
			d.quiet(t, s.http, strings.TrimPrefix(other, "http://"))
			pages[i].close(t)
		}
	}
}

// oddNames: streams may be called nearly anything. The page shows the name, plays the stream, and takes nothing of it for markup or a script.
func oddNames(t testing.TB, s *server, b *browser) func(testing.TB) {
	t.Helper()
	names := []struct{ name, via string }{
		{"<img src=x onerror=alert(1)>", "ws-flv"},
		{"a%20b", "ll-hls"},
		{"über \"alles\" 'oder'", "hls"},
		{"a/b/c d/e", "mse"},
		{"</script><script>alert(1)</script>", "ll-hls"},
		{"1+1=2&x#y;z", "flv"},
	}
	for _, n := range names {
		publishLoop(t, s, clipVideo, n.name)
	}
	return func(t testing.TB) {
		t.Helper()
		pages := make([]*webPage, len(names))
		for i, n := range names {
			within(t, time.Minute, fmt.Sprintf("live/%s is published", n.name), func() bool {
				st, _ := s.stream(t, n.name)
				return st.Ready
			})
			pages[i] = b.open(t, n.name, s.playURL(n.name, "?via="+n.via))
		}
		for i, p := range pages {
			p.await(t, time.Minute, "playing")
			now, heading := p.vigil(t), p.text(t, "name")
			if want := "live/" + names[i].name; now.Stream != want || heading != want {
				t.Errorf("%q is shown as %q, and told as %q", want, heading, now.Stream)
			}
			images := 0
			p.eval(t, "document.images.length", &images)
			if images > 0 {
				t.Errorf("%q has become markup", p.name)
			}
			d := p.take(t)
			d.quiet(t, s.http)
			p.close(t)
		}
	}
}
