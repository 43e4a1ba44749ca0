package m3u8

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/mpegts"
	"github.com/vigil-media/vigil/internal/sim"
)

func clean(t *testing.T, p *Player) {
	t.Helper()
	for _, problem := range p.Problems() {
		t.Error(problem)
	}
	if m := p.Missed(); len(m) > 0 {
		t.Errorf("missed %v", m)
	}
}

// TestPlayerSegments: whole segments, with blocking reloads and without.
func TestPlayerSegments(t *testing.T) {
	for _, block := range []bool{true, false} {
		o := newOrigin(false, 14)
		o.block, o.breaks = block, 9
		p, pieces := play(t, o, 11*time.Second, Options{Check: true})
		// 9 is a break in name only: its media go on.
		clean(t, p)
		if len(pieces) != 12 || pieces[0].MSN != 2 || p.Stats().Deltas == 0 || p.Multivariant() == nil || o.cookies == 0 {
			t.Fatalf("block %v: %d pieces, the first %d; %+v", block, len(pieces), pieces[0].MSN, p.Stats())
		}
		for i, piece := range pieces {
			if piece.MSN != int64(2+i) || piece.Part != -1 || piece.Duration != segmentTime || piece.Missed != 0 || !piece.Independent ||
				piece.Discontinuity != (piece.MSN == 9) || !piece.PDT.Equal(o.start.Add(time.Duration(piece.MSN)*segmentTime).Truncate(time.Millisecond)) {
				t.Errorf("block %v: %+v", block, piece)
			}
			if o.asked[fmt.Sprintf("/%d.ts", piece.MSN)] != 1 {
				t.Errorf("segment %d was asked for more than once", piece.MSN)
			}
			late := piece.At.Sub(o.start.Add(time.Duration(piece.MSN+1) * segmentTime))
			if i > 3 && block && late > 50*time.Millisecond || late > 2*segmentTime+7*time.Second {
				t.Errorf("block %v: segment %d came %v late", block, piece.MSN, late)
			}
		}
	}
}

// TestPlayerParts: parts in order, each once, at the time they are made, by hints and without.
func TestPlayerParts(t *testing.T) {
	for _, preload := range []bool{true, false} {
		o := newOrigin(true, 12)
		p, pieces := play(t, o, 9*time.Second, Options{LowLatency: true, Check: true, Parents: true, Preload: preload})
		clean(t, p)
		// 22 parts are there; 1.2 s from the end is 3.4, and the newest independent one before that 3.0.
		if pieces[0].Init == nil || pieces[1].Init != nil || !pieces[0].Independent || pieces[0].Part != 0 || pieces[0].MSN != 3 || p.Stats().Deltas == 0 {
			t.Fatalf("%+v, %+v", pieces[0], p.Stats())
		}
		at := pieces[0].MSN * int64(partsEach)
		for _, piece := range pieces {
			if got := piece.MSN*int64(partsEach) + int64(piece.Part); got != at {
				t.Fatalf("part %d.%d, want number %d", piece.MSN, piece.Part, at)
			}
			at++
			late := piece.At.Sub(o.start.Add(time.Duration(at) * partTime))
			if at > 25 && late > 20*time.Millisecond {
				t.Errorf("part %d.%d came %v late", piece.MSN, piece.Part, late)
			}
			if want := o.start.Add(time.Duration(at-1) * partTime).Truncate(time.Millisecond); !piece.PDT.Equal(want) {
				t.Errorf("part %d.%d is dated %v, want %v", piece.MSN, piece.Part, piece.PDT, want)
			}
			if n := o.asked[fmt.Sprintf("/%d.%d.m4s", piece.MSN, piece.Part)]; n != 1 {
				t.Errorf("part %d.%d was asked for %d times", piece.MSN, piece.Part, n)
			}
		}
		if at != int64(o.count*partsEach) {
			t.Errorf("ends at %d", at)
		}
	}
}

