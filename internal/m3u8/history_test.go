package m3u8

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Versions of plain and low, one step on.
const (
	plainNext = `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.000Z
#EXTINF:2.000,
10.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:09.000Z
#EXTINF:2.000,
11.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:11.000Z
#EXTINF:2.000,
12.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:13.000Z
#EXTINF:2.000,
13.ts
`
	lowTail = `#EXT-X-PART:DURATION=0.5,URI="13.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="13.2.m4s"
`
	hint131 = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"13.1.m4s\"\n"
	// long is a playlist of which a delta update can skip something, with a discontinuity in it.
	long = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z
#EXTINF:2.0,
1.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.000Z
#EXTINF:2.0,
2.m4s
#EXTINF:2.0,
3.m4s
#EXTINF:2.0,
4.m4s
#EXTINF:2.0,
5.m4s
#EXTINF:2.0,
6.m4s
#EXTINF:2.0,
7.m4s
#EXTINF:2.0,
8.m4s
#EXT-X-PART:DURATION=0.5,URI="9.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="9.1.m4s"
`
	delta = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-SKIP:SKIPPED-SEGMENTS=2
#EXTINF:2.0,
3.m4s
#EXTINF:2.0,
4.m4s
#EXTINF:2.0,
5.m4s
#EXTINF:2.0,
6.m4s
#EXTINF:2.0,
7.m4s
#EXTINF:2.0,
8.m4s
#EXT-X-PART:DURATION=0.5,URI="9.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="9.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="9.2.m4s"
`
)

func swap(t testing.TB, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		changed := strings.Replace(text, pairs[i], pairs[i+1], 1)
		if changed == text {
			t.Fatalf("%q is not in the text", pairs[i])
		}
		text = changed
	}
	return text
}

// lowClosed is low before the first part of segment 13.
var lowClosed = strings.Replace(low, "#EXT-X-PART:DURATION=0.5,URI=\"13.0.m4s\",INDEPENDENT=YES\n"+hint131, "", 1)

// lowNext is low with one part more.
var lowNext = strings.Replace(low, hint131, lowTail, 1)

