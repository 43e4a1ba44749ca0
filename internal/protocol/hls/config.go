package hls

import (
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/protocol"
)

// Limits that are no settings.
const (
	answerTimeout = 20 * time.Second // for a peer to take answerBytes
	answerBytes   = 256 << 10
	answerMost    = time.Minute      // for a peer to take all of it
	renditionIdle = 10 * time.Second // how long a stream is cut on after its last viewer
	keptIdle      = 30 * time.Second // how long a kept connection may be silent: no segment is longer than a third of it
	lookEvery     = time.Second      // between two looks at viewers that ask no more
	heldAfterKick = time.Minute      // how long one who was kicked is refused
	firstFactor   = 3                // target durations that a request waits for a playlist at most
	waitFactor    = 3                // target durations that a request waits for a part at most (RFC 8216bis, 6.2.5.2)
	twinShare     = 4                // of a segment's length: sooner nobody asks for the same playlist again
	cacheFactor   = 2                // playlists for which segments may be kept by caches
)

// Config is the section "hls".
type Config struct {
	Enabled  bool          `yaml:"enabled" doc:"serve HLS on http.listen"`
	CORS     protocol.CORS `yaml:"cors" doc:"value of Access-Control-Allow-Origin; empty: none"`
	Segment  time.Duration `yaml:"segment" doc:"how long a segment is at least: it ends with the next key picture (1s to 10s)"`
	Part     time.Duration `yaml:"part" doc:"how long a part of a low-latency segment is, about: whole frames (100ms to 1s); 0: no parts"`
	Segments int           `yaml:"segments" doc:"segments in a playlist (3 to 60); as many again are kept for those who are slow"`
	Memory   conf.Size     `yaml:"memory" doc:"what a stream's segments of one format may take up; older ones go before their time"`
	Always   bool          `yaml:"always" doc:"cut every stream from its begin, so that the first viewer waits for nothing; off: from the first viewer on"`
	Dir      string        `yaml:"dir" doc:"folder that gets copies of playlists and segments, which other servers may serve; empty: none. With it every stream is cut, as with always"`
	Idle     time.Duration `yaml:"idle" doc:"after what time a viewer who asks for nothing has left (5s to 10m)"`
	Cookies  bool          `yaml:"cookies" doc:"know viewers by a cookie; off: by the query parameter session, or by address and user agent"`
}

// Default returns the settings that hold when nothing is configured.
func Default() *Config {
	return &Config{
		Enabled: true, CORS: "*", Segment: 2 * time.Second, Part: 200 * time.Millisecond, Segments: 7, Memory: 64 << 20,
		Idle: 30 * time.Second, Cookies: true,
	}
}

// Validate refuses settings that cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Segment < time.Second || c.Segment > 10*time.Second:
		return fmt.Errorf("segment: %v is not between 1s and 10s", c.Segment)
	case c.Part != 0 && (c.Part < 100*time.Millisecond || c.Part > time.Second):
		return fmt.Errorf("part: %v is neither 0 nor between 100ms and 1s", c.Part)
	case 2*c.Part > c.Segment:
		return fmt.Errorf("part: %v is more than half a segment of %v", c.Part, c.Segment)
	case c.Segments < 3 || c.Segments > 60:
		return fmt.Errorf("segments: %d is not between 3 and 60", c.Segments)
	case c.Memory < 1<<20 || c.Memory > 1<<30:
		return fmt.Errorf("memory: %v is not between 1MiB and 1GiB", c.Memory)
	case c.Idle < 5*time.Second || c.Idle > 10*time.Minute:
		return fmt.Errorf("idle: %v is not between 5s and 10m", c.Idle)
	case c.Idle < 2*c.Segment:
		return fmt.Errorf("idle: %v is less than two segments of %v: viewers who wait for the next would have left", c.Idle, c.Segment)
	}
	return nil
}