// TestUnits: all units come, in order, with their bytes.
func TestUnits(t *testing.T) {
	for _, low := range []bool{true, false} {
		o := newOrigin(low, 6)
		synctest.Test(t, func(t *testing.T) {
			o.start = time.Now().Add(-5 * time.Second)
			p, err := NewPlayer("http://origin/hls.m3u8", Options{Client: o.serve(t), LowLatency: low, FromStart: true})
			if err != nil {
				t.Fatal(err)
			}
			u := NewUnits(p)
			next := map[byte]uint64{}
			n := 0
			for {
				unit, err := u.Next(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				tag, err := sim.Read(unit)
				if err != nil || tag.TrackSeq != next[tag.Track] {
					t.Fatalf("%+v, %v, want %d", tag, err, next[tag.Track])
				}
				next[tag.Track]++
				n++
			}
			if next[sim.VideoID] != 300 || next[sim.AudioID] < 500 || len(u.Tracks()) != 2 || u.Piece() == nil {
				t.Errorf("%v", next)
			}
			clean(t, p)
		})
	}
}

// TestPlayerMisses: what is not there is said, and nothing else is missed.
func TestPlayerMisses(t *testing.T) {
	o := newOrigin(false, 8)
	o.missing["/6.ts"] = 1
	p, pieces := play(t, o, 11*time.Second, Options{Check: true})
	if got := names(p.Problems()); !slices.Equal(got, []string{"missed", "unavailable"}) {
		t.Error(p.Problems())
	}
	if m := p.Missed(); len(m) != 1 || m[0].MSN != 6 || pieces[4].MSN != 7 || pieces[4].Missed != 1 || len(pieces) != 5 {
		t.Errorf("%v, %d pieces", m, len(pieces))
	}

	o = newOrigin(true, 8)
	o.missing["/6.2.m4s"] = 1
	p, _ = play(t, o, 11*time.Second, Options{LowLatency: true, Preload: true, Check: true})
	if got := names(p.Problems()); !slices.Equal(got, []string{"hint-unavailable"}) || len(p.Missed()) != 0 {
		t.Error(p.Problems())
	}
}

// TestPlayerSleeps: a player that was away misses what was removed, and says so.
func TestPlayerSleeps(t *testing.T) {
	o := newOrigin(false, 40)
	synctest.Test(t, func(t *testing.T) {
		o.start = time.Now().Add(-10 * time.Second)
		p, err := NewPlayer("http://origin/hls.m3u8", Options{Client: o.serve(t), Slack: -1})
		if err != nil {
			t.Fatal(err)
		}
		first, err := p.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		last, missed := first.MSN, 0
		for {
			piece, err := p.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if piece.MSN != last+1+int64(piece.Missed) {
				t.Errorf("segment %d behind %d, %d missed", piece.MSN, last, piece.Missed)
			}
			last, missed = piece.MSN, missed+piece.Missed
		}
		if missed == 0 || len(p.Missed()) != missed || last != 39 {
			t.Errorf("%d missed, %v, the last %d", missed, p.Missed(), last)
		}
	})
}

// spoils are media with a fault, or a playlist that does not fit them.
var spoils = []struct {
	rule  string
	low   bool
	spoil func(name string, b []byte) []byte
	edit  func(string) string
	also  []string
}{
	{"media-syntax", false, only("/5.ts", func(b []byte) []byte { return b[:len(b)-100] }), nil, nil},
	{"media-syntax", true, only("/4.3.m4s", func(b []byte) []byte { return b[:len(b)-100] }), nil, nil},
	{"media-tables", false, only("/5.ts", func(b []byte) []byte { return append(slices.Clone(b[2*188:]), b[:2*188]...) }), nil, nil},
	{"media-duration", false, nil, func(s string) string { return strings.ReplaceAll(s, "#EXTINF:2.000,\n5.", "#EXTINF:1.900,\n5.") }, nil},
	{"media-key", true, nil, func(s string) string { return strings.ReplaceAll(s, "4.3.m4s\"\n", "4.3.m4s\",INDEPENDENT=YES\n") }, nil},
	{"media-key-unmarked", true, nil, func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "4.0.m4s\",INDEPENDENT=YES\n", "4.0.m4s\"\n"), "#EXT-X-INDEPENDENT-SEGMENTS\n", "")
	}, nil},
	{"media-key-missing", false, only("/5.ts", withoutKey), func(s string) string {
		return strings.ReplaceAll(s, "#EXT-X-INDEPENDENT-SEGMENTS\n", "")
	}, nil},
	{"media-time", true, only("/4.3.m4s", func(b []byte) []byte { return moveTime(b, 9000) }), nil, nil},
	{"media-time", false, only("/5.ts", func([]byte) []byte { return newOrigin(false, 7).media["/6.ts"] }), nil, nil},
	{"media-sequence", true, only("/4.3.m4s", func(b []byte) []byte { return setSequence(b, 2) }), nil, nil},
	{"media-init", true, nil, func(s string) string { return strings.ReplaceAll(s, "init.mp4", "0.0.m4s") }, nil},
	{"media-parent", true, only("/4.m4s", func([]byte) []byte { return newOrigin(true, 5).media["/3.m4s"] }), nil, nil},
}

func only(name string, change func([]byte) []byte) func(string, []byte) []byte {
	return func(n string, b []byte) []byte {
		if n != name {
			return b
		}
		return change(slices.Clone(b))
	}
}

// moveTime moves the tfdt of the first track.
func moveTime(b []byte, ticks uint16) []byte {
	at := bytes.Index(b, []byte("tfdt"))
	b[at+4+4+6] += byte(ticks >> 8)
	return b
}

func setSequence(b []byte, n byte) []byte {
	at := bytes.Index(b, []byte("mfhd"))
	copy(b[at+8:], []byte{0, 0, 0, n})
	return b
}

