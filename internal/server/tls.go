package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
)

// certificate is a key pair from files, which is read anew when they change, so that a renewal needs no restart. A
// renewal that cannot be read leaves the old pair in use.
type certificate struct {
	cfg tlsConfig
	log *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	read    [2]time.Time // modification times of what was read, or was tried to be read
	checked time.Time
}

// certCheck is how often the files are looked at, at the most.
const certCheck = time.Second

// newTLS returns the configuration of TLS listeners, or nil when no certificate is configured.
func newTLS(cfg tlsConfig, log *slog.Logger) (*tls.Config, error) {
	if cfg.Cert == "" {
		return nil, nil //nolint:nilnil // no certificate is a case of its own, and no error
	}
	c := &certificate{cfg: cfg, log: log}
	times, err := c.times()
	if err == nil {
		err = c.load(times)
	}
	if err != nil {
		return nil, conf.Problems{{Key: "tls", Message: err.Error()}}
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // live bodies take the connection over, which HTTP/2 does not allow
		GetCertificate: c.get,
	}, nil
}

func (c *certificate) times() (t [2]time.Time, err error) {
	for i, name := range []string{c.cfg.Cert, c.cfg.Key} {
		info, err := os.Stat(name)
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime()
	}
	return t, nil
}

// load reads the pair. The caller holds mu, or is alone.
func (c *certificate) load(times [2]time.Time) error {
	c.read = times
	pair, err := tls.LoadX509KeyPair(c.cfg.Cert, c.cfg.Key)
	if err != nil {
		return err
	}
	c.pair = &pair
	return nil
}

// get implements tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.due() {
		c.renew()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair, nil
}

// due says whether it is time to look at the files, to one caller at a time.
func (c *certificate) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certCheck {
		return false
	}
	c.checked = time.Now()
	return true
}

// renew reads the files if they have changed. Files are read without the lock.
func (c *certificate) renew() {
	times, err := c.times()
	c.mu.Lock()
	same := times == c.read
	c.mu.Unlock()
	if err != nil || same {
		return // a file that is missing is being replaced, or is a trouble that the pair in use outlives
	}
	next := certificate{cfg: c.cfg}
	err = next.load(times)
	c.mu.Lock()
	c.read = times
	if err == nil {
		c.pair = next.pair
	}
	c.mu.Unlock()
	if err != nil {
		c.log.Error("cannot read the renewed certificate: the old one stays in use", "cause", err)
		return
	}
	c.log.Info("read the renewed certificate", "file", c.cfg.Cert)
}
