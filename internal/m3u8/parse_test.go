package m3u8

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func mustParse(t testing.TB, text string) *Playlist {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestParseMedia reads all that a low latency playlist says.
func TestParseMedia(t *testing.T) {
	m := mustParse(t, low).Media
	if m.TargetDuration != 2*time.Second || m.MediaSequence != 9 || m.PartTarget != 500*time.Millisecond || m.Ended {
		t.Errorf("%+v", m)
	}
	want := ServerControl{Line: 4, CanSkipUntil: 12 * time.Second, PartHoldBack: 1500 * time.Millisecond, CanBlockReload: true}
	if *m.Control != want {
		t.Errorf("%+v", m.Control)
	}
	s := m.Segments[2]
	if s.URI != "11.m4s" || s.MSN != 11 || s.Line != 18 || len(s.Parts) != 4 || s.Map == nil || s.Map.URI != "init.mp4" || !s.Decimal {
		t.Errorf("%+v", s)
	}
	if p := (Part{Line: 13, URI: "11.0.m4s", Duration: 500 * time.Millisecond, Independent: true}); !reflect.DeepEqual(s.Parts[0], p) {
		t.Errorf("%+v", s.Parts[0])
	}
	if m.Open == nil || m.Open.MSN != 13 || len(m.Open.Parts) != 1 || m.Open.Map == nil {
		t.Errorf("%+v", m.Open)
	}
	if msn, part := m.Edge(); msn != 13 || part != 0 || m.Last() != 12 || m.Duration() != 8*time.Second {
		t.Error(msn, part)
	}
	if h := m.Hint("PART"); h == nil || h.URI != "13.1.m4s" || h.Length != -1 || m.Hint("MAP") != nil {
		t.Errorf("%+v", h)
	}
	if m.Segment(8) != nil || m.Segment(14) != nil || m.Segment(13) != m.Open || m.Segment(9).URI != "9.m4s" {
		t.Error("segments by number")
	}
	base := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, d := range m.dates() {
		if want := base.Add(time.Duration(i) * 2 * time.Second); !d.Equal(want) {
			t.Errorf("segment %d is dated %v, want %v", i, d, want)
		}
	}
}

// TestParseInherited: ranges go on, maps and keys hold until the next, discontinuities count.
func TestParseInherited(t *testing.T) {
	m := mustParse(t, `#EXTM3U
#EXT-X-DISCONTINUITY-SEQUENCE:5
#EXT-X-MAP:URI="i",BYTERANGE="10@5"
#EXTINF:1,
#EXT-X-BYTERANGE:100@50
a
#EXT-X-DISCONTINUITY
#EXT-X-KEY:METHOD=AES-128,URI="k1"
#EXT-X-KEY:METHOD=AES-128,URI="k2",KEYFORMAT="x"
#EXTINF:1,some title, here
#EXT-X-BYTERANGE:20
a
#EXT-X-GAP
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.123+0100
#EXTINF:1.0000000019,
b
#EXT-X-DISCONTINUITY
`).Media
	a, b, c := m.Segments[0], m.Segments[1], m.Segments[2]
	if *a.Map.Range != (ByteRange{Length: 10, Start: 5}) || *a.Range != (ByteRange{Length: 100, Start: 50}) || a.DiscontinuitySequence != 5 {
		t.Errorf("%+v", a)
	}
	if *b.Range != (ByteRange{Length: 20, Start: 150, Implicit: true}) || len(b.Keys) != 2 || b.Title != "some title, here" || b.Map != a.Map ||
		b.DiscontinuitySequence != 6 || !b.Discontinuity {
		t.Errorf("%+v", b)
	}
	if !c.Gap || c.PDT.UnixMilli() != time.Date(2026, 1, 2, 2, 4, 5, 123e6, time.UTC).UnixMilli() || c.Duration != time.Second+1 || len(c.Keys) != 2 {
		t.Errorf("%+v", c)
	}
	if m.Open == nil || !m.Open.Discontinuity || m.Open.DiscontinuitySequence != 7 || m.Open.MSN != 3 {
		t.Errorf("%+v", m.Open)
	}
	if d := m.dates(); d[0].IsZero() == false || !d[1].Equal(c.PDT.Add(-time.Second)) || !d[3].IsZero() {
		t.Error(d)
	}
}

func TestParseMultivariant(t *testing.T) {
	m := mustParse(t, master).Multivariant
	v := m.Variants[0]
	if v.URI != "hls.m3u8" || v.Bandwidth != 1280000 || v.Width != 640 || v.Height != 360 || v.FrameRate != 25 || len(v.Codecs) != 2 || v.Line != 2 {
		t.Errorf("%+v", v)
	}
}

func TestSyntaxError(t *testing.T) {
	_, err := Parse([]byte("#EXTM3U\n\n#EXTINF:x,\n"))
	if err == nil || err.Error() != `m3u8: line 3: EXTINF: "x" is no duration (section 4.4.4.1)` {
		t.Error(err)
	}
	if _, err = Parse(make([]byte, PlaylistMax+1)); err == nil {
		t.Error("a playlist beyond the limit")
	}
	if _, err = Parse(nil); err == nil {
		t.Error("nothing is a playlist")
	}
}

// FuzzParse: no panic in any of what reads, judges, compares and puts together.
func FuzzParse(f *testing.F) {
	paths, _ := filepath.Glob("testdata/good/*.m3u8")
	for _, path := range paths {
		if b, err := os.ReadFile(path); err == nil {
			f.Add(b)
		}
	}
	for _, text := range []string{plain, low, master, delta} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		var h History
		h.Add(Response{At: time.Unix(0, 0), Body: []byte(low)})
		h.Add(Response{At: time.Unix(1, 0), Body: b, URL: "http://a/?_HLS_msn=3&_HLS_skip=YES"})
		h.Add(Response{At: time.Unix(2, 0), Body: b})
		if err != nil {
			return
		}
		Lint(p)
		if (p.Media == nil) == (p.Multivariant == nil) {
			t.Fatal("neither or both kinds")
		}
		if m := p.Media; m != nil {
			m.dates()
			m.Edge()
			if m.Skip == nil && len(Diff(p, p)) != 0 {
				t.Fatal(Diff(p, p))
			}
		}
	})
}