// withoutKey makes a segment that has tables, and pictures none of which is a key picture at first.
func withoutKey([]byte) []byte {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 50})
	var m mpegts.Muxer
	b := m.AppendTables(nil, e.Tracks(), 10*time.Second)
	for u := e.Next(); u.DTS < 12*time.Second; u = e.Next() {
		if u.DTS >= 10*time.Second && (u.Track.Kind() == av.Audio || u.DTS > 10*time.Second) {
			b = m.Unit(b, e.Tracks(), u)
		}
	}
	return b
}

// TestCheck: what is wrong with media is found by its rule.
func TestCheck(t *testing.T) {
	for _, tc := range spoils {
		o := newOrigin(tc.low, 7)
		o.spoil, o.edit = tc.spoil, tc.edit
		p, _ := play(t, o, 7*time.Second, Options{
			LowLatency: tc.low, Check: true, Parents: tc.rule == "media-parent", FromStart: true,
		})
		if got := names(p.Problems()); !slices.Equal(got, append([]string{tc.rule}, tc.also...)) {
			t.Errorf("%s: found %v: %v", tc.rule, got, p.Problems())
		}
	}
}

// TestPlayerGoesBack: a stream that begins anew is played anew, and one that is not ready for a while is waited for.
func TestPlayerGoesBack(t *testing.T) {
	o := newOrigin(false, 8)
	synctest.Test(t, func(t *testing.T) {
		o.start = time.Now().Add(-11 * time.Second)
		client := o.serve(t)
		refuse := 0
		p, err := NewPlayer("http://origin/index.m3u8", Options{Slack: -1, NoBlock: true, Do: func(r *http.Request) (*http.Response, error) {
			if refuse--; refuse >= 0 {
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
			}
			return client.Do(r)
		}})
		if err != nil {
			t.Fatal(err)
		}
		next := func(want int64) {
			t.Helper()
			if piece, err := p.Next(t.Context()); err != nil || piece.MSN != want {
				t.Fatalf("%+v, %v, want segment %d", piece, err, want)
			}
		}
		for i := range 3 {
			next(int64(2 + i))
		}
		refuse = 2
		next(5)
		next(6)
		if o.cookies == 0 {
			t.Error("no cookies with Do")
		}
		o.start = time.Now().Add(-5 * time.Second)
		next(0)
		next(1)
		if got := names(p.Problems()); !slices.Contains(got, "missed") || len(p.Missed()) != 1 {
			t.Errorf("%v, %v", got, p.Missed())
		}
		refuse = 100
		if _, err = p.Next(t.Context()); err == nil {
			t.Error("refused for ever")
		}
	})
}

// TestPlayerRanges: segments that are parts of one resource, from a server that knows ranges and from one that does not. The initialization
// section is given once.
func TestPlayerRanges(t *testing.T) {
	const text = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MAP:URI="all.mp4",BYTERANGE="4@0"
#EXTINF:2,
#EXT-X-BYTERANGE:3@4
all.mp4
#EXTINF:2,
#EXT-X-BYTERANGE:2
all.mp4
#EXT-X-GAP
#EXTINF:2,
gap.mp4
#EXT-X-ENDLIST
`
	for _, ranges := range []bool{true, false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/a.m3u8":
				_, _ = io.WriteString(w, text)
			case ranges:
				http.ServeContent(w, r, "all.mp4", time.Time{}, strings.NewReader("initonetw"))
			default:
				_, _ = io.WriteString(w, "initonetw")
			}
		}))
		p, err := NewPlayer(s.URL+"/a.m3u8", Options{Client: s.Client(), NoGzip: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			piece, err := p.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(piece.Init)+"|"+string(piece.Data))
		}
		if !slices.Equal(got, []string{"init|one", "|tw"}) || len(p.Missed()) != 1 || p.Missed()[0].Why != "a gap" || !p.Playlist().Media.Ended {
			t.Errorf("%q, %v", got, p.Missed())
		}
		s.Close()
	}
}

// TestPlayerErrors: no playlist, one that is too long, one that is not one, and no answer.
func TestPlayerErrors(t *testing.T) {
	h := http.NewServeMux()
	h.HandleFunc("/long.m3u8", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, PlaylistMax+1)) })
	h.HandleFunc("/bad.m3u8", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	h.HandleFunc("/never.m3u8", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := httptest.NewServer(h)
	defer s.Close()
	next := func(path string, o Options) error {
		if o.Do == nil {
			o.Client = s.Client()
		}
		p, err := NewPlayer(s.URL+path, o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Next(t.Context())
		return err
	}
	if e, ok := errors.AsType[*StatusError](next("/none.m3u8", Options{})); !ok || e.Code != http.StatusNotFound {
		t.Error(e)
	}
	if err := next("/long.m3u8", Options{}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
	if _, ok := errors.AsType[*SyntaxError](next("/bad.m3u8", Options{Do: s.Client().Do})); !ok {
		t.Error("not a syntax error")
	}
	if err := next("/never.m3u8", Options{Timeout: 10 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for _, o := range []Options{{}, {Client: s.Client()}} {
		if _, err := NewPlayer("/x", o); err == nil {
			t.Error("a player of nothing")
		}
	}
}
