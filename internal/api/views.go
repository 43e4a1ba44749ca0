package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// streamList is the answer of GET /api/v1/streams.
type streamList struct {
	At         time.Time    `json:"at" doc:"When this was so; counters may be a second older"`
	Publishers int          `json:"publishers" doc:"How many publish"`
	Viewers    int          `json:"viewers" doc:"How many watch, those that wait for a stream included"`
	Streams    []streamView `json:"streams" nullable:"false" doc:"All streams, sorted by key"`
	Waiting    []session    `json:"waiting" nullable:"false" doc:"Viewers of streams that nobody publishes"`
}

// streamView is one stream.
type streamView struct {
	Key       string         `json:"key" doc:"app/name" example:"live/cam1"`
	VHost     string         `json:"vhost" doc:"Virtual host"`
	App       string         `json:"app" doc:"First level of the key"`
	Name      string         `json:"name" doc:"The rest of the key, which may have slashes"`
	State     string         `json:"state" enum:"live,stalled,lost" doc:"stalled: the publisher sends nothing; lost: it has gone, and the stream may be resumed"`
	Epoch     uint64         `json:"epoch" doc:"Grows with every publisher; 0: there is none"`
	Ready     bool           `json:"ready" doc:"All tracks are known: it can be watched"`
	Uptime    float64        `json:"uptime_seconds" doc:"Since its first publisher came"`
	BitRate   float64        `json:"bit_rate" doc:"Bits a second, over about the last second"`
	Received  uint64         `json:"received_bytes" doc:"Bytes of media that came"`
	Tracks    []track        `json:"tracks" nullable:"false" doc:"Its tracks"`
	MIME      string         `json:"mime,omitempty" doc:"Media type of its fMP4, with codecs, as browsers ask for it (MediaSource.isTypeSupported)"`
	Stalled   float64        `json:"stalled_seconds" doc:"Since the newest unit, when that is more than a second"`
	Left      float64        `json:"ends_in_seconds" doc:"Of a stream that is lost: when it ends, unless it is resumed"`
	Publisher *session       `json:"publisher" doc:"Who publishes; null: it is lost"`
	Standby   *session       `json:"standby,omitempty" doc:"Who steps in when the publisher stalls"`
	Viewers   map[string]int `json:"viewers" doc:"How many watch, by protocol"`
	Sessions  []session      `json:"sessions" nullable:"false" doc:"The viewers, those first that came first"`
}

// TransformSchema implements huma.SchemaTransformer: a publisher may be null, which huma cannot say of what has a schema of its own.
func (streamView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	p := s.Properties["publisher"]
	s.Properties["publisher"] = &huma.Schema{Description: p.Description, AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
	return s
}

// track is one track of a stream.
type track struct {
	ID          int     `json:"id" doc:"Number of the track in its stream"`
	Kind        string  `json:"kind" doc:"video, audio or data"`
	Codec       string  `json:"codec" doc:"Name of the codec" example:"H264"`
	CodecString string  `json:"codec_string,omitempty" doc:"RFC 6381; of codecs that have a place in fMP4" example:"avc1.64000d"`
	Description string  `json:"description" doc:"All of it in a line, for people"`
	Width       int     `json:"width,omitempty" doc:"Pixels"`
	Height      int     `json:"height,omitempty" doc:"Pixels"`
	FPS         float64 `json:"fps,omitempty" doc:"Pictures a second, measured"`
	GOP         float64 `json:"gop_seconds,omitempty" doc:"Between the newest two key pictures"`
	SampleRate  int     `json:"sample_rate,omitempty" doc:"Hertz"`
	Channels    int     `json:"channels,omitempty" doc:"Of sound"`
	BitRate     float64 `json:"bit_rate" doc:"Bits a second, over about the last second"`
	Units       uint64  `json:"units" doc:"Pictures or frames of sound that came"`
	Bytes       uint64  `json:"bytes" doc:"Bytes that came"`
	Corrected   uint64  `json:"corrected_stamps" doc:"Time stamps that had to be changed"`
	Idle        float64 `json:"idle_seconds" doc:"Since its newest unit"`
}

// session is one publisher or viewer.
type session struct {
	ID       string    `json:"id" doc:"As in the log"`
	Action   string    `json:"action,omitempty" enum:"publish,standby,play,waiting" doc:"What it does. Said under /sessions only: elsewhere its place says it"`
	Protocol string    `json:"protocol" doc:"Name of its protocol"`
	Stream   string    `json:"stream" doc:"Key of its stream: app/name"`
	Remote   string    `json:"remote" doc:"The peer's address and port"`
	Local    string    `json:"local,omitempty" doc:"Our end of the connection. Said under /sessions only"`
	Agent    string    `json:"agent,omitempty" doc:"What the peer says it is. Do not trust it"`
	Started  time.Time `json:"started" doc:"When it came"`
	Received uint64    `json:"received_bytes,omitempty" doc:"Bytes of media from a publisher"`
	Sent     uint64    `json:"sent_bytes,omitempty" doc:"Bytes handed to a viewer's socket"`
	Skips    uint64    `json:"skips,omitempty" doc:"How often a viewer had to jump forward"`
	Transit  *transit  `json:"transit,omitempty" doc:"How its packets fare, of protocols that count them"`
}

// transit is how packets fare on their way.
type transit struct {
	Packets uint64  `json:"packets,omitempty" doc:"That came from a publisher"`
	Lost    uint64  `json:"lost_packets" doc:"That did not come"`
	Late    uint64  `json:"late_packets,omitempty" doc:"That came when it was too late for them"`
	Foreign uint64  `json:"foreign_packets,omitempty" doc:"That came from somebody else, and were dropped"`
	Dropped uint64  `json:"dropped_units,omitempty" doc:"Units that could not be used, because something of them was lost"`
	Jitter  float64 `json:"jitter_seconds" doc:"RFC 3550, 6.4.1"`
}

// done is the answer to a command.
type done struct {
	Status string `json:"status" enum:"ended" doc:"It is gone"`
}
