package m3u8

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/container/mpegts"
	"github.com/vigil-media/vigil/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A small live stream: pictures at 25 fps, a key picture every 2 s, segments of 2 s, parts of 0.4 s.
const (
	segmentTime = 2 * time.Second
	partTime    = 400 * time.Millisecond
	partsEach   = int(segmentTime / partTime)
	window      = 8 // segments
)

// origin is a server of such a stream. It makes all media first, and shows what is there at the time.
type origin struct {
	low     bool
	count   int // segments, of all
	start   time.Time
	block   bool // offers blocking reloads
	spoil   func(name string, b []byte) []byte
	edit    func(text string) string
	breaks  int // the segment that EXT-X-DISCONTINUITY stands before; 0: none
	media   map[string][]byte
	asked   map[string]int
	cookies int // requests that brought the cookie
	missing map[string]int
}

func newOrigin(low bool, count int) *origin {
	o := &origin{low: low, count: count, block: true, media: map[string][]byte{}, asked: map[string]int{}, missing: map[string]int{}}
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 50})
	tracks := e.Tracks()
	var parts [][]*av.AccessUnit
	for u := e.Next(); u.DTS < time.Duration(count)*segmentTime; u = e.Next() {
		n := int(u.DTS / partTime)
		for len(parts) <= n {
			parts = append(parts, nil)
		}
		parts[n] = append(parts[n], u)
	}
	if low {
		o.fragments(tracks, parts)
		return o
	}
	var m mpegts.Muxer
	for i := range count {
		var b []byte
		for _, part := range parts[i*partsEach : (i+1)*partsEach] {
			for _, u := range part {
				b = m.Unit(b, tracks, u)
			}
		}
		o.media[fmt.Sprintf("/%d.ts", i)] = b
	}
	return o
}

func (o *origin) fragments(tracks []*av.Track, parts [][]*av.AccessUnit) {
	o.media["/init.mp4"] = fmp4.AppendInit(nil, tracks)
	var f fmp4.Fragment
	var whole []byte
	for i, units := range parts {
		for _, u := range units {
			if err := f.Add(u); err != nil {
				panic(err)
			}
		}
		b := f.Append(nil, time.Duration(i+1)*partTime)
		o.media[fmt.Sprintf("/%d.%d.m4s", i/partsEach, i%partsEach)] = b
		whole = append(whole, b...)
		if i%partsEach == partsEach-1 {
			o.media[fmt.Sprintf("/%d.m4s", i/partsEach)] = whole
			whole = nil
		}
	}
}

// edge is how many parts there are.
func (o *origin) edge() int { return min(int(time.Since(o.start)/partTime), o.count*partsEach) }

// playlist writes the one of the time, whole or as a delta update.
func (o *origin) playlist(skip bool) string {
	edge := o.edge()
	closed, open := edge/partsEach, edge%partsEach
	first := max(closed-window, 0)
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12")
	if o.block {
		b.WriteString(",CAN-BLOCK-RELOAD=YES")
	}
	if o.low {
		b.WriteString(",PART-HOLD-BACK=1.2\n#EXT-X-PART-INF:PART-TARGET=0.4")
	}
	breaks := 0
	if o.breaks > 0 && first > o.breaks {
		breaks = 1
	}
	fmt.Fprintf(&b, "\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", first, breaks)
	from := first
	if n := closed - 6; skip && n > first && edge < o.count*partsEach {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", n-first)
		from = n
	}
	ext := "ts"
	if o.low {
		ext = "m4s"
		b.WriteString("#EXT-X-MAP:URI=\"init.mp4\"\n")
	}
	for i := from; i < closed; i++ {
		o.tags(&b, i)
		if o.low && i >= closed-3 {
			o.parts(&b, i, partsEach)
		}
		fmt.Fprintf(&b, "#EXTINF:2.000,\n%d.%s\n", i, ext)
	}
	switch {
	case edge == o.count*partsEach:
		b.WriteString("#EXT-X-ENDLIST\n")
	case o.low:
		if open > 0 {
			o.tags(&b, closed)
		}
		o.parts(&b, closed, open)
		fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%d.%d.m4s\"\n", closed, open)
	}
	if o.edit != nil {
		return o.edit(b.String())
	}
	return b.String()
}

func (o *origin) tags(b *strings.Builder, i int) {
	if i > 0 && i == o.breaks {
		b.WriteString("#EXT-X-DISCONTINUITY\n")
	}
	b.WriteString("#EXT-X-PROGRAM-DATE-TIME:" + o.start.Add(time.Duration(i)*segmentTime).UTC().Format("2006-01-02T15:04:05.000Z07:00") + "\n")
}

func (o *origin) parts(b *strings.Builder, i, n int) {
	for j := range n {
		fmt.Fprintf(b, "#EXT-X-PART:DURATION=0.4,URI=\"%d.%d.m4s\"", i, j)
		if j == 0 {
			b.WriteString(",INDEPENDENT=YES")
		}
		b.WriteString("\n")
	}
}

// until waits for a time of the stream.
func (o *origin) until(r *http.Request, parts int) {
	t := time.NewTimer(time.Until(o.start.Add(time.Duration(min(parts, o.count*partsEach)) * partTime)))
	defer t.Stop()
	select {
	case <-r.Context().Done():
	case <-t.C:
	}
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("session"); err == nil {
		o.cookies++
	}
	o.asked[r.URL.Path]++
	switch {
	case r.URL.Path == "/index.m3u8":
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		o.answer(w, r, master)
	case strings.HasSuffix(r.URL.Path, ".m3u8"):
		q := r.URL.Query()
		if msn, err := strconv.Atoi(q.Get("_HLS_msn")); err == nil {
			part, err := strconv.Atoi(q.Get("_HLS_part"))
			if err != nil {
				part = partsEach - 1
			}
			o.until(r, msn*partsEach+part+1)
		}
		o.answer(w, r, o.playlist(q.Get("_HLS_skip") == "YES"))
	default:
		var i, j int
		if n, _ := fmt.Sscanf(r.URL.Path, "/%d.%d.m4s", &i, &j); n == 2 {
			o.until(r, i*partsEach+j+1)
		}
		b, ok := o.media[r.URL.Path]
		if o.spoil != nil {
			b = o.spoil(r.URL.Path, b)
		}
		if o.missing[r.URL.Path]--; !ok || o.missing[r.URL.Path] >= 0 {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(b)
	}
}

func (o *origin) answer(w http.ResponseWriter, r *http.Request, text string) {
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	w.Header().Set("Cache-Control", "no-cache")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		_, _ = io.WriteString(w, text)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
}

// serve serves the origin by connections in memory, and returns a client of it.
func (o *origin) serve(t *testing.T) *http.Client {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	s := &http.Server{Handler: o}
	go func() { _ = s.Serve(l) }()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		a, b := net.Pipe()
		select {
		case l.conns <- b:
			return a, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		_ = s.Close()
	})
	return &http.Client{Transport: tr}
}

type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// play runs a player to the end in a bubble, over connections in memory. The stream has been there for age.
func play(t *testing.T, o *origin, age time.Duration, opt Options) (p *Player, pieces []*Piece) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.start = time.Now().Add(-age)
		opt.Client = o.serve(t)
		var err error
		if p, err = NewPlayer("http://origin/index.m3u8", opt); err != nil {
			t.Fatal(err)
		}
		for {
			piece, err := p.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			pieces = append(pieces, piece)
		}
	})
	return p, pieces
}
