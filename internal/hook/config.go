package hook

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/zlm"
)

// Hook is the name of a hook.
type Hook string

// The hooks, by what they are about.
const (
	Publish    Hook = "on_publish"
	Play       Hook = "on_play"
	Changed    Hook = "on_stream_changed"
	NotFound   Hook = "on_stream_not_found"
	NoneReader Hook = "on_stream_none_reader"
	FlowReport Hook = "on_flow_report"
	Started    Hook = "on_server_started"
	Exited     Hook = "on_server_exited"
	KeepAlive  Hook = "on_server_keepalive"
	RTSPRealm  Hook = "on_rtsp_realm"
	RTSPAuth   Hook = "on_rtsp_auth"
	HTTPAccess Hook = "on_http_access"
)

// hooks lists all of them.
func hooks() []Hook {
	return []Hook{Publish, Play, Changed, NotFound, NoneReader, FlowReport, Started, Exited, KeepAlive, RTSPRealm, RTSPAuth, HTTPAccess}
}

// decides lists the hooks whose failure can be a yes.
func decides() []Hook { return []Hook{Publish, Play, HTTPAccess} }

// URL is where a hook is sent to; "": nowhere. It may hold a password or a token, and prints without them.
type URL string

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *URL) UnmarshalText(text []byte) error {
	at := strings.TrimSpace(string(text))
	if at == "" {
		*u = ""
		return nil
	}
	p, err := url.Parse(at)
	if err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
		return errors.New("want a URL http://host:port/path, or https")
	}
	*u = URL(at)
	return nil
}

// String is the URL as it may be logged.
func (u URL) String() string {
	p, err := url.Parse(string(u))
	if u == "" || err != nil {
		return ""
	}
	p.User, p.RawQuery = nil, ""
	return p.String()
}

// Mask implements conf.Masker: the URL with *** for the password and for the query, which are mostly what is secret of it.
func (u URL) Mask() string {
	const hidden = "***"
	p, err := url.Parse(string(u))
	if err != nil {
		return hidden
	}
	user := p.User
	p.User = nil
	if p.RawQuery != "" {
		p.RawQuery = hidden
	}
	text := p.String()
	if user != nil {
		text = strings.Replace(text, "://", "://"+hidden+"@", 1)
	}
	return text
}

// Config is the section "hooks".
type Config struct {
	Enabled bool `yaml:"enabled" doc:"send hooks at all; off: everything is allowed that other rules allow, and nobody is told"`

	OnPublish    URL `yaml:"on_publish" doc:"is asked whether somebody may publish, and how; empty: nobody is asked"`
	OnPlay       URL `yaml:"on_play" doc:"is asked whether somebody may play; empty: nobody is asked"`
	OnRTSPRealm  URL `yaml:"on_rtsp_realm" doc:"is asked whether players of a stream by RTSP need a password, and in which realm; empty: nobody is asked"`
	OnRTSPAuth   URL `yaml:"on_rtsp_auth" doc:"is asked for the password of an RTSP player; empty: nobody has one"`
	OnHTTPAccess URL `yaml:"on_http_access" doc:"is asked whether somebody may read a file by HTTP; empty: nobody is asked, and the addresses of api.from may"`

	OnStreamChanged    URL `yaml:"on_stream_changed" doc:"is told when a stream can be watched, and when it has ended, once for each schema"`
	OnStreamNotFound   URL `yaml:"on_stream_not_found" doc:"is told when somebody waits for a stream that nobody publishes, and may turn the viewer away"`
	OnStreamNoneReader URL `yaml:"on_stream_none_reader" doc:"is told when a stream has had no viewer for publish.idle_delay, and may close it"`
	OnFlowReport       URL `yaml:"on_flow_report" doc:"is told what a publisher or viewer that has ended had sent or got"`
	OnServerStarted    URL `yaml:"on_server_started" doc:"is told when the server has started"`
	OnServerExited     URL `yaml:"on_server_exited" doc:"is told when the server ends in order"`
	OnServerKeepalive  URL `yaml:"on_server_keepalive" doc:"is told that the server lives, every hooks.alive_interval"`

	ServerID      string        `yaml:"server_id" doc:"mediaServerId in all hooks; empty: the one in the file server-id under data, made on the first run"`
	Schemas       []string      `yaml:"stream_changed_schemas" doc:"schemas for which on_stream_changed is sent: rtsp, rtmp, fmp4, ts, hls, hls.fmp4"`
	FlowThreshold conf.Size     `yaml:"flow_threshold" doc:"traffic below which on_flow_report is not sent; 0: it always is"`
	AliveInterval time.Duration `yaml:"alive_interval" doc:"how often on_server_keepalive is sent"`

	Timeout     time.Duration `yaml:"timeout" doc:"a call that has no answer within that has failed; questions are answered within it, repetitions included"`
	Retries     int           `yaml:"retries" doc:"how often a call that has failed is repeated (up to 10); 0: never"`
	RetryDelay  time.Duration `yaml:"retry_delay" doc:"how long after a failure, within a fifth more or less"`
	FailOpen    []string      `yaml:"fail_open" doc:"hooks whose failure means yes: on_publish, on_play, on_http_access. The failure of others means no"`
	Cache       time.Duration `yaml:"cache" doc:"how long the answer of on_play holds for the same stream, query and address; 0: it is asked each time"`
	Concurrency int           `yaml:"concurrency" doc:"calls to one hook at the same time (2 to 1024); a quarter of them is for notifications"`
	Queue       int           `yaml:"queue" doc:"notifications of one hook that wait; more are dropped"`
	Insecure    bool          `yaml:"tls_insecure" doc:"take any certificate of https targets"`
}

