//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What streams and viewers are when a target does not say.
const (
	kbitsPlay = 2050
	kbitsPub  = 1000
	usual     = 1000 // viewers that other numbers of viewers are compared with
)

// target is one thing to measure. Two that are equal are the same measurement.
type target struct {
	kind    string // ref, ref-packet, pub, a way to play, or to use playlists
	viewers int    // in all; pub has none
	streams int
	kbits   int    // of each stream; the reference has its own
	set     string // settings for this measurement only, KEY=VALUE, with + between them
}

// play is a way to play: the URL's scheme, whose port, the suffix of the path.
type play struct{ scheme, port, suffix string }

func plays(kind string) (play, bool) {
	switch kind {
	case "rtmp":
		return play{"rtmp", "rtmp", ""}, true
	case "rtmps":
		return play{"rtmps", "rtmps", ""}, true
	case "flv":
		return play{"http", "http", ".live.flv"}, true
	case "flvs":
		return play{"https", "https", ".live.flv"}, true
	case "ws":
		return play{"ws", "http", ".live.flv"}, true
	case "wss":
		return play{"wss", "https", ".live.flv"}, true
	case "ts":
		return play{"http", "http", ".live.ts"}, true
	case "fmp4":
		return play{"http", "http", ".live.mp4"}, true
	case "rtsp":
		return play{"rtsp", "rtsp", ""}, true
	}
	return play{}, false
}

func (p play) tls() bool { return p.port == "rtmps" || p.port == "https" }

// parseTarget reads KIND:COUNT[xSTREAMS][@KBITS][+KEY=VALUE...].
func parseTarget(text string) (target, error) {
	bad := func(why string) (target, error) {
		return target{}, fmt.Errorf("%q: %s; such as rtmp:1000, rtmp:20x100, pub:100@2050 or rtmp:1000+egress.stall_timeout=5s; see -help", text, why)
	}
	name, set, _ := strings.Cut(text, "+")
	kind, size, _ := strings.Cut(name, ":")
	size, rate, hasRate := strings.Cut(size, "@")
	size, streams, hasStreams := strings.Cut(size, "x")
	t := target{kind: kind, streams: 1, set: set}
	_, viewed := plays(kind)
	_, listed := crowds(kind)
	switch {
	case listed:
		t.kbits = kbitsPlay
	case viewed:
		t.kbits = kbitsPlay
	case kind == "pub":
		t.kbits = kbitsPub
	case !t.reference():
		return bad("unknown kind")
	}
	n, err := strconv.Atoi(size)
	if err != nil || n < 1 {
		return bad("a count is missing")
	}
	if hasStreams {
		if t.streams, err = strconv.Atoi(streams); err != nil || t.streams < 1 || !viewed && kind != "ref" {
			return bad("STREAMS is a number, and for viewers and ref only")
		}
	}
	if hasRate {
		// Less leaves no room for video beside the audio.
		if t.kbits, err = strconv.Atoi(rate); err != nil || t.kbits < 200 || t.reference() {
			return bad("KBITS is at least 200, and the reference has its own")
		}
	}
	t.viewers = n * t.streams
	if kind == "pub" {
		t.viewers, t.streams = 0, n
	}
	for _, s := range t.settings() {
		key, value, ok := strings.Cut(s, "=")
		if !ok || t.reference() && (kind != "ref" || key != "flush") {
			return bad("a setting is KEY=VALUE, and for ref only flush=DURATION")
		}
		if d, err := time.ParseDuration(value); t.reference() && (err != nil || d < time.Millisecond || d > time.Second) {
			return bad("flush is a duration of 1ms to 1s")
		}
	}
	return t, nil
}

// reference says whether it is the sender in C.
func (t target) reference() bool { return t.kind == "ref" || t.kind == "ref-packet" }

// listed says whether its viewers use playlists.
func (t target) listed() bool {
	_, ok := crowds(t.kind)
	return ok
}

// tls says whether its viewers need TLS.
func (t target) tls() bool {
	p, _ := plays(t.kind)
	return p.tls()
}

