package hub

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/stream"
)

// PublishConfig is the section "publish".
type PublishConfig struct {
	OnConflict       Policy            `yaml:"on_conflict" doc:"when a name has a publisher already, for the newcomer: challenge (it wins unless the owner sends media), takeover (it wins), reject (it is refused), standby (it steps in when the owner stalls)"`
	Conflicts        map[string]Policy `yaml:"conflicts" doc:"the same for names app/name that a pattern fits, in which * is any text; the longest pattern wins"`
	ChallengeTimeout time.Duration     `yaml:"challenge_timeout" doc:"an owner that is challenged and completes no media unit for so long loses its name (500ms to 1m)"`
	ResumeWindow     time.Duration     `yaml:"resume_window" doc:"how long viewers stay when a publisher is lost, for one that resumes; 0s: not at all"`
	MaxSilence       time.Duration     `yaml:"max_silence" doc:"a publisher that completes no media unit for so long is ended"`
	ModifyStamp      stream.StampMode  `yaml:"modify_stamp" doc:"time of media: relative (the encoder's steps, jumps mended), absolute (the encoder's clock, jumps mended), receive (when it came)"`
	Audio            bool              `yaml:"audio" doc:"keep the sound of streams; off: it is dropped, unless the answer of on_publish says otherwise. A change holds for publishers that come then"`
	IdleDelay        time.Duration     `yaml:"idle_delay" doc:"a stream without viewers for so long is reported, and closed with close_idle"`
	CloseIdle        bool              `yaml:"close_idle" doc:"close a stream that nobody watches"`
}

// PlayConfig is the section "play".
type PlayConfig struct {
	Wait time.Duration `yaml:"wait" doc:"how long a viewer waits for a stream that is not being published yet"`
}

// LimitsConfig is the section "limits".
type LimitsConfig struct {
	Publishers           int `yaml:"publishers" doc:"publishers at the same time"`
	PublishersPerApp     int `yaml:"publishers_per_app" doc:"the same, of one application; 0: no limit"`
	PublishersPerAddress int `yaml:"publishers_per_address" doc:"the same, from one address; 0: no limit"`
	Viewers              int `yaml:"viewers" doc:"viewers at the same time, those that wait for a stream included; 15 of 16 of the connections at the most: publishers are to get in"`
	ViewersPerStream     int `yaml:"viewers_per_stream" doc:"the same, of one stream; 0: no limit"`
	ViewersPerApp        int `yaml:"viewers_per_app" doc:"the same, of one application; 0: no limit"`
	ViewersPerAddress    int `yaml:"viewers_per_address" doc:"the same, from one address; 0: no limit"`
	Bandwidth            int `yaml:"bandwidth" doc:"Mbit/s that viewers may ask for in all: more are refused; 0: no limit"`
	BandwidthPerStream   int `yaml:"bandwidth_per_stream" doc:"the same, of one stream; 0: no limit"`
	BandwidthPerApp      int `yaml:"bandwidth_per_app" doc:"the same, of one application; 0: no limit"`
	BandwidthPerAddress  int `yaml:"bandwidth_per_address" doc:"the same, from one address; 0: no limit"`
	PublisherBandwidth   int `yaml:"publisher_bandwidth" doc:"Mbit/s that one publisher may send: one that sends more for 5 seconds is ended; 0: no limit"`

	Connections           int `yaml:"connections" doc:"connections at the same time, on all listeners together"`
	ConnectionsPerAddress int `yaml:"connections_per_address" doc:"the same, from one address; 0: no limit"`
	Handshakes            int `yaml:"handshakes" doc:"new connections a second, on all listeners together; 0: no limit"`
	HandshakesPerAddress  int `yaml:"handshakes_per_address" doc:"the same, from one address; 0: no limit"`

	Memory    conf.Size     `yaml:"memory" doc:"memory that the server may use: near it, streams keep less and newcomers are refused, and at last it ends with a heap profile; 0: most of what the machine or the container has"`
	RingUnits int           `yaml:"ring_units" doc:"media units that a stream keeps (2 to 65536)"`
	RingBytes conf.Size     `yaml:"ring_bytes" doc:"bytes that a stream keeps"`
	RingAge   time.Duration `yaml:"ring_age" doc:"media time that a stream keeps"`
	MaxSkips  int           `yaml:"max_skips" doc:"a viewer that had to skip more often within a minute is ended"`
}

// Config is what the hub is set up with.
type Config struct {
	Publish PublishConfig
	Play    PlayConfig
	Limits  LimitsConfig

	// Probe is the token of the server's own end-to-end probe: see [Hub.Probe]. "": there is none. It is made anew with each run, and no
	// part of the configuration.
	Probe string

	// Decision is how long the authorizer may take. 0: 5 seconds. It is what the rooms that ask it are configured to, and no setting of the
	// hub's.
	Decision time.Duration

	// Serves says by which protocols streams may be watched whose publishers' permits do not say, by the names that viewers give in
	// requests; a protocol that is not in it may be used. Nobody changes the map. It is the configuration's of rooms that know protocols.
	Serves map[string]bool
}

