package rtmp

import (
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// Limits that are no settings.
const (
	writeTimeout = 5 * time.Second        // of an answer
	refusalTime  = 500 * time.Millisecond // for a peer that was refused to read why
	stoppedTime  = time.Second            // for the answer to a peer that has stopped publishing
	roundsMax    = 16                     // publications, or waits for a stream, of one connection
	windowAck    = 5_000_000              // bytes between the peer's acknowledgements
	setupMessage = 64 << 10               // bytes of a message before media may come, and of all that are partly received
	badTagsMax   = 500                    // bad media messages in a row
	agentMax     = 256                    // bytes that are kept of what a peer says it is
)

// Config is the section "rtmp".
type Config struct {
	Listen      conf.Address `yaml:"listen" doc:"address of RTMP; empty: off"`
	TLS         TLSConfig    `yaml:"tls"`
	ChunkSize   int          `yaml:"chunk_size" doc:"size of the chunks that are sent (128 to 16777215)"`
	MaxMessage  conf.Size    `yaml:"max_message" doc:"largest message that a publisher may send"`
	Form        flv.Form     `yaml:"form" doc:"headers of HEVC, AV1, VP8, VP9, Opus to players: enhanced (fourcc) or legacy (numbers)"`
	Connections int          `yaml:"connections" doc:"connections at the same time, on both listeners together"`
}

// TLSConfig is the section "rtmp.tls".
type TLSConfig struct {
	Listen conf.Address `yaml:"listen" doc:"address of RTMPS, which needs tls.cert and tls.key; empty: off"`
}

// Default returns the settings that hold when nothing is configured.
func Default() *Config {
	return &Config{
		Listen: ":1935", ChunkSize: 60_000, MaxMessage: 8 << 20, Form: flv.Enhanced, Connections: 50_000,
	}
}

// Validate refuses settings that cannot work.
func (c *Config) Validate() error {
	switch {
	case c.ChunkSize < 128 || c.ChunkSize > 1<<24-1:
		return fmt.Errorf("chunk_size: %d is not between 128 and 16777215", c.ChunkSize)
	case c.MaxMessage < 64<<10 || c.MaxMessage > 1<<24-1:
		return fmt.Errorf("max_message: %v is not between 64KiB and 16777215", c.MaxMessage)
	case c.Connections < 1:
		return fmt.Errorf("connections: %d is less than 1", c.Connections)
	}
	return nil
}
