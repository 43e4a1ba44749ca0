package hls

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestAnswers: what requests get that are well or not so well formed.
func TestAnswers(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := i.publish("live/x", usual())
		i.publish("live/y", usual()).send(time.Second)
		g := i.guest("192.0.2.1", "a")
		go func() { g.get(tsList); g.get(lowList); g.get("/live/y/hls.m3u8?_HLS_msn=1") }()
		s.send(10 * time.Second)
		synctest.Wait()
		ts, low := g.list(tsList).Media, g.list(lowList).Media
		seg, init := "/live/x/"+ts.Segments[0].URI, "/live/x/"+low.Segments[0].Map.URI
		part := "/live/x/" + low.Open.Parts[0].URI
		token := strings.TrimSuffix(ts.Segments[0].URI, "-"+strconv.FormatInt(ts.Segments[0].MSN, 10)+".hls.ts")
		msn := func(n int64) string { return strconv.FormatInt(n, 10) }
		long := strings.Repeat("9", 5000)
		for _, c := range []struct {
			target string
			code   int
		}{
			{tsList, 200},
			{tsList + "?a=b&_HLS_skip=YES&x=%41", 200},
			{lowList + "?_HLS_skip=v2", 200},
			{lowList + "?_HLS_skip=", 200},
			{lowList + "?_HLS_skip=NO", 200},
			{lowList + "?_HLS_push=1&_HLS_report=/x", 200},
			{lowList + "?_HLS_msn=0", 200},
			{lowList + "?_HLS_msn=0&_HLS_part=0", 200},
			{lowList + "?_HLS_msn=" + msn(low.Last()), 200},
			{lowList + "?_HLS_msn=" + msn(low.Last()) + "&_HLS_part=9", 200},
			{lowList + "?_HLS_msn=0&_HLS_msn=0", 200},
			{lowList + "?_HLS_msn=-1", 400},
			{lowList + "?_HLS_msn=", 400},
			{lowList + "?_HLS_msn", 400},
			{lowList + "?_HLS_msn=x", 400},
			{lowList + "?_HLS_msn=1e3", 400},
			{lowList + "?_HLS_msn=0x10", 400},
			{lowList + "?_HLS_msn=18446744073709551615", 400},
			{lowList + "?_HLS_msn=9223372036854775807", 400},
			{lowList + "?_HLS_msn=" + long, 400},
			{lowList + "?_HLS_msn=%zz", 400},
			{lowList + "?_HLS_msn=%", 400},
			{lowList + "?_HLS_msn=" + msn(low.Last()+3), 400},
			{lowList + "?_HLS_msn=" + msn(low.Last()+3) + "&_HLS_part=0", 400},
			{lowList + "?_HLS_part=0", 400},
			{lowList + "?_HLS_msn=0&_HLS_part=-1", 400},
			{lowList + "?_HLS_msn=0&_HLS_part=x", 400},
			{lowList + "?_HLS_msn=0&_HLS_part=" + long, 400},
			{lowList + "?_HLS_msn=0&_HLS_part=65537", 400},
			{lowList + "?session=%zz", 400},
			{lowList + "?session=" + long, 200},
			{tsList + "?_HLS_msn=" + msn(ts.Last()+3), 400},
			{mainList + "?_HLS_msn=-1", 400},
			{mainList, 200},
			{"/hls.m3u8", 400},
			{"/live/hls.m3u8", 400},
			{"/live//hls.m3u8", 400},
			{"/live/%2e%2e/hls.m3u8", 400},
			{"/live/x%00/hls.m3u8", 400},
			{"/live/%ff/hls.m3u8", 400},
			{"/live/" + strings.Repeat("n", 5000) + "/hls.m3u8", 400},
			{"/live/absent/hls.m3u8", 404},
			{"/live/x/y/hls.m3u8", 404},

			{seg, 200},
			{init, 200},
			{part, 200},
			{seg + "?a=b", 200},
			{"/live/x/" + token + "-999999.hls.ts", 404},
			{"/live/x/" + token + "-" + long + ".hls.ts", 404},
			{"/live/x/" + token + "--1.hls.ts", 404},
			{"/live/x/" + token + "-" + msn(ts.Last()+1) + ".hls.ts", 404},
			{"/live/x/" + token + "-0" + msn(ts.Last()) + ".hls.ts", 404},
			{"/live/x/" + token + "-+" + msn(ts.Last()) + ".hls.ts", 404},
			{"/live/x/" + token + "-" + msn(ts.Last()) + ".hls.m4s", 404},
			{"/live/x/" + token + "-" + msn(ts.Last()) + ".1.hls.ts", 404},
			{"/live/x/" + token + "-1.hls.mp4", 404},
			{strings.Replace(part, ".0.hls", ".00.hls", 1), 404},
			{strings.Replace(part, ".0.hls", ".+0.hls", 1), 404},
			{strings.Replace(part, ".0.hls", ".-0.hls", 1), 404},
			{strings.Replace(part, ".0.hls", ".99999999999999999999.hls", 1), 404},
			{strings.Replace(part, ".0.hls", ".0.0.hls", 1), 404},
			{strings.Replace(init, "-1.hls", "-0.hls", 1), 404},
			{strings.Replace(init, "-1.hls", "-1.0.hls", 1), 404},
			{strings.Replace(init, "-1.hls", "-65537.hls", 1), 404},
			{strings.Replace(seg, "/live/x/", "/live/y/", 1), 404},
			{strings.Replace(seg, "/live/x/", "/live/", 1), 404},
			{strings.Replace(seg, "/live/x/", "/live/x/../x/", 1), 404},
			{strings.Replace(seg, "/live/x/", "/live/y/../x/", 1), 404},
			{strings.Replace(seg, "/live/x/", "/live/%2e%2e/live/x/", 1), 404},
			{strings.Replace(seg, "/live/x/", "/live/x%2f..%2f", 1), 404},
			{strings.Replace(seg, "/live/x/", `/live\x\`, 1), 404},
			{strings.Replace(seg, "/live/x/", "/live/x/%00", 1), 404},
			{strings.Replace(seg, "/live/x/", "//live/x/", 1), 404},
			{"/live/x/../../../etc/passwd.hls.ts", 404},
			{"/.hls.ts", 404},
			{"/-.hls.ts", 404},
			{"/live/x/-1.hls.ts", 404},
			{"/live/x/.hls.mp4", 404},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			w := g.askCtx(ctx, http.MethodGet, c.target)
			cancel()
			if w.Code != c.code {
				t.Errorf("%.200s: %d, want %d: %.200s", c.target, w.Code, c.code, w.Body)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%.200s: CORS %q", c.target, got)
			}
			if got := w.Header().Get("Cache-Control"); c.code >= 400 && got != "no-store" {
				t.Errorf("%.200s: Cache-Control %q of an error", c.target, got)
			}
		}
		if v, r := len(i.visitors), len(i.renditions); v > 4 || r > 4 {
			t.Errorf("%d visitors, %d renditions", v, r)
		}
	})
}

// TestHeaders: what answers say of themselves.
func TestHeaders(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := i.publish("live/x", usual())
		g := i.guest("192.0.2.1", "a")
		go func() { g.get(tsList); g.get(lowList) }()
		s.send(8 * time.Second)
		synctest.Wait()
		ts, low := g.list(tsList).Media, g.list(lowList).Media
		seg, init := "/live/x/"+ts.Segments[0].URI, "/live/x/"+low.Segments[0].Map.URI
		whole := g.get(seg).Body.Bytes()
		for target, mime := range map[string]string{
			tsList: typePlaylist, lowList: typePlaylist, mainList: typePlaylist, seg: typeTS, init: typeVideo, "/live/x/" + low.Segments[0].URI: typeVideo,
			"/live/x/" + low.Open.Parts[0].URI: typeVideo,
		} {
			get, head := g.get(target), g.ask(http.MethodHead, target)
			for _, name := range []string{"Content-Type", "Content-Length", "ETag", "Cache-Control", "Accept-Ranges", "Vary"} {
				if a, b := get.Header().Get(name), head.Header().Get(name); a != b {
					t.Errorf("%s: %s is %q, by HEAD %q", target, name, a, b)
				}
			}
			if head.Body.Len() > 0 || get.Header().Get("Content-Length") != strconv.Itoa(get.Body.Len()) || get.Header().Get("Content-Type") != mime {
				t.Errorf("%s: %v, HEAD has %d bytes", target, get.Header(), head.Body.Len())
			}
			again := g.get(target, "If-None-Match", get.Header().Get("Etag"))
			if again.Code != http.StatusNotModified || again.Body.Len() > 0 {
				t.Errorf("%s: %d with its own tag", target, again.Code)
			}
			if other := g.get(target, "If-None-Match", `"x"`); other.Code != http.StatusOK || !bytes.Equal(other.Body.Bytes(), get.Body.Bytes()) {
				t.Errorf("%s: %d with another tag", target, other.Code)
			}
		}
		for _, c := range []struct {
			ranges string
			code   int
			from   int
			to     int // negative: not looked at
		}{
			{"bytes=0-187", 206, 0, 188},
			{"bytes=188-", 206, 188, len(whole)},
			{"bytes=-188", 206, len(whole) - 188, len(whole)},
			{"bytes=0-999999999", 206, 0, len(whole)},
			{fmt.Sprintf("bytes=%d-", len(whole)), 416, 0, -1},
			{"bytes=9-3", 416, 0, -1},
			{"bytes=x", 416, 0, -1},
			{"bytes=0-0,2-3", 200, 0, len(whole)},
			{"bytes=" + strings.Repeat("0-0,", 5000) + "1-1", 200, 0, len(whole)},
		} {
			w := g.get(seg, "Range", c.ranges)
			if w.Code != c.code || c.to >= 0 && !bytes.Equal(w.Body.Bytes(), whole[c.from:c.to]) || w.Body.Len() > len(whole)+1000 {
				t.Errorf("Range %.40s: %d, %d bytes", c.ranges, w.Code, w.Body.Len())
			}
		}
		for accept, zipped := range map[string]bool{
			"": false, "gzip": true, "gzip, br": true, "br, gzip;q=0.5": true, "*": true, "gzip;q=0": false, "gzip; q=0.000": false, "identity": false,
			"*;q=0": false, "br;q=1, gzip;q=0, *": false,
		} {
			w := g.get(tsList, "Accept-Encoding", accept)
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != zipped || w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("Accept-Encoding %q: gzip %v, want %v", accept, got, zipped)
			}
			if zipped {
				z, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(z); err != nil || !bytes.HasPrefix(b, []byte("#EXTM3U\n")) {
					t.Errorf("%v: %q", err, b)
				}
			}
		}
		for method, code := range map[string]int{"OPTIONS": 204, "POST": 405, "PUT": 405, "DELETE": 405, "PATCH": 405, "TRACE": 405, "FOO": 405} {
			for _, target := range []string{tsList, seg, init} {
				if w := g.ask(method, target); w.Code != code || code == 405 && w.Header().Get("Allow") == "" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s %s: %d %v", method, target, w.Code, w.Header())
				}
			}
		}
	})
}

// TestManyNames: who asks for things that are not there leaves nothing behind.
func TestManyNames(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		const n = 10_000
		done := make(chan int, n)
		for k := range n {
			g := i.guest(fmt.Sprintf("192.0.%d.%d", k>>8&255, k&255), strconv.Itoa(k))
			target := []string{"/live/%d/hls.m3u8", "/live/%d/hls.fmp4.m3u8", "/live/%d/index.m3u8", "/live/%d/abc-1.hls.ts"}[k%4]
			go func() { done <- g.get(fmt.Sprintf(target, k)).Code }()
		}
		for range n {
			if code := <-done; code != http.StatusNotFound {
				t.Fatal(code)
			}
		}
		i.Viewers(0)
		i.empty()
	})
}

// TestCookiePath: the cookie comes back for all names of streams.
func TestCookiePath(t *testing.T) {
	for _, name := range []string{"live/x", "live/a;b", "live/a b", "live/a(b)", "live/ü", "live/a,b", "live/x/y;z"} {
		t.Run(name, func(t *testing.T) {
			within(t, conformance.Options{}, func(t *testing.T, i *inn) {
				s := i.publish(name, usual())
				s.send(time.Second)
				path := "/" + strings.NewReplacer(" ", "%20", "ü", "%C3%BC").Replace(name)
				c := i.guest("192.0.2.1", "a").later(t.Context(), path+"/hls.fmp4.m3u8")
				s.send(3 * time.Second)
				w := <-c
				set := w.Result().Cookies()
				if w.Code != http.StatusOK || len(set) != 1 {
					t.Fatalf("%d %v", w.Code, w.Header())
				}
				if at := set[0].Path; at != "" && !strings.HasPrefix(path+"/", at) {
					t.Errorf("the cookie of %s is for %s", path, at)
				}
			})
		})
	}
}

// TestSlowReader: who is slow gets all of a large segment, by ranges too, but not for ever: what it reads stays in memory.
func TestSlowReader(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		pace   int // bytes a second
		whole  bool
	}{
		"whole": {"", 200_000, true}, "range": {"Range: bytes=0-\r\n", 200_000, true},
		"too slow": {"", 14_000, false}, "range too slow": {"Range: bytes=0-\r\n", 14_000, false},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, conformance.Options{}, func(t *testing.T, i *inn) {
				s := i.publish("live/x", sim.Options{Video: av.H264, KeySize: 4_000_000, Size: 100, GOP: 50})
				s.send(time.Second)
				g := i.guest("192.0.2.1", "a")
				w := g.later(t.Context(), tsList)
				s.send(8 * time.Second)
				<-w
				seg := "/live/x/" + g.list(tsList).Media.Segments[0].URI
				conn, err := i.Dial(t.Context(), "HTTP")
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", seg, c.header)
				begin := time.Now()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				n := int64(0)
				for err == nil {
					var m int64
					m, err = io.CopyN(io.Discard, resp.Body, int64(c.pace/2))
					n += m
					time.Sleep(500 * time.Millisecond)
				}
				if got := n == resp.ContentLength; got != c.whole || time.Since(begin) > 2*time.Minute {
					t.Errorf("%d of %d bytes in %v: %v", n, resp.ContentLength, time.Since(begin), err)
				}
			})
		})
	}
}

// TestPrivate: what tells a visitor's id is kept by no cache.
func TestPrivate(t *testing.T) {
	within(t, conformance.Options{}, func(t *testing.T, i *inn) {
		s := streamed(i)
		s.first(tsList, i.guest("192.0.2.9", "z"))
		s.first(lowList, i.guest("192.0.2.9", "z"))
		s.send(4 * time.Second)
		g := i.guest("192.0.2.1", "a")
		for n, target := range []string{tsList, tsList, mainList} {
			w := g.get(target)
			if got := strings.Contains(w.Header().Get("Cache-Control"), "private"); got != (n != 1) || w.Code != http.StatusOK {
				t.Errorf("%s, %d: %d %v", target, n, w.Code, w.Header())
			}
		}
	})
}
