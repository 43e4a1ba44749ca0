package e2e

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// glance is a look at a video element, ten times a second. See browser/sampler.js.
type glance struct {
	At      float64 // seconds on the page's clock
	Time    float64 // position, seconds
	Ahead   float64 // what has come and is not shown, seconds
	Ready   int
	Rate    float64
	Frames  int // decoded
	Dropped int
	Glass   float64 // now less the clock in the picture, seconds; -1: there is none
	State   string
	Latency float64 // as the page tells, seconds; -1: not known
	Of      string  // what it is the latency of
	Error   string
}

// table is what happened, for people: a line a second, and one at each stall or jump.
func table(all []glance) string {
	b := &strings.Builder{}
	b.WriteString("      at  position  ahead ready rate frames drop latency  glass state\n")
	for i, g := range all {
		odd := i > 0 && (g.Time == all[i-1].Time || math.Abs(g.Time-all[i-1].Time-(g.At-all[i-1].At)) > 0.3 || g.State != all[i-1].State)
		if i%10 != 0 && !odd && i != len(all)-1 {
			continue
		}
		fmt.Fprintf(b, "%8.2f %9.2f %6.2f %5d %4.2f %6d %4d %7.2f %6.2f %s %s\n",
			g.At, g.Time, g.Ahead, g.Ready, g.Rate, g.Frames, g.Dropped, g.Latency, g.Glass, g.State, g.Error)
	}
	return b.String()
}

// screening is what glances say in sum. Times are in seconds.
type screening struct {
	length   float64
	progress float64 // of the position
	stall    float64 // the longest time without any
	jump     float64 // the largest step more than the time that had passed
	pictures int
	dropped  int
	latency  [3]float64 // least, median, most
	glass    [3]float64 // the same
}

func sum(all []glance) screening {
	if len(all) < 2 {
		return screening{}
	}
	first, last := all[0], all[len(all)-1]
	v := screening{
		length: last.At - first.At, progress: last.Time - first.Time, pictures: last.Frames - first.Frames, dropped: last.Dropped - first.Dropped,
	}
	moved := first.At
	var told, glass []float64
	for i, g := range all {
		if i > 0 {
			if g.Time != all[i-1].Time {
				moved = g.At
			}
			v.stall = max(v.stall, g.At-moved)
			v.jump = max(v.jump, math.Abs(g.Time-all[i-1].Time)-(g.At-all[i-1].At))
		}
		if g.Latency >= 0 {
			told = append(told, g.Latency)
		}
		if g.Glass >= 0 {
			glass = append(glass, g.Glass)
		}
	}
	v.latency, v.glass = spread(told), spread(glass)
	return v
}

// spread is the least, the median and the most; -1: there is nothing.
func spread(all []float64) [3]float64 {
	if len(all) == 0 {
		return [3]float64{-1, -1, -1}
	}
	slices.Sort(all)
	return [3]float64{all[0], all[len(all)/2], all[len(all)-1]}
}

func (v screening) String() string {
	return fmt.Sprintf("in %.1f s %.1f s played, %d pictures (%d dropped), longest stall %.2f s, largest jump %.2f s, latency told %.2f, from encoder to screen %.2f",
		v.length, v.progress, v.pictures, v.dropped, v.stall, v.jump, v.latency, v.glass)
}

// encodeClock has ffmpeg publish pictures with a clock in them, for sampler.js, and sound.
func encodeClock(t testing.TB, s *server, name string) *process {
	t.Helper()
	const graph = "[0:v]split[a][b];" +
		"[b]scale=16:2,settb=1/1000,setpts=RTCTIME/1000,geq=lum='if(bitand(mod(floor(T*1000+0.5)\\,65536)\\,pow(2\\,X))\\,235\\,16)':cb=128:cr=128," +
		"setpts=N*40,scale=320:36:flags=neighbor[c];[a]settb=1/1000,setpts=N*40[p];[p][c]vstack[v]"
	args := "-v error -nostdin -re -f lavfi -i testsrc2=size=320x144:rate=25 -f lavfi -i sine=sample_rate=44100 -filter_complex " + graph +
		" -map [v] -map 1:a -r 25 -c:v libx264 -profile:v baseline -preset ultrafast -tune zerolatency -threads 1 -g 25 -pix_fmt yuv420p -b:v 300k -c:a aac -f flv "
	p := start(t, "ffmpeg", append(strings.Fields(args), s.rtmpURL(name))...)
	within(t, 30*time.Second, "the stream is ready", func() bool {
		st, _ := s.stream(t, name)
		return st.Ready
	})
	return p
}

