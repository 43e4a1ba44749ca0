package hub

import (
	"errors"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/stream"
)

// Policy says what happens when a second publisher comes for a key that is taken.
type Policy string

// The policies.
const (
	Reject   Policy = "reject"   // the owner stays
	Takeover Policy = "takeover" // the newcomer wins; viewers stay attached
)

// PublishConfig is the section "publish".
type PublishConfig struct {
	OnConflict Policy        `yaml:"on_conflict" doc:"a second publisher of a key: reject it, or let it takeover"`
	MaxSilence time.Duration `yaml:"max_silence" doc:"a publisher that completes no media unit for so long is ended"`
}

// PlayConfig is the section "play".
type PlayConfig struct {
	Wait time.Duration `yaml:"wait" doc:"how long a viewer waits for a stream that is not being published yet"`
}

// LimitsConfig is the section "limits".
type LimitsConfig struct {
	Publishers int           `yaml:"publishers" doc:"publishers at the same time"`
	Viewers    int           `yaml:"viewers" doc:"viewers at the same time, those that wait for a stream included"`
	RingUnits  int           `yaml:"ring_units" doc:"media units that a stream keeps (2 to 65536)"`
	RingBytes  conf.Size     `yaml:"ring_bytes" doc:"bytes that a stream keeps"`
	RingAge    time.Duration `yaml:"ring_age" doc:"media time that a stream keeps"`
	MaxSkips   int           `yaml:"max_skips" doc:"a viewer that had to skip more often within a minute is ended"`
}

// Config is what the hub is set up with.
type Config struct {
	Publish PublishConfig
	Play    PlayConfig
	Limits  LimitsConfig
}

// DefaultConfig returns the settings that hold when nothing is configured.
func DefaultConfig() Config {
	return Config{
		Publish: PublishConfig{OnConflict: Reject, MaxSilence: 5 * time.Second},
		Play:    PlayConfig{Wait: 5 * time.Second},
		Limits: LimitsConfig{
			Publishers: 10_000, Viewers: 100_000,
			RingUnits: 8192, RingBytes: 16 << 20, RingAge: time.Minute, MaxSkips: 30,
		},
	}
}

// Validate refuses settings that cannot work.
func (c *PublishConfig) Validate() error {
	if c.OnConflict != Reject && c.OnConflict != Takeover {
		return fmt.Errorf("on_conflict: %q is not one of reject, takeover", c.OnConflict)
	}
	if c.MaxSilence < time.Second || c.MaxSilence > time.Hour {
		return fmt.Errorf("max_silence: %v is not between 1s and 1h", c.MaxSilence)
	}
	return nil
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
	case c.Publishers < 1 || c.Viewers < 1:
		return errors.New("publishers, viewers: at least 1")
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

func (c *LimitsConfig) streamOptions() stream.Options {
	return stream.Options{
		Units: c.RingUnits, Bytes: int64(c.RingBytes), Age: c.RingAge, MaxSkips: c.MaxSkips,
	}
}
