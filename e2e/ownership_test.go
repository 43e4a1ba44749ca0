package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/sim"
)

// refusal returns the status code of an error.
func refusal(err error) string {
	if status, ok := errors.AsType[*rtmp.StatusError](err); ok {
		return status.Code
	}
	return ""
}

// TestSecondPublisher is refused, and the first one's viewers notice nothing.
func TestSecondPublisher(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m")
	units := unitsOf(t, clipAAC)
	v := view(t, s.rtmpURL("owned"))
	s.awaitWaiting(t, "owned", 1)
	p := publish(t, s, "owned", flv.Enhanced, trackOf(av.Video, units), trackOf(av.Audio, units))
	second := make(chan error, 1)
	timer := time.AfterFunc(time.Second, func() {
		c, err := tryDial(t.Context(), s.rtmpURL("owned"))
		if err == nil {
			err = c.Publish(t.Context())
			c.Close()
		}
		second <- err
	})
	defer timer.Stop()
	if err := p.pace(t.Context(), units); err != nil {
		t.Fatal(err)
	}
	p.end()
	if err := <-second; refusal(err) != "NetStream.Publish.BadName" {
		t.Errorf("the second publisher: %v", err)
	}
	if n := len(v.wait(t, 10*time.Second)); n < len(units)-joinLoss {
		t.Errorf("%d units of %d", n, len(units))
	}
	// ffmpeg is refused with an exit code.
	stop := broadcast(t, s, "owned", sim.Options{Video: av.H264, Audio: av.AAC})
	f, _ := publishFFmpeg(t, s, clipAAC, "owned")
	if code := f.wait(t, 15*time.Second); code == 0 {
		t.Error("ffmpeg thinks that it has published")
	}
	stop()
}

// TestTakeover replaces a publisher: ffmpeg's viewers stay attached and play on.
func TestTakeover(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m", "publish.on_conflict=takeover")
	units := unitsOf(t, clipAAC)
	video, audio := trackOf(av.Video, units), trackOf(av.Audio, units)
	urls := []string{s.rtmpURL("take"), s.flvURL("take")}
	judges := make([]*process, len(urls))
	for i, url := range urls {
		judges[i] = start(t, "ffprobe", probeArgs(url)...)
	}
	s.awaitWaiting(t, "take", len(urls))
	first := publish(t, s, "take", flv.Enhanced, video, audio)
	half := units[:len(units)/2]
	if err := first.pace(t.Context(), half); err != nil {
		t.Fatal(err)
	}
	second := publish(t, s, "take", flv.Enhanced, video, audio)
	if err := second.pace(t.Context(), units); err != nil {
		t.Fatal(err)
	}
	if err := first.trySend(0, units[0]); err == nil {
		// What was sent may still lie in the socket; the connection itself must be over.
		within(t, 5*time.Second, "the first publisher's connection ends", func() bool {
			return first.trySend(0, units[1]) != nil
		})
	}
	second.end()
	want := len(only(av.Video, half)) + len(only(av.Video, units))
	for i, p := range judges {
		p.succeed(t, playLimit)
		r := parseProbe(t, p.out.String())
		r.ordered(t)
		if n := len(r.samples["video"]); n != want {
			t.Errorf("%s: %d pictures, the two publishers sent %d", urls[i], n, want)
		}
	}
}

// TestNobodyPublishes: who waits in vain is told so.
func TestNobodyPublishes(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=300ms")
	c := dial(t, s.rtmpURL("nothing"))
	if err := c.Play(t.Context()); refusal(err) != "NetStream.Play.StreamNotFound" {
		t.Errorf("RTMP: %v", err)
	}
	wantFailure(t, s.request(t, http.MethodGet, "/live/nothing.live.flv", nil), http.StatusNotFound, "not-found")
}
