package m3u8

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGood: these have nothing wrong.
func TestGood(t *testing.T) {
	paths, err := filepath.Glob("testdata/good/*.m3u8")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p, problems := LintBytes(b)
			for _, problem := range problems {
				if problem.Name == "part-hold-back-short" && strings.Contains(path, "apple-") {
					continue // Apple's own is 20 us too short
				}
				t.Error(problem)
			}
			if p == nil || (p.Media == nil) == (p.Multivariant == nil) {
				t.Errorf("%+v", p)
			}
		})
	}
}

const (
	plain = `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES
#EXT-X-MEDIA-SEQUENCE:9
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z
#EXTINF:2.000,
9.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.000Z
#EXTINF:2.000,
10.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:09.000Z
#EXTINF:2.000,
11.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:11.000Z
#EXTINF:2.000,
12.ts
`
	low = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:9
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z
#EXTINF:2.000,
9.m4s
#EXTINF:2.000,
10.m4s
#EXT-X-PART:DURATION=0.5,URI="11.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="11.1.m4s"
#EXT-X-PART:DURATION=0.5,URI="11.2.m4s"
#EXT-X-PART:DURATION=0.5,URI="11.3.m4s"
#EXTINF:2.000,
11.m4s
#EXT-X-PART:DURATION=0.5,URI="12.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="12.1.m4s"
#EXT-X-PART:DURATION=0.5,URI="12.2.m4s"
#EXT-X-PART:DURATION=0.5,URI="12.3.m4s"
#EXTINF:2.000,
12.m4s
#EXT-X-PART:DURATION=0.5,URI="13.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="13.1.m4s"
`
	master = `#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000
hls.m3u8
`
)

// bad are playlists with one thing wrong, each the base with one text instead of another.
var bad = []struct {
	rule      string
	base      string
	old, with string
}{
	// What clients must refuse.
	{"syntax", plain, "#EXTM3U", "\xef\xbb\xbf#EXTM3U"},
	{"syntax", plain, "#EXTM3U", "\n#EXTM3U"},
	{"syntax", plain, "#EXTM3U", "#EXTM3U "},
	{"syntax", plain, "9.ts", "9\xff.ts"},
	{"syntax", plain, "9.ts", "9\x01.ts"},
	{"syntax", plain, "9.ts", "9.ts\rx"},
	{"syntax", plain, "9.ts", "9 .ts"},
	{"syntax", plain, "9.ts", " 9.ts"},
	{"syntax", plain, "9.ts", "%zz"},
	{"syntax", plain, "#EXTINF:2.000,\n9.ts", "9.ts"},
	{"syntax", plain, "#EXTINF:2.000,\n9.ts", "#EXTINF:2.000,"},
	{"syntax", plain, "12.ts\n", ""},
	{"syntax", plain, "#EXTINF:2.000,\n9.ts", "#EXTINF:2.000\n9.ts"},
	{"syntax", plain, "#EXTINF:2.000,\n9.ts", "#EXTINF:2e0,\n9.ts"},
	{"syntax", plain, "#EXTINF:2.000,\n9.ts", "#EXTINF:-2,\n9.ts"},
	{"syntax", plain, "#EXTINF:2.000,\n9.ts", "#EXTINF: 2,\n9.ts"},
	{"syntax", plain, "DURATION:2", "DURATION:2.5"},
	{"syntax", plain, "DURATION:2", "DURATION"},
	{"syntax", plain, "DURATION:2", "DURATION: 2"},
	{"syntax", plain, "VERSION:3", "VERSION:x"},
	{"syntax", plain, "VERSION:3", "VERSION:0"},
	{"syntax", plain, "MEDIA-SEQUENCE:9", "MEDIA-SEQUENCE:-9"},
	{"syntax", plain, "MEDIA-SEQUENCE:9", "MEDIA-SEQUENCE:99999999999999999999"},
	{"syntax", plain, "03:04:07.000Z", "03:04:07.000"},
	{"syntax", plain, "12.ts\n", "12.ts\n#EXT-X-MEDIA-SEQUENCE:9\n"},
	{"syntax", plain, "#EXT-X-DISCONTINUITY-SEQUENCE:1", "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:1"},
	{"syntax", plain, "RELOAD=YES", "RELOAD=YES,CAN-BLOCK-RELOAD=YES"},
	{"syntax", plain, "RELOAD=YES", "RELOAD=\"YES\""},
	{"syntax", plain, "RELOAD=YES", "RELOAD=YES, HOLD-BACK=6"},
	{"syntax", plain, "RELOAD=YES", "RELOAD=YES,"},
	{"syntax", plain, "RELOAD=YES", "RELOAD="},
	{"syntax", plain, "RELOAD=YES", "RELOAD=YES,hold-back=6"},
	{"syntax", plain, "RELOAD=YES", "RELOAD=YES,HOLD-BACK=six"},
	{"syntax", plain, "12.ts\n", "12.ts\n#EXT-X-ENDLIST:1\n"},
	{"syntax", plain, "12.ts\n", "12.ts\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n"},
	{"syntax", plain, "VERSION:3", "VERSION:3\n#EXT-X-PLAYLIST-TYPE:LIVE"},
	{"syntax", low, `URI="init.mp4"`, `URI=init.mp4`},
	{"syntax", low, `URI="init.mp4"`, `URI="init.mp4`},
	{"syntax", low, `URI="init.mp4"`, `URI="init.mp4"x`},
	{"syntax", low, `URI="init.mp4"`, `BYTERANGE="1@2"`},
	{"syntax", low, `DURATION=0.5,URI="13.0.m4s"`, `URI="13.0.m4s"`},
	{"syntax", low, `#EXTINF:2.000,` + "\n9.m4s\n", "#EXT-X-SKIP:X=1\n"},
	{"syntax", master, "hls.m3u8\n", ""},
	{"syntax", master, "hls.m3u8", "hls.m3u8\nother.m3u8"},
	{"syntax", master, "640x360", "640*360"},
	{"syntax", master, "1280000", "1.5"},
	{"syntax", master, "25.000", "25.000.0"},
	{"syntax", master, "hls.m3u8", "hls.m3u8\n#EXT-X-ENDLIST"},

	// What is well formed and wrong.
	{"once", plain, "#EXT-X-TARGETDURATION:2", "#EXT-X-TARGETDURATION:2\n#EXT-X-TARGETDURATION:2"},
	{"once", plain, "#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-VERSION:3"},
	{"version-low", plain, "#EXT-X-VERSION:3", "#EXT-X-VERSION:2"},
	{"version-low", plain, "#EXT-X-VERSION:3\n", ""},
	{"version-low", plain, "9.ts\n", "#EXT-X-BYTERANGE:100@0\n9.ts\n"},
	{"version-low", plain, "9.ts\n", "9.ts\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n"},
	{"version-low", low, "VERSION:9", "VERSION:5"},
	{"version-low", master, "EXTM3U", "EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\""},
	{"version-high", plain, "#EXT-X-VERSION:3", "#EXT-X-VERSION:6"},
	{"start-offset", plain, "12.ts\n", "12.ts\n#EXT-X-START:TIME-OFFSET=-100\n"},
	{"target-missing", plain, "#EXT-X-TARGETDURATION:2\n", ""},
	{"target-exceeded", plain, "#EXTINF:2.000,\n12.ts", "#EXTINF:2.500,\n12.ts"},
	{"map-missing", low, "#EXT-X-MAP:URI=\"init.mp4\"\n", ""},
	{"map-repeated", low, "#EXTINF:2.000,\n10.m4s", "#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2.000,\n10.m4s"},
	{"map-without-break", low, "#EXTINF:2.000,\n10.m4s", "#EXT-X-MAP:URI=\"init2.mp4\"\n#EXTINF:2.000,\n10.m4s"},
	{"key-attributes", plain, "9.ts\n", "9.ts\n#EXT-X-KEY:URI=\"k\"\n"},
	{"key-attributes", plain, "9.ts\n", "9.ts\n#EXT-X-KEY:METHOD=AES-128\n"},
	{"key-attributes", plain, "9.ts\n", "9.ts\n#EXT-X-KEY:METHOD=NONE,URI=\"k\"\n"},
	{"key-attributes", plain, "9.ts\n", "9.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x12\n"},
	{"range-start", strings.Replace(plain, "VERSION:3", "VERSION:4", 1), "10.ts\n", "#EXT-X-BYTERANGE:5\n10.ts\n"},
	{"date-ambiguous", plain, "03:04:11.000Z", "03:04:09.900Z"},
	{"date-drift", plain, "03:04:11.000Z", "03:04:11.300Z"},
	{"date-drift", plain, "03:04:11.000Z", "03:04:10.700Z"},
	{"date-after-break", plain, "#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:11.000Z", "#EXT-X-DISCONTINUITY"},
	{"date-range", plain, "12.ts\n", "12.ts\n#EXT-X-DATERANGE:START-DATE=\"2026-01-02T03:04:05Z\"\n"},
	{"date-range", plain, "12.ts\n", "12.ts\n#EXT-X-DATERANGE:ID=\"a\"\n"},
	{"date-range", plain, "12.ts\n", "12.ts\n#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-02T03:04:05Z\",END-DATE=\"2026-01-02T03:04:04Z\"\n"},
	{
		"skip-ended", strings.Replace(low, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"13.1.m4s\"", "#EXT-X-ENDLIST", 1),
		"#EXT-X-MAP:", "#EXT-X-SKIP:SKIPPED-SEGMENTS=0\n#EXT-X-MAP:",
	},
	{"skip-unoffered", strings.Replace(low, "CAN-SKIP-UNTIL=12,", "", 1), "#EXT-X-MAP:", "#EXT-X-SKIP:SKIPPED-SEGMENTS=0\n#EXT-X-MAP:"},
	{"skip-too-much", low, "#EXT-X-MAP:", "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-MAP:"},
	{"skip-boundary", low, "UNTIL=12", "UNTIL=11.9"},
	{"skip-dates", plain, "RELOAD=YES", "RELOAD=YES,CAN-SKIP-DATERANGES=YES"},
	{"hold-back", plain, "RELOAD=YES", "RELOAD=YES,HOLD-BACK=5.9"},
	{"empty", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n", "", ""},

	{"part-inf-missing", low, "#EXT-X-PART-INF:PART-TARGET=0.5\n", ""},
	{"part-target-missing", low, "PART-TARGET=0.5", "X=0.5"},
	{"part-hold-back-missing", low, ",PART-HOLD-BACK=1.5", ""},
	{"part-hold-back", low, "BACK=1.5", "BACK=0.9"},
	{"part-hold-back-short", low, "BACK=1.5", "BACK=1.1"},
	{"part-long", low, `DURATION=0.5,URI="12.1.m4s"`, `DURATION=0.501,URI="12.1.m4s"`},
	{
		"part-short", strings.Replace(low, "#EXTINF:2.000,\n12", "#EXTINF:1.900,\n12", 1),
		`DURATION=0.5,URI="12.1.m4s"`, `DURATION=0.4,URI="12.1.m4s"`,
	},
	{"part-sum", low, "#EXTINF:2.000,\n12", "#EXTINF:2.010,\n12"},
	{"part-sum", low, "#EXTINF:2.000,\n12", "#EXTINF:1.990,\n12"},
	{"part-order", low, "#EXTINF:2.000,\n11.m4s", "#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:09Z\n#EXTINF:2.000,\n11.m4s"},
	{"part-order", low, "#EXTINF:2.000,\n11.m4s", "#EXT-X-KEY:METHOD=NONE\n#EXTINF:2.000,\n11.m4s"},
	{"part-late", strings.Replace(low, "#EXT-X-PART:DURATION=0.5,URI=\"13.0.m4s\"",
		strings.Repeat("#EXT-X-PART:DURATION=0.5,URI=\"x\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"y\"\n#EXT-X-PART:DURATION=0.5,URI=\"y\"\n"+
			"#EXT-X-PART:DURATION=0.5,URI=\"y\"\n#EXTINF:2.0,\nz.m4s\n", 3)+"#EXT-X-PART:DURATION=0.5,URI=\"13.0.m4s\"", 1), "", ""},
	{"part-iframes", low, "#EXT-X-MAP:", "#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:"},
	{"part-dates-missing", low, "#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z\n", ""},
	{"part-reload", low, "CAN-BLOCK-RELOAD=YES,", ""},
	{"hint-attributes", low, "TYPE=PART,", ""},
	{"hint-ended", low, "#EXT-X-PRELOAD", "#EXT-X-ENDLIST\n#EXT-X-PRELOAD"},
	{"hint-twice", low, "#EXT-X-PRELOAD", "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.0.m4s\"\n#EXT-X-PRELOAD"},
	{"hint-published", low, "13.1.m4s", "13.0.m4s"},
	{"report-attributes", low, "#EXT-X-PRELOAD", "#EXT-X-RENDITION-REPORT:LAST-MSN=1\n#EXT-X-PRELOAD"},

	{
		"variant-none", master, "#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000\nhls.m3u8",
		"#EXT-X-SESSION-DATA:DATA-ID=\"a\",VALUE=\"b\"",
	},
	{"bandwidth", master, "BANDWIDTH=1280000,", ""},
	{"bandwidth", master, "BANDWIDTH=1280000,", "BANDWIDTH=0,"},
	{"bandwidth", master, "BANDWIDTH=1280000,", "BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1280001,"},
	{"codecs", master, "avc1.64001f", "avc1.64001"},
	{"codecs", master, "avc1.64001f", "avc1"},
	{"codecs", master, "avc1.64001f", "H264"},
	{"codecs", master, "mp4a.40.2", "mp4a.40"},
	{"codecs", master, ",mp4a.40.2", ", mp4a.40.2"},
	{"codecs", master, ",mp4a.40.2", ","},
	{"codecs", master, "avc1.64001f", "hvc1.1"},
	{"codecs", master, "avc1.64001f", "av01.0.04.08"},
	{"codecs-missing", master, "CODECS=\"avc1.64001f,mp4a.40.2\",", ""},
	{"resolution", master, "RESOLUTION=640x360,", ""},
	{"group", master, "RESOLUTION", "AUDIO=\"a\",RESOLUTION"},
	{"rendition", master, "hls.m3u8", "hls.m3u8\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\""},
	{"rendition", master, "hls.m3u8", "hls.m3u8\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"a\",NAME=\"b\""},
}

// TestBad: each is found by the rule that it breaks, and by no other.
func TestBad(t *testing.T) {
	for _, base := range []string{plain, low, master} {
		if _, problems := LintBytes([]byte(base)); len(problems) > 0 {
			t.Fatal(problems)
		}
	}
	for _, tc := range bad {
		text := tc.base
		if tc.old != "" {
			if text = strings.Replace(tc.base, tc.old, tc.with, 1); text == tc.base {
				t.Fatalf("%s: %q is not in the base", tc.rule, tc.old)
			}
		}
		_, problems := LintBytes([]byte(text))
		if got := names(problems); !slices.Equal(got, []string{tc.rule}) {
			t.Errorf("%s, %q for %q: found %v: %v", tc.rule, tc.with, tc.old, got, problems)
		}
	}
}

// names of the rules of problems, sorted, each once.
func names(problems []Problem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestRules: each rule has a test that shows it, here or with History and Player.
func TestRules(t *testing.T) {
	shown := map[string]bool{}
	for _, tc := range bad {
		shown[tc.rule] = true
	}
	for _, tc := range changes {
		shown[tc.rule] = true
	}
	for _, tc := range answers {
		shown[tc.rule] = true
	}
	for _, tc := range spoils {
		shown[tc.rule] = true
	}
	for _, name := range []string{"unavailable", "hint-unavailable", "missed", "media-parent", "skip-unresolved"} {
		shown[name] = true // TestPlayer...
	}
	seen := map[string]bool{}
	for _, r := range Rules() {
		if !shown[r.Name] {
			t.Errorf("no test shows %s", r.Name)
		}
		if seen[r.Name] || r.Section == "" {
			t.Errorf("%+v", r)
		}
		seen[r.Name] = true
	}
}

func TestProblem(t *testing.T) {
	_, problems := LintBytes([]byte(strings.Replace(low, "BACK=1.5", "BACK=0.9", 1)))
	const want = "line 4: PART-HOLD-BACK of 900ms, less than 2 part targets of 500ms [part-hold-back, MUST, section 4.4.3.8]"
	if len(problems) != 1 || problems[0].String() != want {
		t.Error(problems)
	}
	if len(Musts(problems)) != 1 || len(Musts(problems, "part-hold-back")) != 0 || len(Except(problems, "part-hold-back")) != 0 {
		t.Error("filters")
	}
	_, problems = LintBytes([]byte(strings.Replace(low, "BACK=1.5", "BACK=1.1", 1)))
	if len(Musts(problems)) != 0 || len(Except(problems)) != 1 {
		t.Error(problems)
	}
}

func TestTolerances(t *testing.T) {
	p, err := Parse([]byte(strings.Replace(plain, "03:04:11.000Z", "03:04:11.300Z", 1)))
	if err != nil || len(LintWith(p, LintOptions{Drift: 400 * time.Millisecond})) != 0 {
		t.Error(err)
	}
	p, err = Parse([]byte(strings.Replace(low, "#EXTINF:2.000,\n12", "#EXTINF:2.010,\n12", 1)))
	if err != nil || len(LintWith(p, LintOptions{Part: 3 * time.Millisecond})) != 0 {
		t.Error(err)
	}
}