func (t target) settings() []string {
	if t.set == "" {
		return nil
	}
	return strings.Split(t.set, "+")
}

// duration returns a setting, 0 if it is not among the target's.
func (t target) duration(key string) time.Duration {
	for _, s := range t.settings() {
		if k, v, _ := strings.Cut(s, "="); k == key {
			d, _ := time.ParseDuration(v) // the server judges its own settings
			return d
		}
	}
	return 0
}

// count is what the name says: viewers, or publishers without viewers.
func (t target) count() int {
	if t.kind == "pub" {
		return t.streams
	}
	return t.viewers
}

// String writes it as parseTarget reads it.
func (t target) String() string {
	s := t.kind + ":" + strconv.Itoa(t.count())
	if t.kind != "pub" && t.streams > 1 {
		s = fmt.Sprintf("%s:%dx%d", t.kind, t.viewers/t.streams, t.streams)
	}
	if t.otherRate() {
		s += "@" + strconv.Itoa(t.kbits)
	}
	if t.set != "" {
		s += "+" + t.set
	}
	return s
}

func (t target) otherRate() bool {
	return t.kbits != kbitsPlay && t.viewers > 0 && !t.reference() || t.kbits != kbitsPub && t.kind == "pub"
}

// file is a name for files of this measurement.
func (t target) file() string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, t.String())
}

// title is its name in the report.
func (t target) title() string {
	s := fmt.Sprintf("%s, %d", t.kind, t.viewers)
	c, listed := crowds(t.kind)
	switch {
	case listed:
		s = c.title(t.viewers)
	case t.kind == "pub":
		s = fmt.Sprintf("%d of %s Mbit/s, no viewers", t.streams, mbits(t.kbits))
	case t.kind == "ref" && t.streams > 1:
		s = fmt.Sprintf("reference in C, %d on each of %d streams", t.viewers/t.streams, t.streams)
	case t.kind == "ref":
		s = fmt.Sprintf("reference in C, %d", t.viewers)
	case t.reference():
		s = fmt.Sprintf("reference in C, a send for each packet, %d", t.viewers)
	case t.streams > 1:
		s = fmt.Sprintf("%s, %d on each of %d streams", t.kind, t.viewers/t.streams, t.streams)
	}
	if t.kind != "pub" && t.otherRate() {
		s += fmt.Sprintf(", %s Mbit/s", mbits(t.kbits))
	}
	return strings.Join(append([]string{s}, t.settings()...), ", ")
}

func mbits(kbits int) string { return strconv.FormatFloat(float64(kbits)/1000, 'f', -1, 64) }

// publishers is the measurement that says what the publishers of many streams cost by themselves.
func (t target) publishers() (target, bool) {
	many := t.streams > 1 && !t.reference() // the reference makes its streams itself
	t.kind, t.viewers = "pub", 0
	return t, many
}

// beside lists the measurements whose cost a reader wants to compare with this one's.
func (t target) beside() []target {
	if _, listed := crowds(t.kind); listed || t.kind == "pub" || t.reference() && t.streams == 1 {
		return nil // the column "x reference" has it, or "x nginx"
	}
	var out []target
	add := func(change func(*target)) {
		other := t
		change(&other)
		out = append(out, other)
	}
	switch {
	case t.streams > 1:
		add(func(o *target) { o.streams = 1 })
	case t.viewers != usual:
		add(func(o *target) { o.viewers = usual })
	}
	if t.set != "" {
		add(func(o *target) { o.set = "" })
	}
	if d := t.duration(mergeWindow); d > 0 {
		out = append(out, target{kind: "ref", viewers: t.viewers, streams: 1, set: "flush=" + d.String()})
	}
	return out
}

// mergeWindow is the setting that lets packets wait for each other.
const mergeWindow = "egress.merge_window"

// enough is the share of the payload that must be delivered in a window of some seconds. What a merge window holds back at the
// one edge need not be what it holds back at the other.
func (t target) enough(seconds int) float64 {
	return 0.99 - t.duration(mergeWindow).Seconds()/float64(seconds)
}
