package rtmp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) { conformance.Run(t, room()) }

// room is this room with its drivers.
func room() conformance.Room {
	modern := []av.Codec{av.AC3, av.FLAC} // without a number
	legacy := slices.DeleteFunc(slices.Clone(Protocol().Play), func(c av.Codec) bool { return slices.Contains(modern, c) })
	return conformance.Room{
		Protocol: Protocol(), Listener: "RTMP",
		Forms: []conformance.Form{
			{Name: "enhanced", Codecs: Protocol().Play},
			{Name: "legacy", Settings: []string{"rtmp.form=legacy"}, Codecs: legacy},
		},
		Publish: publishDriver, Play: playDriver,
		Code: func(err error) string {
			if st, ok := errors.AsType[*StatusError](err); ok {
				return st.Code
			}
			return ""
		},
		Codes: conformance.Codes{
			Busy: "NetStream.Publish.BadName", PublishDenied: "NetStream.Publish.BadAuth",
			Replaced: "NetStream.Publish.BadName", Silent: "NetStream.Publish.Failed", Kicked: "NetStream.Publish.Failed",
			NotFound: "NetStream.Play.StreamNotFound", Denied: "NetStream.Play.BadAuth",
		},
		Hello: append([]byte{3}, make([]byte, 1536)...),
	}
}

// dialClient connects a client for a visit.
func dialClient(ctx context.Context, v conformance.Visit, digest bool) (*Client, error) {
	conn, err := v.House.Dial(ctx, "RTMP")
	if err != nil {
		return nil, err
	}
	return NewClient(ctx, conn, &url.URL{Scheme: "rtmp", Host: "test", Path: "/" + v.Path, RawQuery: v.Query}, digest)
}

// publication is a client that publishes. It implements conformance.Publication.
type publication struct {
	client *Client
	form   flv.Form
	sent   map[int]*av.Track
	ended  chan error
}

func formOf(name string) (f flv.Form) {
	_ = f.UnmarshalText([]byte(name)) // there are two
	return f
}

func publishDriver(ctx context.Context, v conformance.Visit) (conformance.Publication, error) {
	c, err := dialClient(ctx, v, true)
	if err != nil {
		return nil, err
	}
	if err := c.Publish(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	p := &publication{client: c, form: formOf(v.Form), sent: map[int]*av.Track{}, ended: make(chan error, 1)}
	go p.listen()
	video, audio := p.form.Select(v.Tracks)
	return p, c.WriteTag(flv.Tag{Type: flv.ScriptTag, Body: p.form.AppendMetadata(nil, video, audio)})
}

// listen reads what the server says, as every client must.
func (p *publication) listen() {
	err := p.client.await(func(r command) (bool, error) {
		if r.name != "onStatus" {
			return false, nil
		}
		if st := r.status(); st.Code != "NetStream.Unpublish.Success" {
			return false, st
		}
		return false, nil
	})
	p.ended <- err
	_, _ = io.Copy(io.Discard, p.client.conn)
	_ = p.client.Close()
}

func (p *publication) Write(u *av.AccessUnit) error {
	ms := flv.Milliseconds(u.DTS)
	if p.sent[u.Track.ID] != u.Track {
		p.sent[u.Track.ID] = u.Track
		if b := p.form.AppendConfig(nil, u.Track); len(b) > 0 {
			if err := p.client.WriteTag(flv.Tag{Type: flv.TypeFor(u.Track.Kind()), Time: ms, Body: b}); err != nil {
				return err
			}
		}
	}
	return p.client.WriteTag(flv.Tag{Type: flv.TypeFor(u.Track.Kind()), Time: ms, Body: p.form.AppendUnit(nil, u)})
}

func (p *publication) End() error     { return p.client.Unpublish() }
func (p *publication) Wait() error    { return <-p.ended }
func (p *publication) Conn() net.Conn { return p.client.Conn() }

// playback is a client that plays. It implements conformance.Playback.
type playback struct {
	client  *Client
	demuxer flv.Demuxer
	units   []*av.AccessUnit
}

func playDriver(ctx context.Context, v conformance.Visit) (conformance.Playback, error) {
	c, err := dialClient(ctx, v, false)
	if err != nil {
		return nil, err
	}
	if err := c.Play(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &playback{client: c}, nil
}

func (p *playback) Read() (*av.AccessUnit, error) {
	for len(p.units) == 0 {
		tag, err := p.client.ReadTag()
		if err != nil {
			return nil, err
		}
		units, err := p.demuxer.Demux(tag)
		if err != nil {
			return nil, err
		}
		p.units = append(p.units, units...)
	}
	u := p.units[0]
	p.units = p.units[1:]
	return u, nil
}

func (p *playback) Conn() net.Conn { return p.client.Conn() }
