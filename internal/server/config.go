package server

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/auth"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hook"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/log"
	"github.com/vigil-media/vigil/internal/protocol/all"
	"github.com/vigil-media/vigil/internal/zlm"
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
	const most = 1 << 30
	if c.Connections < 1 || c.Connections > most {
		return conf.KeyErrorf("connections", "%d is not between 1 and %d", c.Connections, most)
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
	Secret conf.Secret      `yaml:"secret" doc:"secret of API and metrics; empty: the one in the file api-secret under data, made on the first run"`
	From   []conf.Addresses `yaml:"from" doc:"addresses, prefixes (10.0.0.0/8) and ranges (10.0.0.1-10.0.0.9) from which ZLMediaKit's API at /index/api may be called, with the secret, and files be read unless hooks.on_http_access decides; empty: all"`
}

// filesConfig is the section "files".
type filesConfig struct {
	Root     string   `yaml:"root" doc:"folder whose files are served by HTTP, at the paths that they have in it; empty: none are"`
	Aliases  []string `yaml:"aliases" doc:"other folders that are served, as name=folder: at /name/"`
	Download []string `yaml:"download" doc:"folders from which files may be downloaded by /index/api/downloadFile"`
	Listing  bool     `yaml:"listing" doc:"show what is in a folder that has no index.html"`
	CORS     string   `yaml:"cors" doc:"pages of which origin may read files: * for all, empty for none"`
}

// Validate refuses settings that cannot work.
func (c *filesConfig) Validate() error {
	const most = 16
	if len(c.Aliases)+len(c.Download) > most {
		return conf.KeyErrorf("aliases", "%d folders, with those of download: at most %d", len(c.Aliases)+len(c.Download), most)
	}
	for _, a := range c.Aliases {
		name, folder, ok := strings.Cut(a, "=")
		if !ok || name == "" || folder == "" || name[0] == '.' || strings.ContainsAny(name, "/\\") {
			return conf.KeyErrorf("aliases", "%q is not a name and a folder such as rec=/mnt/rec", a)
		}
	}
	if slices.Contains(c.Download, "") {
		return conf.KeyErrorf("download", "a folder is empty")
	}
	return nil
}

// Validate refuses a secret that can be guessed.
func (c *apiConfig) Validate() error {
	const shortest = 8
	if n := len(c.Secret.Reveal()); n > 0 && n < shortest {
		return conf.KeyErrorf("secret", "has %d characters, at least %d", n, shortest)
	}
	return nil
}

// watchConfig is the section "watch".
type watchConfig struct {
	Listen  conf.Address  `yaml:"listen" doc:"the supervisor's own port: /livez, /readyz, /startupz, /overload, and what vigil status, reload and bundle ask; empty: off"`
	Probe   time.Duration `yaml:"probe" doc:"how often the supervisor publishes and plays a stream of its own, to see that the server works; 0: never"`
	DryRun  bool          `yaml:"dry_run" doc:"what the watch would do about what is stuck is logged and counted, and not done"`
	Recycle time.Duration `yaml:"recycle" doc:"the worker is replaced by a new one this long after it began, as vigil reload --worker does; 0: never"`
	Bundles string        `yaml:"bundles" doc:"folder in whose folder bundles diagnosis bundles are kept; empty: data"`
	Trace   bool          `yaml:"trace" doc:"what the program does is always recorded, for the last seconds before a diagnosis bundle, which costs publishers a fifth more; otherwise only from when a loop is found stuck"`
}

// Validate refuses settings that cannot work.
func (c *watchConfig) Validate() error {
	switch {
	case c.Probe != 0 && (c.Probe < time.Second || c.Probe > time.Minute):
		return conf.KeyErrorf("probe", "%v is neither 0 nor between 1s and 1m", c.Probe)
	case c.Recycle != 0 && (c.Recycle < time.Minute || c.Recycle > 365*24*time.Hour):
		return conf.KeyErrorf("recycle", "%v is neither 0 nor between 1m and 8760h", c.Recycle)
	}
	return nil
}