// TestBrowserWays: Chromium plays every way that the playback page knows for 20 s, with hls.js, mpegts.js and a MediaSource: the position goes on
// all the time, pictures are decoded, the latency is small, nothing is asked of other hosts, and what the page was given for the media comes
// with every request for them. It has no other test beside it: five players of one machine are enough, and they are judged by the clock.
func TestBrowserWays(t *testing.T) {
	s := serve(t)
	encodeClock(t, s, "cam")
	b := browse(t)
	const token = "token=s3cret%2B1&x=%C3%BC"
	ways := []string{"flv", "ws-flv", "mse", "ll-hls", "hls"}
	pages := make([]*webPage, len(ways))
	for i, via := range ways {
		pages[i] = b.open(t, via, "http://"+s.http+"/play/live/cam?via="+via+"&"+token)
	}
	for _, p := range pages {
		p.await(t, time.Minute, "playing")
		var since float64
		p.eval(t, "sampled.samples.find((one) => one.time > 0 && one.ready > 2)?.at ?? -1", &since)
		t.Logf("%s: the first picture after %.2f s", p.name, since)
	}
	hold(2 * time.Second)
	within(t, 20*time.Second, "low latency has settled", func() bool { // who begins late on a busy machine comes nearer bit by bit
		late := pages[slices.Index(ways, "ll-hls")].vigil(t).Latency
		return late > 0 && late < 1.8
	})
	for _, p := range pages {
		p.take(t) // how it began
	}
	hold(20 * time.Second)
	for i, p := range pages {
		t.Run(ways[i], func(t *testing.T) {
			d := p.take(t)
			judgeScreening(t, ways[i], d)
			d.quiet(t, s.http)
			media := 0
			for _, address := range d.Requests {
				if strings.Contains(address, "/play/") || !strings.Contains(address, "/live/cam") {
					continue
				}
				if media++; !strings.Contains(address, token) {
					t.Errorf("without what the page was given: %s", address)
				}
			}
			if media < 2 { // it asks what the stream is, then for the stream
				t.Errorf("%d requests for media: %q", media, d.Requests)
			}
			if now := p.vigil(t); now.Via != ways[i] || now.Reconnects != 0 {
				t.Errorf("the page tells %+v", now)
			}
		})
	}
	t.Run("ll-hls, far behind", func(t *testing.T) { comesForward(t, pages[slices.Index(ways, "ll-hls")]) })
}

// stallMost is how long a position may stand still, in seconds.
const stallMost = 0.6

// comesForward puts a page far behind the live edge, as a pause of the network does: it comes back by itself.
func comesForward(t testing.TB, p *webPage) {
	t.Helper()
	back := 0.0
	p.eval(t, "((video, from) => from - (video.currentTime -= 8))(document.querySelector('video'), document.querySelector('video').currentTime)", &back)
	if back < 7 {
		t.Fatalf("it went back by %.1f s only", back)
	}
	hold(3 * time.Second)
	if now := p.vigil(t); now.State != "playing" || now.Latency >= 2 {
		t.Errorf("after 3 s the page is not near the live edge again: %+v\n%v", now, p.take(t))
	}
}

// What a viewer of each way may see, in seconds: the latency from the encoder to the screen.
var glassMost = map[string]float64{"flv": 2.5, "ws-flv": 2.5, "mse": 2.5, "ll-hls": 2, "hls": 12}

// judgeScreening judges 20 s of playing.
func judgeScreening(t testing.TB, via string, d deeds) {
	t.Helper()
	all := d.Samples
	v := sum(all)
	t.Logf("%s: %v", via, v)
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf(via+": "+format, args...)
	}
	if v.length < 19.5 || len(all) < 80 {
		wrong("%d looks in %.1f s: the page was busy", len(all), v.length)
	}
	if v.stall > stallMost || v.jump > 0.3 {
		wrong("stands still for %.2f s, jumps by %.2f s", v.stall, v.jump)
	}
	if v.progress < 0.93*v.length || v.progress > 1.11*v.length {
		wrong("%.1f s played in %.1f s", v.progress, v.length)
	}
	if v.pictures < int(22*v.length) {
		wrong("%d pictures in %.1f s", v.pictures, v.length)
	}
	for _, g := range all {
		if g.State != "playing" || g.Error != "" {
			wrong("the page was %s: %s", g.State, g.Error)
			break
		}
	}
	if most := glassMost[via]; v.glass[0] < 0 || v.glass[2] > most {
		wrong("from the encoder to the screen %.2f s, most %.2f s", v.glass, most)
	}
	if via == "ll-hls" && (all[0].Of != "clock" || v.latency[0] <= 0 || v.latency[2] >= 2 || math.Abs(v.latency[1]-v.glass[1]) > 0.4) {
		wrong("latency %.2f of the %s", v.latency, all[0].Of)
	}
	if t.Failed() {
		t.Logf("%s: %v", via, d)
	}
}

// quiet fails if a page has complained, or has spoken to somebody else.
func (d deeds) quiet(t testing.TB, hosts ...string) {
	t.Helper()
	for what, list := range map[string][]string{"the console says": d.Messages, "the policy forbids": d.Violations, "a dialog says": d.Dialogs} {
		for _, line := range list {
			t.Errorf("%s: %s", what, line)
		}
	}
	for _, address := range d.Requests {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "blob" && u.Scheme != "data" && !slices.Contains(hosts, u.Host) {
			t.Errorf("a request to somebody else: %s", address)
		}
	}
}
