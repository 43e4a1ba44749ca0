package api

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
)

// sums is a list without streams and sessions, which takes no snapshot: it costs the same however many there are.
func (a *API) sums() streamList {
	l := streamList{At: time.Now(), Streams: []streamView{}, Waiting: []session{}}
	l.Publishers, l.Viewers = a.opt.Counts()
	return l
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