// watchListen is where a supervisor listens if nothing else is said. That it is taken is no error then.
const watchListen = "127.0.0.1:8081"

// config is all that the server decodes by itself.
type config struct {
	data string
	log  log.Config
	http httpConfig
	tls  tlsConfig
	api  apiConfig
	file filesConfig
	hub  hub.Config
	auth auth.Config
	hook hook.Config

	egress egress.Options
	serve  zlm.ServeConfig
	watch  watchConfig
	zlm    zlmConfig
}

// zlmConfig is the section "zlm": sections and keys of ZLMediaKit's configuration that are no settings here, as they were written.
// Some hold passwords, and nobody knows which.
type zlmConfig map[string]map[string]conf.Secret

func defaults() config {
	return config{
		data: "vigil-data",
		log:  log.Default(),
		http: httpConfig{Listen: ":8080", Connections: 50_000},
		file: filesConfig{CORS: "*"},
		hub:  hub.DefaultConfig(),
		hook: hook.Default(),

		egress: egress.Default(),
		serve:  zlm.DefaultServe(),
		watch:  watchConfig{Listen: watchListen, Probe: 2 * time.Second},
	}
}

// Known lists every section of the configuration, with its defaults.
func Known() []conf.Known {
	d := defaults()
	known := d.known()
	for _, p := range all.Protocols() {
		known = append(known, conf.Known{Name: p.Name, Doc: p.Title + ".", Defaults: p.Defaults()})
	}
	return known
}

// known lists the server's own sections, with what c says.
func (c *config) known() []conf.Known {
	return []conf.Known{
		{Name: "data", Doc: "Folder for all that is kept.", Defaults: c.data},
		{Name: "http", Doc: "The shared HTTP listener.", Defaults: &c.http},
		{Name: "tls", Doc: "The certificate of all TLS listeners.", Defaults: &c.tls},
		{Name: "api", Doc: "API and metrics.", Defaults: &c.api},
		{Name: "files", Doc: "Files that are served by HTTP.", Defaults: &c.file},
		{Name: "publish", Doc: "Who owns a stream's name, and for how long.", Defaults: &c.hub.Publish},
		{Name: "play", Doc: "Viewers.", Defaults: &c.hub.Play},
		{Name: "serve", Doc: "Forms in which streams can be watched, unless the answer of on_publish says otherwise. A change holds for publishers that come then.", Defaults: &c.serve},
		{Name: "auth", Doc: "Who may publish and play, by rules of the server's own.", Defaults: &c.auth},
		{Name: "hooks", Doc: "Who is asked and told by HTTP about what happens: ZLMediaKit's web hooks.", Defaults: &c.hook},
		{Name: "egress", Doc: "How viewers are written to.", Defaults: &c.egress},
		{Name: "limits", Doc: "Limits of the server and of each stream.", Defaults: &c.hub.Limits},
		{Name: "watch", Doc: "How the server is watched, and replaced when it is stuck.", Defaults: &c.watch},
		{Name: "log", Doc: "The log.", Defaults: &c.log},
		{Name: "zlm", Doc: "What came from a configuration of ZLMediaKit and is no setting here: it does nothing, and is told where that is asked for.", Defaults: &c.zlm},
	}
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
		c.Section("files").Decode(&d.file),
		c.Section("publish").Decode(&d.hub.Publish),
		c.Section("play").Decode(&d.hub.Play),
		c.Section("serve").Decode(&d.serve),
		c.Section("auth").Decode(&d.auth),
		c.Section("hooks").Decode(&d.hook),
		c.Section("egress").Decode(&d.egress),
		c.Section("limits").Decode(&d.hub.Limits),
		c.Section("watch").Decode(&d.watch),
		c.Section("zlm").Decode(&d.zlm),
	)
	if err != nil {
		return config{}, err
	}
	if d.data == "" {
		return config{}, conf.Problems{{Key: "data", Message: "a folder is needed"}}
	}
	return d, nil
}
