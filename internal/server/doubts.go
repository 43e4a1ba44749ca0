package server

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
)

// Doubt is something about a configuration that is no error, but hardly what is meant: a setting that has no effect beside another, or more of
// one than its name says. It shows neither secrets nor URLs.
type Doubt struct {
	Key     string // full dotted key
	Message string // what happens, and what to set instead where that is clear
}

// String gives "hooks.enabled: doubtful: …".
func (d Doubt) String() string { return d.Key + ": doubtful: " + d.Message }

// Doubts lists what is doubtful about a configuration that [Check] finds sound, in an order that is always the same. It opens no file. The defaults have
// none, and a default is not held against what was set beside it.
func Doubts(c *conf.Config) []Doubt {
	cfg, err := decode(c)
	if err != nil {
		return nil // Check says why
	}
	d := &doubting{conf: c, cfg: &cfg, all: c.Values()}
	d.hooks()
	d.web()
	d.rules()
	d.names()
	d.segments()
	d.limits()
	return d.found
}

// doubtsSince are those of a configuration that another did not have.
func doubtsSince(before, after *conf.Config) []Doubt {
	old := Doubts(before)
	return slices.DeleteFunc(Doubts(after), func(d Doubt) bool { return slices.Contains(old, d) })
}

// doubt has the log tell of doubts.
func (s *Server) doubt(all []Doubt) {
	for _, d := range all {
		s.logger.Warn("about the configuration", "key", d.Key, "note", d.Message)
	}
}

// doubting is one look at a configuration. Settings of rooms are looked at by their keys: their sections are theirs.
type doubting struct {
	conf  *conf.Config
	cfg   *config
	all   map[string]string // settings by their full keys
	found []Doubt
}

func (d *doubting) add(key, format string, args ...any) {
	d.found = append(d.found, Doubt{key, fmt.Sprintf(format, args...)})
}

// given says whether a setting was set anywhere: what is a default only nobody has meant.
func (d *doubting) given(key string) bool {
	section, rest, _ := strings.Cut(key, ".")
	return d.conf.Section(section).Has(rest)
}

// any returns the first key with a value that is not empty, or "".
func (d *doubting) any(fits func(key string) bool) string {
	for _, key := range slices.Sorted(maps.Keys(d.all)) {
		if d.all[key] != "" && fits(key) {
			return key
		}
	}
	return ""
}

// target is the first hook that has a URL, or "".
func (d *doubting) target() string {
	return d.any(func(key string) bool { return strings.HasPrefix(key, "hooks.on_") })
}

func (d *doubting) hooks() {
	c := &d.cfg.hook
	if !c.Enabled {
		if d.target() != "" {
			d.add("hooks.enabled", "hooks are off, but there are URLs: nobody is asked who may publish or play, and nobody is told; true has them sent")
		}
		return
	}
	d.passwords()
	for _, name := range c.FailOpen {
		if d.all["hooks."+name] == "" {
			d.add("hooks.fail_open", "names %s, which has no URL: nobody is asked", name)
		}
	}
	if c.OnStreamNotFound != "" && d.cfg.hub.Play.Wait == 0 {
		d.add("hooks.on_stream_not_found", "viewers do not wait for what the platform brings then: play.wait is 0s, and they are turned away at once")
	}
	if c.OnStreamNoneReader != "" && d.cfg.hub.Publish.CloseIdle {
		d.add("hooks.on_stream_none_reader", "its answer comes too late: publish.close_idle closes the stream when it is asked")
	}
	asks := d.any(func(key string) bool {
		return slices.Contains([]string{"hooks.on_publish", "hooks.on_play", "hooks.on_rtsp_realm", "hooks.on_rtsp_auth", "hooks.on_http_access"}, key)
	})
	const soonest = 4 // of five parts of the delay: it varies by a fifth
	if soonest*c.RetryDelay/5 >= c.Timeout && c.Retries > 0 && asks != "" {
		d.add("hooks.retry_delay", "questions such as %s are never repeated: hooks.timeout, %v, is for all attempts together", asks, c.Timeout)
	}
}

// passwords is about the two hooks for passwords, which need each other.
func (d *doubting) passwords() {
	const realm, proof = "hooks.on_rtsp_realm", "hooks.on_rtsp_auth"
	users := d.any(func(key string) bool { return strings.HasPrefix(key, "rtsp.users.") }) != ""
	switch {
	case d.all[realm] == "" && d.all[proof] == "":
	case users:
		key := realm
		if d.all[realm] == "" {
			key = proof
		}
		d.add(key, "is never asked: there are rtsp.users, whose passwords hold for all of RTSP")
	case d.all[proof] == "":
		d.add(realm, "there is no %s: where a stream has a realm nobody has a password, and no player by RTSP gets in", proof)
	case d.all[realm] == "":
		d.add(proof, "is never asked: without %s no stream wants a password", realm)
	}
}

