package rtsp

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) { conformance.Run(t, room()) }

// room is this room with its drivers. Of linear PCM the units are not the writer's: packets have what fits into them.
func room() conformance.Room {
	return conformance.Room{
		Protocol: Protocol(), Listener: "RTSP",
		Forms: []conformance.Form{{Name: "interleaved", Codecs: []av.Codec{
			av.H264, av.H265, av.AV1, av.VP8, av.VP9, av.AAC, av.Opus, av.PCMA, av.PCMU, av.G722, av.MP3, av.AC3,
		}}},
		Publish: publishDriver, Play: playDriver,
		Code: func(err error) string {
			if st, ok := errors.AsType[*StatusError](err); ok {
				return strconv.Itoa(st.Code)
			}
			return ""
		},
		Codes: conformance.Codes{
			Busy: "406", PublishDenied: "403",
			NotFound: "404", Denied: "403",
		},
		Hello: []byte("OPTIONS rtsp://test/live/x RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: very slow\r\n\r\n"),
		Tick:  time.Second / 8000, Announced: true,
	}
}

// dialClient connects a client for a visit.
func dialClient(ctx context.Context, v conformance.Visit) (*Client, error) {
	conn, err := v.House.Dial(ctx, "RTSP")
	if err != nil {
		return nil, err
	}
	return NewClient(conn, &url.URL{Scheme: "rtsp", Host: "test", Path: "/" + v.Path, RawQuery: v.Query}), nil
}

// publication is a client that publishes. It implements conformance.Publication.
type publication struct {
	client *Client
	ended  chan error
}

func publishDriver(ctx context.Context, v conformance.Visit) (conformance.Publication, error) {
	c, err := dialClient(ctx, v)
	if err != nil {
		return nil, err
	}
	if err := c.Publish(ctx, v.Tracks); err != nil {
		_ = c.Close()
		return nil, err
	}
	p := &publication{client: c, ended: make(chan error, 1)}
	go func() {
		p.ended <- c.Listen()
		_ = c.Close()
	}()
	return p, nil
}

func (p *publication) Write(u *av.AccessUnit) error { return p.client.WriteUnit(u) }
func (p *publication) End() error                   { return p.client.Teardown() }
func (p *publication) Wait() error                  { return <-p.ended }
func (p *publication) Conn() net.Conn               { return p.client.Conn() }

// playback is a client that plays. It implements conformance.Playback.
type playback struct{ client *Client }

func playDriver(ctx context.Context, v conformance.Visit) (conformance.Playback, error) {
	c, err := dialClient(ctx, v)
	if err != nil {
		return nil, err
	}
	if err := c.Play(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &playback{client: c}, nil
}

func (p *playback) Read() (*av.AccessUnit, error) { return p.client.ReadUnit() }
func (p *playback) Conn() net.Conn                { return p.client.Conn() }
