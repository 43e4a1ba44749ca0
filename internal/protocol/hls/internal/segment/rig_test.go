package segment

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/sim"
)

// began is when the streams of these tests began.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// usual are options that no test is about.
func usual(f Format) Options {
	return Options{
		Format: f, Token: "tok", First: 1000, Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7, Bytes: 64 << 20,
		GOP: time.Second, Frame: 40 * time.Millisecond,
	}
}

// tape makes entries of what an encoder makes. Everything in it came when its stamp says, if nothing else is said.
type tape struct {
	entries []Entry
	tracks  []*av.Track
	next    *av.AccessUnit // of the encoder that was recorded last
}

// record appends units up to a time of the stream, as they came through bend, which may change one or drop it (false).
func (p *tape) record(e *sim.Encoder, until time.Duration, bend func(*Entry) bool) *tape {
	for {
		u := p.next
		if p.next = nil; u == nil {
			u = e.Next()
		}
		if u.DTS >= until {
			p.next = u
			return p
		}
		p.tracks = e.Tracks()
		n := Entry{Unit: u, Tracks: p.tracks, Came: began.Add(u.DTS)}
		if bend == nil || bend(&n) {
			p.entries = append(p.entries, n)
		}
	}
}

func record(o sim.Options, until time.Duration) *tape {
	return new(tape).record(sim.New(o), until, nil)
}

// exact undoes that an encoder's stamps are whole milliseconds.
func exact(fps float64) func(*Entry) bool {
	return func(e *Entry) bool {
		round := func(d time.Duration, unit float64) time.Duration {
			return time.Duration(math.Round(d.Seconds()/unit) * unit * float64(time.Second))
		}
		unit := 1 / fps
		if t := e.Unit.Track; t.Kind() == av.Audio {
			unit = 1 / float64(t.SampleRate)
		}
		e.Unit.DTS, e.Unit.PTS = round(e.Unit.DTS, unit), round(e.Unit.PTS, unit)
		return true
	}
}

// rig is a Cutter that is fed as fast as a player asks for more. Each edition is looked at.
type rig struct {
	t     testing.TB
	c     *Cutter
	feed  []Entry
	now   *Edition
	whole m3u8.History // of all editions
	last  *Edition     // the one before
	ended bool

	problems []m3u8.Problem
	hashes   map[*Edition]uint64 // of editions, when they were new
	segments []*Segment          // complete, in order
	biggest  int64               // bytes that were kept
	count    int                 // of editions
	lint     bool                // each edition, and each delta update
}

func newRig(t testing.TB, o Options, p *tape) *rig {
	t.Helper()
	return &rig{
		t: t, c: New(o), feed: p.entries, now: Nothing(o.Format), whole: m3u8.History{Slack: -1},
		hashes: map[*Edition]uint64{}, lint: true,
	}
}

// more feeds until there is a new edition, and says whether there is one.
func (r *rig) more() bool {
	for len(r.feed) > 0 {
		changed := r.c.Add(r.feed[0])
		r.feed = r.feed[1:]
		if changed {
			r.publish()
			return true
		}
	}
	if r.ended {
		return false
	}
	r.ended = true
	r.c.End()
	r.publish()
	return true
}

// hashEvery is how many editions there are for one whose hash is looked at again at the end.
const hashEvery = 5

func (r *rig) publish() {
	e := r.c.Edition()
	r.last, r.now = r.now, e
	if r.count++; r.count%hashEvery == 0 {
		r.hashes[e] = sum(e)
	}
	r.biggest = max(r.biggest, r.c.bytes)
	for _, s := range e.kept {
		if n := len(r.segments); n == 0 || s.Number > r.segments[n-1].Number {
			r.segments = append(r.segments, s)
		}
	}
	if !r.lint {
		return
	}
	if e.Playable() {
		_, found := r.whole.Add(m3u8.Response{At: began, Body: e.Playlist().Body})
		r.problems = append(r.problems, found...)
	}
	r.delta()
}

// delta puts a delta update together with the edition before, and holds the result against the whole.
func (r *rig) delta() {
	if d := r.now.Delta(); d != r.now.Playlist() && r.last.Playable() {
		h := m3u8.History{Slack: -1}
		h.Add(m3u8.Response{At: began, Body: r.last.Playlist().Body})
		merged, found := h.Add(m3u8.Response{At: began, URL: "http://h/p.m3u8?_HLS_skip=YES", Body: d.Body})
		r.problems = append(r.problems, found...)
		whole, err := m3u8.Parse(r.now.Playlist().Body)
		if err != nil || merged == nil {
			r.t.Fatalf("a playlist cannot be read, or its update put together: %v", err)
		}
		if differ := m3u8.Diff(whole, merged); len(differ) > 0 {
			r.t.Fatalf("the playlist with its update is another: %v\n%s\n%s", differ, r.now.Playlist().Body, d.Body)
		}
	}
}

