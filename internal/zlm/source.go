package zlm

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
)

// Decimal is a number that is written with a decimal point, "25.0", as clients of C++ JSON are used to, and with four places at most.
type Decimal float64

// MarshalJSON implements json.Marshaler. What is no number is 0.
func (d Decimal) MarshalJSON() ([]byte, error) {
	const places = 1e4
	f := math.Round(float64(d)*places) / places
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	text := strconv.AppendFloat(nil, f, 'f', -1, 64)
	if !bytes.ContainsRune(text, '.') {
		text = append(text, '.', '0')
	}
	return text, nil
}

// Tuple names a stream.
type Tuple struct {
	VHost  string `json:"vhost"`
	App    string `json:"app"`
	Stream string `json:"stream"`
	Params string `json:"params"` // the query of its publisher; may hold secrets
}

// TupleOf is the name of a session's stream, with the query that it came with.
func TupleOf(s *hub.SessionInfo) Tuple {
	return Tuple{s.Key.VHost, s.Key.App, s.Key.Name, s.Query}
}

// Socket is the two ends of a session's connection.
type Socket struct {
	Identifier string `json:"identifier"` // the session's id
	LocalIP    string `json:"local_ip"`
	LocalPort  int    `json:"local_port"`
	PeerIP     string `json:"peer_ip"`
	PeerPort   int    `json:"peer_port"`
}

// SocketOf describes a session's connection.
func SocketOf(s *hub.SessionInfo) Socket {
	return Socket{s.ID, IP(s.Local), int(s.Local.Port()), IP(s.Remote), int(s.Remote.Port())}
}

// IP is the text of an address; "" of none.
func IP(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().String()
}

// Track describes a track.
type Track struct {
	Codec     int    `json:"codec_id"`
	CodecName string `json:"codec_id_name"`
	Type      int    `json:"codec_type"` // 0: video, 1: audio
	Ready     bool   `json:"ready"`
	Frames    uint64 `json:"frames"`
	Duration  int64  `json:"duration"` // ms

	*Sound
	*Picture
	Loss Decimal `json:"loss"` // of 1; -1: unknown
}

// Sound is what only tracks of sound have.
type Sound struct {
	SampleRate int `json:"sample_rate"`
	Channels   int `json:"channels"`
	SampleBit  int `json:"sample_bit"`
}

// Picture is what only tracks of pictures have.
type Picture struct {
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	FPS       Decimal `json:"fps"`
	KeyFrames uint64  `json:"key_frames"`
	GOPSize   int     `json:"gop_size"`
	GOP       int64   `json:"gop_interval_ms"`
}

// codecs is the dialect's numbers and names. A codec without a line is none that ZLMediaKit has.
//
//nolint:gochecknoglobals // a constant table
var codecs = map[av.Codec]struct {
	id   int
	name string
}{
	av.H264: {0, "H264"}, av.H265: {1, "H265"}, av.AAC: {2, "mpeg4-generic"}, av.PCMA: {3, "PCMA"}, av.PCMU: {4, "PCMU"},
	av.Opus: {5, "opus"}, av.L16: {6, "L16"}, av.VP8: {7, "VP8"}, av.VP9: {8, "VP9"}, av.AV1: {9, "AV1"}, av.MJPEG: {10, "JPEG"},
	av.MP3: {14, "MP3"}, av.G722: {18, "G722"},
}

// Tracks describes the tracks of a stream that the dialect has a place for: sound and pictures. loss is the share of the publisher's
// packets that were lost; -1: unknown.
func Tracks(stats []stream.TrackStats, loss float64) []Track {
	out := []Track{}
	for i := range stats {
		s := &stats[i]
		t := Track{Codec: -1, CodecName: s.Track.Codec.String(), Ready: true, Frames: s.Units, Duration: s.Span.Milliseconds(), Loss: Decimal(loss)}
		if c, known := codecs[s.Track.Codec]; known {
			t.Codec, t.CodecName = c.id, c.name
		}
		switch s.Track.Kind() {
		case av.Video:
			t.Picture = &Picture{
				Width: s.Track.Width, Height: s.Track.Height, FPS: Decimal(rate(s)), KeyFrames: s.Keys, GOPSize: s.GOPUnits, GOP: s.GOP.Milliseconds(),
			}
		case av.Audio:
			t.Type, t.Sound = 1, &Sound{s.Track.SampleRate, s.Track.Channels, depth(s.Track)}
		case av.Data:
			continue
		}
		out = append(out, t)
	}
	return out
}

