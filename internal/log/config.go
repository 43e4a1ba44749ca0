package log

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
)

// What Config.Format may be.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// fileSizeMin keeps a rotated file larger than what is written at once.
const fileSizeMin = 4 * queueBytes

// Config is the section log.
type Config struct {
	Level    string    `yaml:"level"     doc:"Least severe level that is logged: debug, info, warn or error."`
	Format   string    `yaml:"format"    doc:"text for people, json for machines."`
	File     string    `yaml:"file"      doc:"File to log to, besides the console; empty for none."`
	FileSize conf.Size `yaml:"file_size" doc:"Size at which the file is renamed and a new one begun."`
	FileKeep int       `yaml:"file_keep" doc:"Number of renamed files that are kept."`
}

// Default is the configuration of whoever sets nothing.
func Default() Config {
	return Config{Level: "info", Format: FormatText, FileSize: 64 << 20, FileKeep: 8}
}

// Validate says what is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	if _, err := ParseLevel(c.Level); err != nil {
		errs = append(errs, conf.KeyErrorf("level", "%w", err))
	}
	if c.Format != FormatText && c.Format != FormatJSON {
		errs = append(errs, conf.KeyErrorf("format", "%q is neither text nor json", c.Format))
	}
	if c.FileSize < fileSizeMin || c.FileSize > 1<<40 {
		errs = append(errs, conf.KeyErrorf("file_size", "must be from %s to 1TiB", conf.Size(fileSizeMin)))
	}
	if c.FileKeep < 1 || c.FileKeep > 10_000 {
		errs = append(errs, conf.KeyErrorf("file_keep", "must be from 1 to 10000"))
	}
	return errors.Join(errs...)
}

// ParseLevel reads debug, info, warn or error.
func ParseLevel(text string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if text == strings.ToLower(level.String()) {
			return level, nil
		}
	}
	return slog.LevelInfo, fmt.Errorf("%q is none of debug, info, warn, error", text)
}
