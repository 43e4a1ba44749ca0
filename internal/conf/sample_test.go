package conf_test

import (
	"errors"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
)

// tlsConf, listenConf and so on stand for the settings of rooms.
type tlsConf struct {
	Listen conf.Address `yaml:"listen" doc:"Address for TLS; empty turns it off."`
}

type listenConf struct {
	Listen    conf.Address `yaml:"listen"     doc:"Address to listen on; empty turns it off."`
	TLS       tlsConf      `yaml:"tls"        doc:"The same over TLS."`
	ChunkSize uint32       `yaml:"chunk_size" doc:"Bytes in a chunk that we send."`
	Buffer    conf.Size    `yaml:"buffer"     doc:"Memory for one session."`
	Name      string       `yaml:"name"       doc:"Name that peers are told.\nIt may be empty."`
	hidden    int
	NoSetting int
}

func (c *listenConf) Validate() error {
	var errs []error
	if c.ChunkSize < 128 {
		errs = append(errs, conf.KeyErrorf("chunk_size", "must be at least 128, is %d", c.ChunkSize))
	}
	if c.Buffer < 1024 {
		errs = append(errs, conf.KeyErrorf("buffer", "must be at least 1KiB"))
	}
	if c.Name == "nobody" {
		errs = append(errs, errors.New("nobody is not served"))
	}
	return errors.Join(errs...)
}

type publishConf struct {
	OnConflict   string        `yaml:"on_conflict"`
	ResumeWindow time.Duration `yaml:"resume_window" doc:"How long viewers wait for a publisher."`
	Ratio        float64       `yaml:"ratio"`
	Strict       bool          `yaml:"strict"`
	Retries      int8          `yaml:"retries"`
	Hosts        []string      `yaml:"hosts"`
	Ports        []uint16      `yaml:"ports"`
}

type hooksConf struct {
	Timeout time.Duration          `yaml:"timeout"`
	URL     map[string]string      `yaml:"url"`
	Header  map[string]conf.Secret `yaml:"header"`
}

type apiConf struct {
	Secret conf.Secret `yaml:"secret" doc:"Key of the API."`
}

func defaultListen() listenConf {
	return listenConf{
		Listen: ":1935", ChunkSize: 4096, Buffer: 64 << 20, Name: "vigil", NoSetting: 7, hidden: 7,
	}
}

func defaultPublish() publishConf {
	return publishConf{
		OnConflict: "challenge", ResumeWindow: 15 * time.Second, Ratio: 0.5, Retries: 3,
		Hosts: []string{"a.example", "[::1]:80"}, Ports: []uint16{},
	}
}

func sample() []conf.Known {
	return []conf.Known{
		{Name: "data", Doc: "Folder for everything that is kept.", Defaults: "vigil-data"},
		{Name: "rtmp", Doc: "RTMP.", Defaults: defaultListen()},
		{Name: "publish", Defaults: defaultPublish()},
		{Name: "hooks", Defaults: &hooksConf{Timeout: time.Minute, URL: map[string]string{"on_play": "http://a/b?c=d"}}},
		{Name: "api", Defaults: apiConf{Secret: "hush"}},
	}
}
