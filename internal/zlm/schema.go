package zlm

import (
	"slices"

	"github.com/vigil-media/vigil/internal/hub"
)

// Schema is a form in which a stream is played.
type Schema string

// The schemas.
const (
	RTSP    Schema = "rtsp"
	RTMP    Schema = "rtmp"
	FMP4    Schema = "fmp4"
	TS      Schema = "ts"
	HLS     Schema = "hls"
	HLSFMP4 Schema = "hls.fmp4"
)

// Schemas lists all of them, that one first which platforms wait for: their word for "the stream is there" is its rtsp source.
func Schemas() []Schema { return []Schema{RTSP, RTMP, FMP4, TS, HLS, HLSFMP4} }

// Valid says whether there is such a schema.
func (s Schema) Valid() bool { return slices.Contains(Schemas(), s) }

// protocols is what the protocols of the hub's sessions are in the dialect: the schema that is played, and the protocol on the wire, plain and by TLS.
//
//nolint:gochecknoglobals // a constant table
var protocols = map[string]struct {
	schema        Schema
	plain, secure string
}{
	"rtsp":      {RTSP, "rtsp", "rtsps"},
	"rtmp":      {RTMP, "rtmp", "rtmps"},
	"http-flv":  {RTMP, "http", "https"},
	"ws-flv":    {RTMP, "ws", "wss"},
	"http-ts":   {TS, "http", "https"},
	"ws-ts":     {TS, "ws", "wss"},
	"http-fmp4": {FMP4, "http", "https"},
	"ws-fmp4":   {FMP4, "ws", "wss"},
	"hls":       {HLS, "http", "https"},
	"hls-fmp4":  {HLSFMP4, "http", "https"},
}

// SchemaOf is the schema of a session's protocol, by the hub's name for it. One that the dialect does not know is its own.
func SchemaOf(protocol string) Schema {
	if p, known := protocols[protocol]; known {
		return p.schema
	}
	return Schema(protocol)
}

// WireOf is the protocol that a session speaks on the wire.
func WireOf(protocol string, secure bool) string {
	switch p, known := protocols[protocol]; {
	case !known:
		return protocol
	case secure:
		return p.secure
	default:
		return p.plain
	}
}

// Origin is where a stream comes from.
type Origin int

// The origins. Platforms have tables of them, so that there are no others.
const (
	Unknown  Origin = 0
	RTMPPush Origin = 1
	RTSPPush Origin = 2
)

// String is the origin's name.
func (o Origin) String() string {
	switch o {
	case RTMPPush:
		return "rtmp_push"
	case RTSPPush:
		return "rtsp_push"
	case Unknown:
	}
	return "unknown"
}

// OriginOf is the origin of what a publisher sends.
func OriginOf(protocol string) Origin {
	switch SchemaOf(protocol) {
	case RTMP:
		return RTMPPush
	case RTSP:
		return RTSPPush
	case FMP4, TS, HLS, HLSFMP4:
	}
	return Unknown
}

// Serves returns by which protocols of the hub's a stream may be watched, or not, for what is said of schemas; nothing is said of the
// protocols of others.
func Serves(schemas map[Schema]bool) map[string]bool {
	if len(schemas) == 0 {
		return nil
	}
	serves := make(map[string]bool, len(protocols))
	for name, p := range protocols {
		if may, said := schemas[p.schema]; said {
			serves[name] = may
		}
	}
	return serves
}

// ServedAs lists the schemas of a stream, by the terms that hold for it.
func ServedAs(t hub.Terms) []Schema {
	return slices.DeleteFunc(Schemas(), func(s Schema) bool { return !t.ServedBy(canonical(s)) })
}

// canonical is a protocol of the hub's by which a schema is played.
func canonical(s Schema) string {
	switch s {
	case TS:
		return "http-ts"
	case FMP4:
		return "http-fmp4"
	case HLSFMP4:
		return "hls-fmp4"
	case RTSP, RTMP, HLS:
	}
	return string(s)
}