// DefaultConfig returns the settings that hold when nothing is configured.
func DefaultConfig() Config {
	return Config{
		Publish: PublishConfig{
			OnConflict: Challenge, ChallengeTimeout: 2 * time.Second, ResumeWindow: 15 * time.Second, MaxSilence: 5 * time.Second,
			ModifyStamp: stream.Relative, Audio: true, IdleDelay: 20 * time.Second,
		},
		Play: PlayConfig{Wait: 5 * time.Second},
		Limits: LimitsConfig{
			Publishers: 10_000, Viewers: 100_000, Connections: 100_000,
			RingUnits: 8192, RingBytes: 16 << 20, RingAge: time.Minute, MaxSkips: 30,
		},
	}
}

// Validate refuses settings that cannot work.
func (c *PublishConfig) Validate() error {
	if err := c.OnConflict.validate(); err != nil {
		return fmt.Errorf("on_conflict: %w", err)
	}
	for pattern, p := range c.Conflicts {
		if err := p.validate(); err != nil {
			return fmt.Errorf("conflicts: %s: %w", pattern, err)
		}
	}
	for _, d := range []struct {
		key         string
		value       time.Duration
		least, most time.Duration
	}{
		{"challenge_timeout", c.ChallengeTimeout, 500 * time.Millisecond, time.Minute},
		{"resume_window", c.ResumeWindow, 0, 10 * time.Minute},
		{"max_silence", c.MaxSilence, time.Second, time.Hour},
		{"idle_delay", c.IdleDelay, time.Second, 24 * time.Hour},
	} {
		if d.value < d.least || d.value > d.most {
			return fmt.Errorf("%s: %v is not between %v and %v", d.key, d.value, d.least, d.most)
		}
	}
	return c.ModifyStamp.Validate()
}

// Validate refuses settings that cannot work.
func (c *PlayConfig) Validate() error {
	if c.Wait < 0 || c.Wait > time.Minute {
		return fmt.Errorf("wait: %v is not between 0s and 1m", c.Wait)
	}
	return nil
}

// Validate refuses settings that cannot work.
func (c *LimitsConfig) Validate() error {
	switch {
	case c.Connections > 1<<30:
		return errors.New("connections: at most 1073741824")
	case c.Publishers < 1 || c.Viewers < 1 || c.Connections < 1:
		return errors.New("publishers, viewers, connections: at least 1")
	case min(c.PublishersPerApp, c.PublishersPerAddress, c.ViewersPerStream, c.ViewersPerApp, c.ViewersPerAddress, c.Bandwidth,
		c.BandwidthPerStream, c.BandwidthPerApp, c.BandwidthPerAddress, c.PublisherBandwidth, c.ConnectionsPerAddress, c.Handshakes, c.HandshakesPerAddress) < 0:
		return errors.New("a limit is not negative")
	case c.Memory != 0 && c.Memory < 64<<20:
		return fmt.Errorf("memory: %v is less than 64MiB", c.Memory)
	case c.RingUnits < 2 || c.RingUnits > 1<<16:
		return fmt.Errorf("ring_units: %d is not between 2 and 65536", c.RingUnits)
	case c.RingBytes < 64<<10:
		return fmt.Errorf("ring_bytes: %v is less than 64KiB", c.RingBytes)
	case c.RingAge < time.Second:
		return fmt.Errorf("ring_age: %v is less than 1s", c.RingAge)
	case c.MaxSkips < 1:
		return errors.New("max_skips: at least 1")
	}
	return nil
}

// resolve returns the terms of a stream whose publisher is let in now with the terms of its permit.
func (c *Config) resolve(t Terms) Terms {
	if t.Audio == nil {
		t.Audio = new(c.Publish.Audio)
	}
	switch {
	case len(t.Serves) == 0:
		t.Serves = c.Serves
	case len(c.Serves) > 0:
		all := maps.Clone(c.Serves)
		maps.Copy(all, t.Serves)
		t.Serves = all
	}
	return t
}

// streamOptions are those of a stream with these stamps; "": the configured ones.
func (c *Config) streamOptions(stamps stream.StampMode) stream.Options {
	l := &c.Limits
	return stream.Options{
		Units: l.RingUnits, Bytes: int64(l.RingBytes), Age: l.RingAge, MaxSkips: l.MaxSkips, Stamps: cmp.Or(stamps, c.Publish.ModifyStamp),
	}
}
