package hls

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/mpegts"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

func TestConformance(t *testing.T) {
	both := []av.Codec{av.H264, av.H265, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3, av.AC3}
	for _, c := range []struct {
		name, list string
		low        bool
		room       conformance.Room
	}{
		{"ts", "/hls.m3u8", false, conformance.Room{
			Forms: []conformance.Form{{Name: "ts", Codecs: both}}, Tick: time.Second / mpegts.Rate, Behind: 1700 * time.Millisecond,
		}},
		{"fmp4", "/hls.fmp4.m3u8", true, conformance.Room{
			Forms: []conformance.Form{{Name: "fmp4", Codecs: append(both, av.AV1, av.VP9, av.FLAC)}},
			Tick:  time.Second / 8000, Behind: 400 * time.Millisecond,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.room
			r.Protocol, r.Listener, r.Decodes, r.Code = Protocol(), "HTTP", true, codeOf
			r.Settings = []string{"hls.segment=1s", "hls.part=100ms"}
			r.Hello = []byte("GET /live/x/hls.m3u8 HTTP/1.1\r\nHost: test\r\n\r\n")
			r.Codes = conformance.Codes{NotFound: "404", Denied: "403"}
			r.Play = func(ctx context.Context, v conformance.Visit) (conformance.Playback, error) {
				return play(ctx, v, c.list, c.low)
			}
			conformance.Run(t, r)
		})
	}
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*m3u8.StatusError](err); ok {
		return strconv.Itoa(e.Code)
	}
	return ""
}

// playback is a player. It implements conformance.Playback.
type playback struct {
	conn   *asking
	player *m3u8.Player
	units  *m3u8.Units
	first  []*av.AccessUnit
}

// asking stands for the connection of a player, which has none that lasts: to close it is to ask no more.
type asking struct {
	net.Conn
	transport *http.Transport
	ctx       context.Context // the player's life
	cancel    context.CancelFunc

	mu       sync.Mutex
	deadline time.Time
}

// Close implements net.Conn.
func (a *asking) Close() error {
	a.cancel()
	a.transport.CloseIdleConnections()
	return nil
}

// SetReadDeadline implements net.Conn.
func (a *asking) SetReadDeadline(at time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deadline = at
	return nil
}

// play is the driver: it is let in when there is something to play.
func play(ctx context.Context, v conformance.Visit, list string, low bool) (*playback, error) {
	target := "http://test/" + v.Path + list
	if v.Query != "" {
		target += "?" + v.Query
	}
	a := &asking{transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return v.House.Dial(ctx, "HTTP") }}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	v.House.Guest(func() { _ = a.Close() })
	player, err := m3u8.NewPlayer(target, m3u8.Options{
		Client: &http.Client{Transport: a.transport}, FromStart: true, LowLatency: low, Preload: low, Slack: -1,
	})
	if err != nil {
		return nil, err
	}
	p := &playback{conn: a, player: player, units: m3u8.NewUnits(player)}
	stop := context.AfterFunc(ctx, a.cancel)
	defer stop()
	u, err := p.units.Next(a.ctx)
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	p.first = []*av.AccessUnit{u}
	return p, nil
}

// Conn implements conformance.Playback.
func (p *playback) Conn() net.Conn { return p.conn }

// Read implements conformance.Playback.
func (p *playback) Read() (*av.AccessUnit, error) {
	if len(p.first) > 0 {
		u := p.first[0]
		p.first = nil
		return u, nil
	}
	p.conn.mu.Lock()
	ctx, cancel := context.WithDeadline(p.conn.ctx, p.conn.deadline)
	p.conn.mu.Unlock()
	defer cancel()
	u, err := p.units.Next(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, os.ErrDeadlineExceeded
	}
	for _, problem := range m3u8.Musts(p.player.Problems(), "window", "unavailable") {
		return nil, errors.New(problem.String())
	}
	return u, err
}
