package httplive

import (
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol"
)

// Config is the section "httplive".
type Config struct {
	Enabled bool          `yaml:"enabled" doc:"serve HTTP-FLV, HTTP-TS and HTTP-fMP4 on http.listen, and each as WebSocket"`
	CORS    protocol.CORS `yaml:"cors" doc:"value of Access-Control-Allow-Origin; empty: none"`
	Form    flv.Form      `yaml:"form" doc:"FLV headers of HEVC, AV1, VP8, VP9, Opus: enhanced (fourcc) or legacy (numbers)"`
}

// Default returns the settings that hold when nothing is configured.
func Default() *Config {
	return &Config{Enabled: true, CORS: "*", Form: flv.Enhanced}
}
