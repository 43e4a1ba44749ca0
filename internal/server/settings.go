package server

import (
	"errors"
	"net"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/log"
)

// Watching is what of a configuration concerns those who look at a server from outside: its supervisor, and commands such as vigil status.
type Watching struct {
	Listen     string // the supervisor's port; "": none
	ListenMust bool   // it was asked for
	Yields     string // the listener that has the supervisor's usual port, which has none then; "": none has
	HTTP       string // the server's; "": none
	Data       string
	Bundles    string // folder
	Probe      time.Duration
	Recycle    time.Duration
	DryRun     bool
	Log        log.Config
	Secret     conf.Secret // the configured one, or ""
	fixed      bool        // that one wins over one that was set while the server ran
}

// WatchingOf reads it from a configuration that is sound.
func WatchingOf(c *conf.Config) (Watching, error) {
	cfg, err := decode(c)
	if err != nil {
		return Watching{}, err
	}
	w := Watching{
		Listen: cfg.watch.Listen.String(), ListenMust: cfg.watch.Listen != watchListen, HTTP: cfg.http.Listen.String(),
		Data: cfg.data, Bundles: cfg.watch.Bundles,
		Probe: cfg.watch.Probe, Recycle: cfg.watch.Recycle, DryRun: cfg.watch.DryRun, Log: cfg.log, Secret: cfg.api.Secret, fixed: c.Fixed("api.secret") != "",
	}
	if w.Bundles == "" {
		w.Bundles = w.Data
	}
	if w.Listen == watchListen {
		if dry, err := listeners(c, &cfg); err == nil { // else it is said when the server begins
			if w.Yields, _ = dry.taken(w.Listen); w.Yields != "" {
				w.Listen = ""
			}
		}
	}
	return w, nil
}

// ReadSecret returns the API's secret, as a server with this configuration has it.
func (w *Watching) ReadSecret() (conf.Secret, error) {
	if w.Secret != "" && w.fixed {
		return w.Secret, nil
	}
	store, err := disk.Open(w.Data)
	if err != nil {
		if w.Secret != "" {
			return w.Secret, nil
		}
		return "", err
	}
	defer store.Close() //nolint:errcheck // it was only read
	if secret := keptSecret(store); secret != "" {
		return secret, nil
	}
	if w.Secret != "" {
		return w.Secret, nil
	}
	b, err := store.ReadFile(secretFile)
	if err != nil {
		return "", err
	}
	return conf.Secret(trimSpace(b)), nil
}

// keptSecret is the API's secret that was set while the server ran, or "".
func keptSecret(store *disk.Store) conf.Secret {
	text, err := store.ReadFile(keptFile)
	if err != nil {
		return ""
	}
	set, err := conf.ReadKept(text)
	if err != nil {
		return ""
	}
	return conf.Secret(set["api.secret"])
}

// Local is a listening address as it is reached from this machine.
func Local(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return "", err
	case port == "0":
		return "", errors.New("the port is any free one: look at the start-up screen")
	case host == "" || host == "0.0.0.0":
		host = "127.0.0.1"
	case host == "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