// changes are pairs of versions; in the second, texts stand for others. An empty rule: nothing is wrong.
var changes = []struct {
	rule        string
	first, then string
	pairs       []string
	after       time.Duration // 0: one second
}{
	{"", plain, plain, nil, 0},
	{"", plain, plainNext, nil, 0},
	{"", low, lowNext, nil, 0},
	{"", plain, plainNext, []string{"13.ts\n", "13.ts\n#EXT-X-ENDLIST\n"}, 0},
	{"", low, low, []string{hint131, "#EXTINF:0.5,\n13.m4s\n#EXT-X-ENDLIST\n"}, 0},                                            // the end breaks a hint
	{"", low, low, []string{hint131, "#EXTINF:0.5,\n13.m4s\n#EXT-X-PART:DURATION=0.5,URI=\"14.0.m4s\",INDEPENDENT=YES\n"}, 0}, // a change of plan
	{"", long, long, []string{"SEQUENCE:1\n", "SEQUENCE:2\n", "#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z\n#EXTINF:2.0,\n1.m4s\n", ""}, 0},
	{"", long, long, []string{
		"SEQUENCE:1\n", "SEQUENCE:2\n", "SEQUENCE:3\n", "SEQUENCE:4\n",
		"#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z\n#EXTINF:2.0,\n1.m4s\n#EXT-X-DISCONTINUITY\n", "",
	}, 0},

	{"msn-back", plainNext, plain, nil, 0},
	{"msn-shifted", plain, plain, []string{"MEDIA-SEQUENCE:9", "MEDIA-SEQUENCE:10"}, 0},
	{"msn-missing", strings.Replace(plain, "#EXT-X-MEDIA-SEQUENCE:9\n", "", 1), plainNext, []string{"#EXT-X-MEDIA-SEQUENCE:10\n", ""}, 0},
	{"break-sequence", plain, plainNext, []string{"DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2"}, 0},
	{"break-sequence", long, long, []string{
		"SEQUENCE:1\n", "SEQUENCE:2\n",
		"#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z\n#EXTINF:2.0,\n1.m4s\n#EXT-X-DISCONTINUITY\n", "",
	}, 0},
	{"break-sequence-back", plain, plainNext, []string{"DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:0"}, 0},
	{
		"break-sequence-missing", strings.Replace(strings.Replace(plain, "#EXT-X-DISCONTINUITY-SEQUENCE:1\n", "", 1),
			"#EXTINF:2.000,\n10", "#EXT-X-DISCONTINUITY\n#EXTINF:2.000,\n10", 1), plainNext,
		[]string{"#EXT-X-DISCONTINUITY-SEQUENCE:1\n", "", "#EXTINF", "#EXT-X-DISCONTINUITY\n#EXTINF"},
		0,
	},
	{"segment-changed", plain, plainNext, []string{"\n11.ts", "\n11b.ts"}, 0},
	{"segment-changed", plain, plainNext, []string{"#EXTINF:2.000,\n11.ts", "#EXTINF:1.999,\n11.ts"}, 0},
	{"segment-changed", plain, plainNext, []string{"03:04:09.000Z", "03:04:09.010Z"}, 0},
	{"segment-changed", plain, plainNext, []string{"#EXTINF:2.000,\n11.ts", "#EXT-X-GAP\n#EXTINF:2.000,\n11.ts"}, 0},
	{"segment-changed", low, lowNext, []string{"init.mp4", "init2.mp4"}, 0},
	{"segment-changed", low, lowNext, []string{"T03:04:05.000Z", "T03:04:05.100Z"}, 0},
	{"part-changed", low, lowNext, []string{"12.1.m4s", "12.x.m4s"}, 0},
	{"part-changed", low, lowNext, []string{`DURATION=0.5,URI="12.1.m4s"`, `DURATION=0.499,URI="12.1.m4s"`}, 0},
	{"part-changed", low, lowNext, []string{`"12.0.m4s",INDEPENDENT=YES`, `"12.0.m4s"`}, 0},
	{"part-changed", lowNext, low, nil, 0},
	{"part-removed", low, lowNext, []string{`#EXT-X-PART:DURATION=0.5,URI="11.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="11.1.m4s"
#EXT-X-PART:DURATION=0.5,URI="11.2.m4s"
#EXT-X-PART:DURATION=0.5,URI="11.3.m4s"
`, ""}, 0},
	{"end-removed", plain, plain, []string{"#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:11.000Z\n#EXTINF:2.000,\n12.ts\n", ""}, 0},
	{"target-changed", plain, plain, []string{"TARGETDURATION:2", "TARGETDURATION:3"}, 0},
	{
		"part-target-changed", strings.Replace(low, "BACK=1.5", "BACK=1.6", 1), lowNext,
		[]string{"BACK=1.5", "BACK=1.6", "PART-TARGET=0.5", "PART-TARGET=0.50001"},
		0,
	},
	{"control-changed", plain, plainNext, []string{"RELOAD=YES", "RELOAD=YES,HOLD-BACK=7"}, 0},
	{"ended-changed", plain + "#EXT-X-ENDLIST\n", plain, nil, 0},
	{"ended-changed", plain + "#EXT-X-ENDLIST\n", plainNext, []string{"13.ts\n", "13.ts\n#EXT-X-ENDLIST\n"}, 0},
	{"type-changed", strings.Replace(plain, "RELOAD=YES", "RELOAD=YES\n#EXT-X-PLAYLIST-TYPE:EVENT", 1), plain, nil, 0},
	{
		"type-changed", strings.Replace(plain, "RELOAD=YES", "RELOAD=YES\n#EXT-X-PLAYLIST-TYPE:EVENT", 1), plainNext,
		[]string{"RELOAD=YES", "RELOAD=YES\n#EXT-X-PLAYLIST-TYPE:EVENT"},
		0,
	},
	{"window", plain, plainNext, []string{
		"MEDIA-SEQUENCE:10", "MEDIA-SEQUENCE:12",
		"#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.000Z\n#EXTINF:2.000,\n10.ts\n#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:09.000Z\n#EXTINF:2.000,\n11.ts\n", "",
	}, 0},
	{"hint-broken", low, lowNext, []string{"13.1.m4s", "13.b.m4s"}, 0},
	{
		"hint-broken", strings.Replace(low, "#EXT-X-PART:DURATION=0.5,URI=\"13.0.m4s\",INDEPENDENT=YES\n"+hint131, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"13.a.m4s\"\n", 1),
		low, nil, 0,
	},
	{"segment-overdue", plain, plain, nil, 3600 * time.Millisecond},
	{"", plain, plain, nil, 3400 * time.Millisecond},
	{"part-overdue", low, low, nil, 1100 * time.Millisecond},
	{"", low, low, nil, 900 * time.Millisecond},
	{"skip-unresolved", low, delta, nil, 0},
}

