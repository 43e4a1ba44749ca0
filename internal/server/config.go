package server

import (
	"errors"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/log"
	"github.com/vigil-media/vigil/internal/protocol/all"
)

// httpConfig is the section "http".
type httpConfig struct {
	Listen      conf.Address  `yaml:"listen" doc:"address of HTTP: live media, API, metrics, health; empty: off"`
	TLS         httpTLSConfig `yaml:"tls"`
	Connections int           `yaml:"connections" doc:"connections at the same time, on both listeners together"`
}

// httpTLSConfig is the section "http.tls".
type httpTLSConfig struct {
	Listen conf.Address `yaml:"listen" doc:"address of HTTPS, which needs tls.cert and tls.key; empty: off"`
}

// Validate refuses settings that cannot work.
func (c *httpConfig) Validate() error {
	if c.Connections < 1 {
		return conf.KeyErrorf("connections", "%d is less than 1", c.Connections)
	}
	return nil
}

// tlsConfig is the section "tls".
type tlsConfig struct {
	Cert string `yaml:"cert" doc:"certificate chain, PEM file; read anew when it changes"`
	Key  string `yaml:"key" doc:"private key, PEM file"`
}

// Validate refuses half a pair.
func (c *tlsConfig) Validate() error {
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("cert and key belong together: one of them is missing")
	}
	return nil
}

// apiConfig is the section "api".
type apiConfig struct {
	Secret conf.Secret `yaml:"secret" doc:"secret of API and metrics; empty: the one in the file api-secret under data, made on the first run"`
}

// Validate refuses a secret that can be guessed.
func (c *apiConfig) Validate() error {
	const shortest = 8
	if n := len(c.Secret.Reveal()); n > 0 && n < shortest {
		return conf.KeyErrorf("secret", "has %d characters, at least %d", n, shortest)
	}
	return nil
}

// config is all that the server decodes by itself.
type config struct {
	data string
	log  log.Config
	http httpConfig
	tls  tlsConfig
	api  apiConfig
	hub  hub.Config

	egress egress.Options
}

func defaults() config {
	return config{
		data: "vigil-data",
		log:  log.Default(),
		http: httpConfig{Listen: ":8080", Connections: 50_000},
		hub:  hub.DefaultConfig(),

		egress: egress.Default(),
	}
}

// Known lists every section of the configuration, with its defaults.
func Known() []conf.Known {
	d := defaults()
	known := []conf.Known{
		{Name: "data", Doc: "Folder for all that is kept.", Defaults: d.data},
		{Name: "http", Doc: "The shared HTTP listener.", Defaults: &d.http},
		{Name: "tls", Doc: "The certificate of all TLS listeners.", Defaults: &d.tls},
		{Name: "api", Doc: "API and metrics.", Defaults: &d.api},
		{Name: "publish", Doc: "Who owns a stream's name, and for how long.", Defaults: &d.hub.Publish},
		{Name: "play", Doc: "Viewers.", Defaults: &d.hub.Play},
		{Name: "egress", Doc: "How viewers are written to.", Defaults: &d.egress},
		{Name: "limits", Doc: "Limits of the server and of each stream.", Defaults: &d.hub.Limits},
	}
	for _, p := range all.Protocols() {
		known = append(known, conf.Known{Name: p.Name, Doc: p.Title + ".", Defaults: p.Defaults()})
	}
	return append(known, conf.Known{Name: "log", Doc: "The log.", Defaults: &d.log})
}

// decode reads the server's own sections.
func decode(c *conf.Config) (config, error) {
	d := defaults()
	err := errors.Join(
		c.Section("data").Decode(&d.data),
		c.Section("log").Decode(&d.log),
		c.Section("http").Decode(&d.http),
		c.Section("tls").Decode(&d.tls),
		c.Section("api").Decode(&d.api),
		c.Section("publish").Decode(&d.hub.Publish),
		c.Section("play").Decode(&d.hub.Play),
		c.Section("egress").Decode(&d.egress),
		c.Section("limits").Decode(&d.hub.Limits),
	)
	if err != nil {
		return config{}, err
	}
	if d.data == "" {
		return config{}, conf.Problems{{Key: "data", Message: "a folder is needed"}}
	}
	return d, nil
}
