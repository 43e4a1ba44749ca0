package api

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
)

// streamList is the answer of GET /api/v1/streams.
type streamList struct {
	At         time.Time    `json:"at"`
	Publishers int          `json:"publishers"`
	Viewers    int          `json:"viewers"` // those that wait for a stream included
	Streams    []streamView `json:"streams"`
	Waiting    []session    `json:"waiting"` // viewers of streams that nobody publishes
}

type streamView struct {
	Key       string         `json:"key"` // app/name
	VHost     string         `json:"vhost"`
	App       string         `json:"app"`
	Name      string         `json:"name"`
	State     string         `json:"state"` // live; stalled: the publisher sends nothing; lost: it has gone and may be resumed
	Epoch     uint64         `json:"epoch"` // grows with every publisher
	Ready     bool           `json:"ready"` // all tracks are known
	Uptime    float64        `json:"uptime_seconds"`
	BitRate   float64        `json:"bit_rate"` // bits a second, over about the last second
	Received  uint64         `json:"received_bytes"`
	Tracks    []track        `json:"tracks"`
	MIME      string         `json:"mime,omitempty"`    // of its fMP4, with codecs, as browsers ask for it (MediaSource.isTypeSupported)
	Stalled   float64        `json:"stalled_seconds"`   // since the newest unit, when that is more than a second
	Left      float64        `json:"ends_in_seconds"`   // of a stream that is lost, unless it is resumed
	Publisher *session       `json:"publisher"`         // null: it is lost
	Standby   *session       `json:"standby,omitempty"` // who steps in when the publisher stalls
	Viewers   map[string]int `json:"viewers"`           // by protocol
	Sessions  []session      `json:"sessions"`
}

type track struct {
	ID          int     `json:"id"`
	Kind        string  `json:"kind"`
	Codec       string  `json:"codec"`
	CodecString string  `json:"codec_string,omitempty"` // RFC 6381; of codecs that have a place in fMP4
	Description string  `json:"description"`
	Width       int     `json:"width,omitempty"`
	Height      int     `json:"height,omitempty"`
	FPS         float64 `json:"fps,omitempty"` // measured
	GOP         float64 `json:"gop_seconds,omitempty"`
	SampleRate  int     `json:"sample_rate,omitempty"`
	Channels    int     `json:"channels,omitempty"`
	BitRate     float64 `json:"bit_rate"`
	Units       uint64  `json:"units"`
	Bytes       uint64  `json:"bytes"`
	Corrected   uint64  `json:"corrected_stamps"`
	Idle        float64 `json:"idle_seconds"` // since its newest unit
}

type session struct {
	ID       string    `json:"id"` // as in the log
	Protocol string    `json:"protocol"`
	Stream   string    `json:"stream"`
	Remote   string    `json:"remote"`
	Agent    string    `json:"agent,omitempty"`
	Started  time.Time `json:"started"`
	Received uint64    `json:"received_bytes,omitempty"`
	Sent     uint64    `json:"sent_bytes,omitempty"`
	Skips    uint64    `json:"skips,omitempty"`
	Transit  *transit  `json:"transit,omitempty"` // of protocols that count packets
}

// transit is how packets fare on their way.
type transit struct {
	Packets uint64  `json:"packets,omitempty"` // that came from a publisher
	Lost    uint64  `json:"lost_packets"`
	Late    uint64  `json:"late_packets,omitempty"`
	Foreign uint64  `json:"foreign_packets,omitempty"` // from somebody else
	Dropped uint64  `json:"dropped_units,omitempty"`   // because something of them was lost
	Jitter  float64 `json:"jitter_seconds"`
}

func list(s *hub.Snapshot) streamList {
	l := streamList{
		At: s.At, Publishers: s.Publishers, Viewers: s.Viewers,
		Streams: make([]streamView, 0, len(s.Streams)), Waiting: sessions(s.Waiting),
	}
	for i := range s.Streams {
		l.Streams = append(l.Streams, describe(&s.Streams[i], s.At))
	}
	return l
}

func describe(s *hub.StreamInfo, at time.Time) streamView {
	v := streamView{
		Key: s.Key.String(), VHost: s.Key.VHost, App: s.Key.App, Name: s.Key.Name, Epoch: s.Epoch, Ready: s.Ready,
		State: "live", Uptime: at.Sub(s.Started).Seconds(),
		BitRate: s.Stats.BitRate, Received: s.Stats.Bytes,
		Tracks: make([]track, 0, len(s.Stats.Tracks)), Publisher: maybe(s.Publisher),
		Standby: maybe(s.Standby), Left: s.Left.Seconds(),
		Viewers: map[string]int{}, Sessions: sessions(s.Viewers),
	}
	switch {
	case s.Publisher == nil:
		v.State, v.Stalled = "lost", s.Stalled.Seconds()
	case s.Stalled > time.Second:
		v.State, v.Stalled = "stalled", s.Stalled.Seconds()
	}
	tracks := make([]*av.Track, 0, len(s.Stats.Tracks))
	for _, t := range s.Stats.Tracks {
		v.Tracks = append(v.Tracks, describeTrack(t))
		tracks = append(tracks, t.Track)
	}
	v.MIME = fmp4.MIME(fmp4.Select(tracks, nil))
	for _, w := range s.Viewers {
		v.Viewers[w.Protocol]++
	}
	return v
}

func describeTrack(s stream.TrackStats) track {
	t := track{
		ID: s.Track.ID, Kind: s.Track.Kind().String(), Codec: s.Track.Codec.String(), CodecString: fmp4.CodecString(s.Track), Description: s.Track.String(),
		Width: s.Track.Width, Height: s.Track.Height, SampleRate: s.Track.SampleRate, Channels: s.Track.Channels,
		GOP: s.GOP.Seconds(), BitRate: s.BitRate, Units: s.Units, Bytes: s.Bytes, Corrected: s.Corrected, Idle: s.Idle.Seconds(),
	}
	if s.Track.Kind() == av.Video {
		t.FPS = s.Rate
	}
	return t
}

func sessions(infos []hub.SessionInfo) []session {
	out := make([]session, 0, len(infos))
	for _, i := range infos {
		out = append(out, describeSession(i))
	}
	return out
}

// maybe describes a session, if there is one.
func maybe(i *hub.SessionInfo) *session {
	if i == nil {
		return nil
	}
	s := describeSession(*i)
	return &s
}

func describeSession(i hub.SessionInfo) session {
	s := session{
		ID: i.ID, Protocol: i.Protocol, Stream: i.Key.String(), Remote: i.Remote.String(), Agent: i.Agent,
		Started: i.Started, Received: i.Received, Sent: i.Sent, Skips: i.Skips,
	}
	if t := i.Transit; t != nil {
		s.Transit = &transit{t.Packets, t.Lost, t.Late, t.Foreign, t.Dropped, t.Jitter.Seconds()}
	}
	return s
}
