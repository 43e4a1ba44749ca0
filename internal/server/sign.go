package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vigil-media/vigil/internal/auth"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/hub"
)

// Sign returns the query of a URL by which somebody may publish or play a stream until a time, with the key of a configuration, or
// with the one that was set while a server with it ran.
func Sign(c *conf.Config, action, name string, until time.Time) (string, error) {
	now, err := asChanged(c)
	if err != nil {
		return "", err
	}
	cfg, err := decode(now)
	if err != nil {
		return "", err
	}
	key, err := hub.ParseKey(name)
	if err != nil {
		return "", err
	}
	return auth.Sign(&cfg.auth, hub.Action(action), key, until)
}

// asChanged is a configuration with what was changed while a server with it ran. What cannot be used of that is left out, as by the server.
func asChanged(c *conf.Config) (*conf.Config, error) {
	cfg, err := decode(c)
	if err != nil {
		return nil, err
	}
	if _, err = os.Stat(filepath.Join(cfg.data, keptFile)); errors.Is(err, fs.ErrNotExist) { // opening the folder would make it
		return c, nil
	}
	store, err := disk.Open(cfg.data)
	if err != nil {
		return nil, err
	}
	defer store.Close() //nolint:errcheck // it was only read
	text, err := store.ReadFile(keptFile)
	if err != nil {
		return nil, err
	}
	if now, err := c.With(text); err == nil && Check(now) == nil {
		return now, nil
	}
	return c, nil
}