// noHTTP says whether there is neither HTTP nor HTTPS.
func (d *doubting) noHTTP() bool { return d.cfg.http.Listen.Off() && d.cfg.http.TLS.Listen.Off() }

// web is about listeners: those that others count on, and a certificate that none has.
func (d *doubting) web() {
	wants := ""
	switch target := d.target(); {
	case len(d.cfg.api.From) > 0:
		wants = "api.from"
	case d.cfg.api.Secret != "":
		wants = "api.secret"
	case d.cfg.hook.Enabled:
		wants = target
	}
	if d.noHTTP() && wants != "" {
		d.add("http.listen", "is off, and so is http.tls.listen: there is no API, though %s is set, and nothing is played by HTTP", wants)
	}
	if d.cfg.tls.Cert != "" && d.any(func(key string) bool { return strings.HasSuffix(key, ".tls.listen") }) == "" {
		d.add("tls.cert", "no listener uses it: set http.tls.listen, or that of another protocol")
	}
}

// names is about who owns a name.
func (d *doubting) names() {
	p := &d.cfg.hub.Publish
	if p.ChallengeTimeout > p.MaxSilence && d.given("publish.challenge_timeout") {
		d.add("publish.challenge_timeout", "is longer than publish.max_silence, %v, after which a silent owner loses its name, challenged or not", p.MaxSilence)
	}
	for _, pattern := range slices.Sorted(maps.Keys(p.Conflicts)) {
		d.pattern("publish.conflicts", "", pattern)
	}
}

// segments is about what is cut into segments, and where copies of them are kept.
func (d *doubting) segments() {
	const dir, always = "hls.dir", "hls.always"
	folder := d.all[dir]
	switch {
	case folder != "" || d.all[always] != "true":
	case d.all["hls.enabled"] != "true":
		d.add(always, "every stream is cut for nobody: hls.enabled is off, and there is no hls.dir")
	case d.noHTTP():
		d.add(always, "every stream is cut for nobody: HTTP is off, and there is no hls.dir")
	}
	if folder == "" {
		return
	}
	bare := true
	for _, own := range []struct{ key, has string }{
		{"data", "the secret of the API"}, {"watch.bundles", "diagnosis bundles"}, {"log.file", "the log"},
	} {
		if path := d.all[own.key]; path != "" && lies(path, folder) {
			bare = false
			d.add(dir, "%s lies in it: who serves that folder to viewers serves them %s too; give it a folder that has nothing else", own.key, own.has)
		}
	}
	if bare && lies(folder, d.cfg.data) {
		d.add(dir, "lies in the data folder, which is made for the user of this server alone: others who are to serve it cannot enter")
	}
}

// limits is about those that another does not let be reached.
func (d *doubting) limits() {
	l := &d.cfg.hub.Limits
	for _, q := range []struct {
		part    string
		of      int
		whole   string
		most    int
		atLarge bool // the whole is a limit that may be off
	}{
		{"publishers_per_app", l.PublishersPerApp, "publishers", l.Publishers, false},
		{"publishers_per_address", l.PublishersPerAddress, "publishers", l.Publishers, false},
		{"viewers_per_stream", l.ViewersPerStream, "viewers", l.Viewers, false},
		{"viewers_per_app", l.ViewersPerApp, "viewers", l.Viewers, false},
		{"viewers_per_address", l.ViewersPerAddress, "viewers", l.Viewers, false},
		{"bandwidth_per_stream", l.BandwidthPerStream, "bandwidth", l.Bandwidth, true},
		{"bandwidth_per_app", l.BandwidthPerApp, "bandwidth", l.Bandwidth, true},
		{"bandwidth_per_address", l.BandwidthPerAddress, "bandwidth", l.Bandwidth, true},
		{"connections_per_address", l.ConnectionsPerAddress, "connections", l.Connections, false},
		{"handshakes_per_address", l.HandshakesPerAddress, "handshakes", l.Handshakes, true},
		{"publishers", l.Publishers, "connections", l.Connections, false},
	} {
		if q.of > q.most && (q.most > 0 || !q.atLarge) && d.given("limits."+q.part) {
			d.add("limits."+q.part, "%d are never reached: limits.%s is %d", q.of, q.whole, q.most)
		}
	}
	if most := hub.ViewersOf(l.Connections); l.Viewers > l.Connections && d.given("limits.viewers") {
		d.add("limits.viewers", "%d are never reached: viewers may take %d of limits.connections, %d", l.Viewers, most, l.Connections)
	}
	for _, key := range slices.Sorted(maps.Keys(d.all)) {
		if n, _ := strconv.Atoi(d.all[key]); strings.HasSuffix(key, ".connections") && n > l.Connections && d.given(key) {
			d.add(key, "%d are never reached: limits.connections is %d", n, l.Connections)
		}
	}
	if l.Memory > 0 && l.RingBytes > l.Memory/ringsShare {
		d.add("limits.ring_bytes", "%v is more than a quarter of limits.memory, %v: few streams with rare key pictures may take all of it", l.RingBytes, l.Memory)
	}
}