// sum is a hash of all that can be asked of an edition.
func sum(e *Edition) uint64 {
	h := fnv.New64a()
	b := e.appendPlaylist(nil, 0)
	_, _ = h.Write(e.appendPlaylist(b, e.skippable()))
	for _, s := range append(slices.Clone(e.kept), e.Open) {
		if s == nil {
			continue
		}
		_, _ = fmt.Fprint(h, s.Number, s.Duration, s.Start, s.Discontinuity, s.Size, len(s.Parts))
		for i, p := range s.Parts {
			if e.Part(s.Number, i) != p {
				panic("an edition does not find its part")
			}
			_, _ = fmt.Fprint(h, p.Duration, p.Independent, len(p.Data), p.Data[0], p.Data[len(p.Data)-1], p.Data[len(p.Data)/2])
		}
		if s.Init != nil {
			_, _ = h.Write(e.Init(s.Init.Number).Data)
		}
	}
	return h.Sum64()
}

// do answers a player's request as a server would: what is not there yet is made.
func (r *rig) do(q *http.Request) (*http.Response, error) {
	name := q.URL.Path[1:]
	if strings.HasSuffix(name, ".m3u8") {
		return r.playlist(q)
	}
	name = strings.TrimPrefix(name, "tok-")
	head, _, _ := strings.Cut(name, ".hls.")
	number, part, isPart := strings.Cut(head, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasSuffix(name, SuffixInit):
		if in := r.now.Init(int(n)); in != nil {
			return answer(q, http.StatusOK, in.Data), nil
		}
	case isPart:
		k, err := strconv.Atoi(part)
		if err != nil {
			return nil, err
		}
		for r.now.Hinted(n, k) && r.more() {
		}
		if p := r.now.Part(n, k); p != nil {
			return answer(q, http.StatusOK, p.Data), nil
		}
	default:
		if s := r.now.Segment(n); s != nil {
			return answer(q, http.StatusOK, bytesOf(s)), nil
		}
	}
	return answer(q, http.StatusNotFound, nil), nil
}

func (r *rig) playlist(q *http.Request) (*http.Response, error) {
	v := q.URL.Query()
	if v.Has("_HLS_msn") {
		msn, err := strconv.ParseUint(v.Get("_HLS_msn"), 10, 64)
		if err != nil {
			return nil, err
		}
		part := -1
		if v.Has("_HLS_part") {
			if part, err = strconv.Atoi(v.Get("_HLS_part")); err != nil {
				return nil, err
			}
		}
		if r.now.Ahead(msn) {
			return answer(q, http.StatusBadRequest, nil), nil
		}
		for !r.now.Ended && !r.now.Has(msn, part) && r.more() {
		}
	}
	for !r.now.Playable() && r.more() {
	}
	if !r.now.Playable() {
		return answer(q, http.StatusNotFound, nil), nil
	}
	d := r.now.Playlist()
	if v.Get("_HLS_skip") == "YES" {
		d = r.now.Delta()
	}
	return answer(q, http.StatusOK, d.Body), nil
}

func answer(q *http.Request, code int, b []byte) *http.Response {
	h := http.Header{"Content-Type": {"video/mp4"}}
	switch {
	case bytes.HasPrefix(b, []byte("#EXTM3U")):
		h.Set("Content-Type", "application/vnd.apple.mpegurl")
	case bytes.HasPrefix(b, []byte{0x47}):
		h.Set("Content-Type", "video/mp2t")
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(bytes.NewReader(b)), Request: q}
}

func bytesOf(s *Segment) (b []byte) {
	for _, p := range s.Parts {
		b = append(b, p.Data...)
	}
	return b
}

// got is what a player got.
type got struct {
	*rig
	units  []*av.AccessUnit
	pieces []*m3u8.Piece
	player *m3u8.Player
}