// Default returns the settings that hold when nothing is configured.
func Default() Config {
	schemas := []string{}
	for _, s := range zlm.Schemas() {
		schemas = append(schemas, string(s))
	}
	return Config{
		Enabled: true, Schemas: schemas, FlowThreshold: 1 << 20, AliveInterval: 10 * time.Second,
		Timeout: 5 * time.Second, Retries: 1, RetryDelay: time.Second, Concurrency: 32, Queue: 16384,
	}
}

// Validate refuses settings that cannot work.
func (c *Config) Validate() error {
	for _, d := range []struct {
		key         string
		value       time.Duration
		least, most time.Duration
	}{
		{"alive_interval", c.AliveInterval, time.Second, time.Hour},
		{"timeout", c.Timeout, 100 * time.Millisecond, time.Minute},
		{"retry_delay", c.RetryDelay, 10 * time.Millisecond, time.Minute},
		{"cache", c.Cache, 0, time.Hour},
	} {
		if d.value < d.least || d.value > d.most {
			return conf.KeyErrorf(d.key, "%v is not between %v and %v", d.value, d.least, d.most)
		}
	}
	for _, n := range []struct {
		key                string
		value, least, most int
	}{
		{"retries", c.Retries, 0, 10},
		{"concurrency", c.Concurrency, 2, 1024},
		{"queue", c.Queue, 1, 1 << 20},
	} {
		if n.value < n.least || n.value > n.most {
			return conf.KeyErrorf(n.key, "%d is not between %d and %d", n.value, n.least, n.most)
		}
	}
	for _, s := range c.Schemas {
		if !zlm.Schema(s).Valid() {
			return conf.KeyErrorf("stream_changed_schemas", "%q is no schema: want some of %v", s, zlm.Schemas())
		}
	}
	for _, name := range c.FailOpen {
		if !slices.Contains(decides(), Hook(name)) {
			return conf.KeyErrorf("fail_open", "%q is no hook that decides: want some of %v", name, decides())
		}
	}
	const longest = 256
	if len(c.ServerID) > longest || strings.ContainsFunc(c.ServerID, func(r rune) bool { return r < ' ' }) {
		return conf.KeyErrorf("server_id", "want at most %d bytes, no control characters", longest)
	}
	return nil
}

// targets lists where the hooks are sent to.
func (c *Config) targets() map[Hook]URL {
	if !c.Enabled {
		return nil
	}
	all := map[Hook]URL{
		Publish: c.OnPublish, Play: c.OnPlay, RTSPRealm: c.OnRTSPRealm, RTSPAuth: c.OnRTSPAuth, HTTPAccess: c.OnHTTPAccess,
		Changed: c.OnStreamChanged, NotFound: c.OnStreamNotFound, NoneReader: c.OnStreamNoneReader, FlowReport: c.OnFlowReport,
		Started: c.OnServerStarted, Exited: c.OnServerExited, KeepAlive: c.OnServerKeepalive,
	}
	for hook, at := range all {
		if at == "" {
			delete(all, hook)
		}
	}
	return all
}
