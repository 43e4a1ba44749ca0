package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/protocol/rtsp"
)

// transport is how media go with RTSP.
type transport string

// The transports, as the tables name them.
const (
	overTCP  transport = "TCP"
	overUDP  transport = "UDP"
	overHTTP transport = "HTTP" // RTSP and media in a tunnel
)

// dialRTSP opens a client of our own.
func dialRTSP(ctx context.Context, rawURL string, over transport) (*rtsp.Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	c := rtsp.NewClient(conn, u)
	if over == overUDP {
		c.UDP()
	}
	return c, nil
}

// publishRTSP publishes units at the speed of their stamps and ends as encoders do. It returns when all have been sent.
func publishRTSP(t testing.TB, s *server, name string, over transport, units []*av.AccessUnit) {
	t.Helper()
	c, err := dialRTSP(t.Context(), s.rtspURL(name), over)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var tracks []*av.Track
	for _, kind := range []av.Kind{av.Video, av.Audio} {
		if track := trackOf(kind, units); track != nil {
			tracks = append(tracks, track)
		}
	}
	if err := c.Publish(t.Context(), tracks); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Listen() // until the server has seen the end
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for began, i := time.Now(), 0; i < len(units); i++ {
		timer.Reset(units[i].DTS - units[0].DTS - time.Since(began))
		<-timer.C
		if err := c.WriteUnit(units[i]); err != nil {
			t.Fatal(err)
		}
	}
	// Datagrams and the last word go different ways.
	if over == overUDP {
		hold(100 * time.Millisecond)
	}
	if err := c.Teardown(); err != nil {
		t.Error(err)
	}
	hold(100 * time.Millisecond)
	_ = c.Conn().Close()
	<-ended
}

// viewRTSP begins to play over RTSP, as view does over others.
func viewRTSP(t testing.TB, rawURL string, over transport) *viewing {
	t.Helper()
	v := &viewing{began: time.Now(), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	v.close = cancel
	t.Cleanup(func() {
		cancel()
		<-v.done
	})
	go func() {
		defer close(v.done)
		if err := v.readRTSP(ctx, rawURL, over); !errors.Is(err, io.EOF) {
			v.mu.Lock()
			v.err = err
			v.mu.Unlock()
		}
	}()
	return v
}

func (v *viewing) readRTSP(ctx context.Context, rawURL string, over transport) error {
	c, err := dialRTSP(ctx, rawURL, over)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.Play(ctx); err != nil {
		return err
	}
	for {
		u, err := c.ReadUnit()
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.units = append(v.units, arrival{u, time.Now()})
		v.mu.Unlock()
	}
}