// play plays all of a tape from the begin to its end, by parts where there are some and low is set. It fails the test for what is a MUST,
// unless it is excused.
func play(t testing.TB, o Options, p *tape, low bool, excused ...string) *got {
	t.Helper()
	r := newRig(t, o, p)
	r.lint = low || o.Format == TS || o.Part == 0
	player, err := m3u8.NewPlayer("http://h/p.m3u8", m3u8.Options{
		Do: r.do, FromStart: true, LowLatency: low, Preload: low, Check: true, Parents: low, Slack: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &got{rig: r, player: player}
	units := m3u8.NewUnits(player)
	for {
		u, err := units.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %d units: %v", len(g.units), err)
		}
		if n := len(g.pieces); n == 0 || g.pieces[n-1] != units.Piece() {
			g.pieces = append(g.pieces, units.Piece())
		}
		g.units = append(g.units, u)
	}
	for r.more() {
	}
	g.judge(excused)
	return g
}

// judge fails the test for what must not be.
func (g *got) judge(excused []string) {
	g.t.Helper()
	told := map[string]bool{}
	for _, p := range m3u8.Musts(append(g.problems, g.player.Problems()...), excused...) {
		if !told[p.Name] {
			g.t.Errorf("%v", p)
			told[p.Name] = true
		}
	}
	if missed := g.player.Missed(); len(missed) > 0 && !slices.Contains(excused, "missed") {
		g.t.Errorf("the player missed %d pieces, the first is %+v", len(missed), missed[0])
	}
	for e, was := range g.hashes {
		if sum(e) != was {
			g.t.Fatalf("an edition has changed after it was published: of segments %d to %d", e.Segments[0].Number, e.next)
		}
	}
	for _, s := range g.segments {
		if size := len(bytesOf(s)); size != s.Size {
			g.t.Errorf("segment %d has %d bytes, it says %d", s.Number, size, s.Size)
		}
	}
}

// shoulds tells what was found that is only recommended, and how often.
func (g *got) shoulds() map[string]int {
	all := map[string]int{}
	for _, p := range append(g.problems, g.player.Problems()...) {
		if !p.Must && p.Name != "cache" && p.Name != "gzip" { // which are the room's
			all[p.Name]++
		}
	}
	return all
}

// same fails the test unless the units are those of a tape, each once, in order for each track, and with their stamps. lost says which
// may be absent.
func (g *got) same(p *tape, lost func(Entry) bool) {
	g.t.Helper()
	type id struct{ origin, seq uint64 }
	want := map[id]Entry{}
	absent := 0
	for _, e := range p.entries {
		tag, err := sim.Read(e.Unit)
		if err != nil {
			g.t.Fatal(err)
		}
		if e.Unit.Track.ID == 3 && g.c.opt.Format == FMP4 {
			continue // there is no place for it
		}
		want[id{uint64(tag.Origin), tag.Seq}] = e
		if lost != nil && lost(e) {
			absent++
		}
	}
	tick := time.Second / 8000
	if g.c.opt.Format == TS {
		tick = time.Second / 90_000
	}
	newest := map[string]uint64{}
	var base *time.Duration
	for i, u := range g.units {
		if u.Track.Codec == av.AV1 && u.Key && bytes.Equal(u.Data[0], u.Track.Config) {
			u.Data = u.Data[1:] // each key unit has the sequence header
		}
		tag, err := sim.Read(u)
		if err != nil {
			g.t.Fatalf("unit %d: %v", i, err)
		}
		key := id{uint64(tag.Origin), tag.Seq}
		w, ok := want[key]
		if !ok {
			g.t.Fatalf("unit %d is %v, which was not written, or came twice", i, key)
		}
		delete(want, key)
		track := fmt.Sprint(key.origin, tag.Track)
		if n := tag.TrackSeq + 1; n <= newest[track] {
			g.t.Fatalf("unit %d is number %d of its track, after %d", i, n, newest[track])
		}
		newest[track] = tag.TrackSeq + 1
		if u.Key != w.Unit.Key || !u.Track.Equal(w.Unit.Track) {
			g.t.Fatalf("unit %d, %v: key %v, written %v; track %+v, written %+v", i, key, u.Key, w.Unit.Key, u.Track, w.Unit.Track)
		}
		off := u.PTS - w.Unit.PTS
		if base == nil {
			base = &off
		}
		if (off-*base).Abs() > 2*tick || (u.PTS-u.DTS-w.Unit.PTS+w.Unit.DTS).Abs() > 2*tick {
			g.t.Fatalf("unit %d, %v: PTS %v, DTS %v, written %v, %v, at a base of %v", i, key, u.PTS, u.DTS, w.Unit.PTS, w.Unit.DTS, *base)
		}
	}
	for key, e := range want {
		if lost == nil || !lost(e) {
			g.t.Fatalf("%d units are absent, of %d that may be; one is %v at %v", len(want), absent, key, e.Unit.DTS)
		}
	}
}