// TestChanges: each change is found by its rule, and by no other.
func TestChanges(t *testing.T) {
	for _, tc := range changes {
		after := tc.after
		if after == 0 {
			after = 900 * time.Millisecond
		}
		second := swap(t, tc.then, tc.pairs...)
		query := ""
		if tc.rule == "skip-unresolved" {
			query = "http://a/b.m3u8?_HLS_skip=YES"
		}
		var h History
		start := time.Unix(1e9, 0)
		if _, problems := h.Add(Response{At: start, Body: []byte(tc.first)}); len(problems) > 0 {
			t.Fatalf("%s: %v", tc.rule, problems)
		}
		_, problems := h.Add(Response{At: start.Add(after), Body: []byte(second), URL: query})
		want := []string{tc.rule}
		if tc.rule == "" {
			want = nil
		}
		if got := names(problems); !slices.Equal(got, want) {
			t.Errorf("%q, %q: found %v: %v", tc.rule, tc.pairs, got, problems)
		}
	}
}

func header(pairs ...string) http.Header {
	h := http.Header{"Content-Type": {"application/vnd.apple.mpegurl"}, "Cache-Control": {"max-age=1"}, "Content-Encoding": {"gzip"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if h.Del(pairs[i]); pairs[i+1] != "" {
			h.Set(pairs[i], pairs[i+1])
		}
	}
	return h
}

const address = "http://a/live/x/hls.m3u8"

// answers are single answers to long, or to something else, with what they were asked for.
var answers = []struct {
	rule  string
	body  string
	query string
	path  string // instead of address
	h     http.Header
	plain bool // gzip was not accepted
}{
	{"", plain, "", "", header(), false},
	{"", plain, "", "", header("Content-Type", "audio/mpegurl; charset=UTF-8", "Cache-Control", "no-cache"), false},
	{"", plain, "?_HLS_msn=12", "", header("Cache-Control", "public, max-age=12"), false},
	{"content-type", plain, "", "http://a/hls", header("Content-Type", "text/plain"), false},
	{"content-type-other", plain, "", "", header("Content-Type", "text/plain"), false},
	{"charset", plain, "", "", header("Content-Type", "audio/mpegurl; charset=iso-8859-1"), false},
	{"cache", plain, "", "", header("Cache-Control", ""), false},
	{"cache", plain, "", "", header("Cache-Control", "max-age=2"), false},
	{"cache", plain, "?_HLS_msn=12", "", header("Cache-Control", "max-age=13"), false},
	{"gzip", plain, "", "", header("Content-Encoding", ""), false},
	{"gzip-unasked", plain, "", "", header(), true},
	{"syntax", "x", "", "", header(), false},

	{"", long, "", "", nil, false},
	{"", delta, "?_HLS_skip=YES", "", nil, false},
	{"", low, "?_HLS_skip=YES", "", nil, false},
	{"", long, "?_HLS_msn=9&_HLS_part=0", "", nil, false},
	{"", long, "?_HLS_msn=8&_HLS_part=7", "", nil, false},
	{"skip-unasked", delta, "", "", nil, false},
	{"skip-ignored", long, "?_HLS_skip=YES", "", nil, false},
	{"skip-too-little", strings.Replace(long, "#EXT-X-MAP", "#EXT-X-SKIP:SKIPPED-SEGMENTS=0\n#EXT-X-MAP", 1), "?_HLS_skip=YES", "", nil, false},
	{"skip-too-much", strings.Replace(delta, "SKIPPED-SEGMENTS=2\n#EXTINF:2.0,\n3.m4s\n", "SKIPPED-SEGMENTS=3\n", 1), "?_HLS_skip=YES", "", nil, false},
	{"reload-early", long, "?_HLS_msn=9", "", nil, false},
	{"reload-early", long, "?_HLS_msn=9&_HLS_part=1", "", nil, false},
	{"reload-early", plain, "?_HLS_msn=13", "", nil, false},
	{"", low, "?_HLS_msn=12&_HLS_part=4", "", nil, false},
	{"", lowClosed, "?_HLS_msn=12&_HLS_part=3", "", nil, false},
	{"reload-early", lowClosed, "?_HLS_msn=12&_HLS_part=4", "", nil, false}, // means 13.0
}

func TestAnswers(t *testing.T) {
	for _, tc := range answers {
		h := History{Slack: -1}
		if tc.h == nil && tc.body != plain && tc.body != low && tc.body != lowClosed {
			h.Add(Response{Body: []byte(long)})
		}
		path := address
		if tc.path != "" {
			path = tc.path
		}
		_, problems := h.Add(Response{URL: path + tc.query, Gzip: !tc.plain, Header: tc.h, Body: []byte(tc.body)})
		want := []string{tc.rule}
		if tc.rule == "" {
			want = nil
		}
		if got := names(problems); !slices.Equal(got, want) {
			t.Errorf("%q, %s, %v: found %v: %v", tc.rule, tc.query, tc.h, got, problems)
		}
	}
}

// TestMerge: a delta update and the version before it are the whole playlist.
func TestMerge(t *testing.T) {
	whole := mustParse(t, swap(t, long, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.1.m4s\"",
		"#EXT-X-PART:DURATION=0.5,URI=\"9.1.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.2.m4s\""))
	merged, err := Merge(mustParse(t, long), mustParse(t, delta))
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(merged, whole); len(d) > 0 || merged.Media.Skip != nil || merged.Media.Segment(4).Map.URI != "init2.mp4" ||
		merged.Media.Open.Map.URI != "init2.mp4" || merged.Media.Open.DiscontinuitySequence != 4 {
		t.Errorf("%v: %+v", d, merged.Media)
	}
	for _, change := range [][]string{
		{"5.m4s", "5b.m4s"},
		{"SEQUENCE:3", "SEQUENCE:4"},
		{"#EXTINF:2.0,\n8", "#EXTINF:1.9,\n8"},
		{"init2", "init3"},
		{"9.1.m4s", "9.b.m4s"},
		{"TARGET=0.5", "TARGET=0.6"},
		{"07.000Z", "07.001Z"},
		{",INDEPENDENT=YES", ""},
	} {
		other := mustParse(t, swap(t, long, append([]string{
			"#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.1.m4s\"",
			"#EXT-X-PART:DURATION=0.5,URI=\"9.1.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.2.m4s\"",
		}, change...)...))
		if len(Diff(merged, other)) == 0 {
			t.Errorf("%v makes no difference", change)
		}
	}
	if _, err = Merge(mustParse(t, low), mustParse(t, delta)); err == nil {
		t.Error("segments that are not known were skipped")
	}
	if _, err = Merge(nil, mustParse(t, delta)); err == nil {
		t.Error("nothing was before")
	}
	same := mustParse(t, low)
	if p, err := Merge(nil, same); p != same || err != nil {
		t.Error(err)
	}
}

// TestMergeRemoves: the segment with the discontinuity is now the first, its tag was removed and counted.
func TestMergeRemoves(t *testing.T) {
	text := swap(t, delta, "MEDIA-SEQUENCE:1", "MEDIA-SEQUENCE:2", "DISCONTINUITY-SEQUENCE:3", "DISCONTINUITY-SEQUENCE:4",
		"SKIPPED-SEGMENTS=2", "SKIPPED-SEGMENTS=1")
	var h History
	h.Add(Response{At: time.Unix(1, 0), Body: []byte(long)})
	p, problems := h.Add(Response{At: time.Unix(1, 5e8), Body: []byte(text), URL: address + "?_HLS_skip=YES"})
	if len(problems) > 0 || p == nil || p.Media.Segment(3).DiscontinuitySequence != 4 {
		t.Errorf("%v", problems)
	}
}