// rate is the frame rate that the encoder has declared, or else what the newest group of pictures shows: a whole number, as the dialect's.
func rate(s *stream.TrackStats) float64 {
	switch {
	case s.Track.FrameRate > 1:
		return math.Round(s.Track.FrameRate)
	case s.GOP > 0:
		return math.Round(float64(s.GOPUnits) / s.GOP.Seconds())
	}
	return math.Round(s.Rate)
}

// depth is the bits of a sample. Of codecs that have none, ZLMediaKit says 16.
func depth(t *av.Track) int {
	if t.BitDepth > 0 {
		return t.BitDepth
	}
	const usual = 16
	return usual
}

// Source is the object that describes a stream in one schema.
type Source struct {
	Schema Schema `json:"schema"`
	Tuple
	Created      int64   `json:"createStamp"` // unix seconds
	Alive        int64   `json:"aliveSecond"`
	Speed        int64   `json:"bytesSpeed"` // bytes a second
	Bytes        uint64  `json:"totalBytes"`
	Readers      int     `json:"readerCount"`      // by this schema
	TotalReaders int     `json:"totalReaderCount"` // by all
	Origin       Origin  `json:"originType"`
	OriginName   string  `json:"originTypeStr"`
	OriginURL    string  `json:"originUrl"`
	RecordsMP4   bool    `json:"isRecordingMP4"`
	RecordsHLS   bool    `json:"isRecordingHLS"`
	Socket       *Socket `json:"originSock"` // null: its publisher is lost, and may come back
	Tracks       []Track `json:"tracks"`
}

// Sources describes a stream in all its schemas, at a time.
func Sources(s *hub.StreamInfo, at time.Time) []Source {
	return AppendSources(nil, s, at, "")
}

// AppendSources appends what describes a stream in one of its schemas, or, for "", in all of them.
func AppendSources(out []Source, s *hub.StreamInfo, at time.Time, only Schema) []Source {
	base, from := source(s, at), len(out)
	for _, schema := range ServedAs(s.Terms) {
		if only == "" || schema == only {
			base.Schema = schema
			out = append(out, base)
		}
	}
	for i := range s.Viewers {
		watched := SchemaOf(s.Viewers[i].Protocol)
		for j := from; j < len(out); j++ {
			if out[j].Schema == watched {
				out[j].Readers++
			}
		}
	}
	return out
}

// source is what is the same in all schemas.
func source(s *hub.StreamInfo, at time.Time) Source {
	out := Source{
		Tuple:   Tuple{VHost: s.Key.VHost, App: s.Key.App, Stream: s.Key.Name},
		Created: s.Started.Unix(), Alive: int64(max(0, at.Sub(s.Started)).Seconds()), Speed: int64(s.Stats.BitRate / 8), Bytes: s.Stats.Bytes, //nolint:mnd // bits
		TotalReaders: len(s.Viewers),
	}
	loss := -1.0
	if p := s.Origin; p != nil {
		out.Tuple, out.Origin = TupleOf(p), OriginOf(p.Protocol)
		out.OriginURL = originURL(out.Tuple, SchemaOf(p.Protocol))
		if t := p.Transit; t != nil && t.Packets+t.Lost > 0 {
			loss = float64(t.Lost) / float64(t.Packets+t.Lost)
		}
	}
	if s.Publisher != nil {
		sock := SocketOf(s.Publisher)
		out.Socket = &sock
	}
	out.OriginName, out.Tracks = out.Origin.String(), Tracks(s.Stats.Tracks, loss)
	return out
}

func originURL(t Tuple, s Schema) string {
	url := string(s) + "://" + t.VHost + "/" + t.App + "/" + t.Stream
	if t.Params != "" {
		url += "?" + t.Params
	}
	return url
}

var _ json.Marshaler = Decimal(0)
