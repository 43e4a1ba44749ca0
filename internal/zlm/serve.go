package zlm

// ServeConfig is the section "serve": in which schemas streams can be watched whose publishers' permits do not say.
type ServeConfig struct {
	RTSP    bool `yaml:"rtsp" doc:"RTSP"`
	RTMP    bool `yaml:"rtmp" doc:"RTMP, HTTP-FLV and WebSocket-FLV"`
	TS      bool `yaml:"ts" doc:"HTTP-TS and WebSocket-TS"`
	FMP4    bool `yaml:"fmp4" doc:"HTTP-fMP4 and WebSocket-fMP4"`
	HLS     bool `yaml:"hls" doc:"HLS with segments of MPEG-TS"`
	HLSFMP4 bool `yaml:"hls_fmp4" doc:"HLS with segments of fMP4"`
}

// DefaultServe returns the settings that hold when nothing is configured: all schemas are on.
func DefaultServe() ServeConfig {
	return ServeConfig{RTSP: true, RTMP: true, TS: true, FMP4: true, HLS: true, HLSFMP4: true}
}

// Serves is the same by the hub's protocols.
func (c *ServeConfig) Serves() map[string]bool {
	return Serves(map[Schema]bool{RTSP: c.RTSP, RTMP: c.RTMP, TS: c.TS, FMP4: c.FMP4, HLS: c.HLS, HLSFMP4: c.HLSFMP4})
}
