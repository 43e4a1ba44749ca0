package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
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

// TestWordThenReset: an encoder that says that it is done and breaks its connection at once has ended its stream. Its word counts,
// whatever becomes of the answer.
func TestWordThenReset(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const n = 20
	lost := 0
	for i := range n {
		to := s.target(fmt.Sprint("word-", i))
		p, stop := publishSim(t, to, faults.RTMP, both(0))
		w := watch(t.Context(), to, faults.HTTP)
		within(t, 5*time.Second, "it plays", func() bool { return w.units() > 5 })
		stop()
		if err := p.UnpublishReset(); err != nil {
			t.Fatal(err)
		}
		if !eventually(2*time.Second, w.over) {
			lost++
		}
		w.close()
	}
	if lost > 0 {
		t.Errorf("%d of %d streams whose encoder has said that it is done go on without it", lost, n)
	}
}

// TestSlowChallenger: the time that a peer has to say what it wants does not run while it waits for the answer. One that has needed most
// of it wins its challenge, and publishes.
func TestSlowChallenger(t *testing.T) {
	t.Parallel()
	s := serve(t, "publish.max_silence=10s")
	to := s.target("slow")
	p, stop := publishSim(t, to, faults.RTMP, both(0))
	c, err := net.Dial("tcp", s.rtmp)
	if err != nil {
		t.Fatal(err)
	}
	hold(8500 * time.Millisecond)
	stop()
	if err := p.Vanish(); err != nil {
		t.Fatal(err)
	}
	tcp, _ := c.(*net.TCPConn) // of "tcp"
	next, err := faults.PublishOn(t.Context(), tcp, to, both(1))
	if err != nil {
		t.Fatalf("the newcomer: %v", err)
	}
	for range 10 {
		if err := next.Next(); err != nil {
			t.Errorf("it cannot publish: %v", err)
		}
	}
	_ = next.Close()
}

// TestChallengerLeaves: a challenger that hangs up before its case is decided takes nothing from an owner whose uplink stutters for
// longer than a challenge lasts.
func TestChallengerLeaves(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	for _, how := range []string{"FIN", "RST"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			to := s.target("leaves-" + how)
			p, err := faults.Publish(t.Context(), to, faults.RTMP, both(0))
			if err != nil {
				t.Fatal(err)
			}
			w := watch(t.Context(), to, faults.HTTP)
			defer w.close()
			plays := func(from int) func() bool {
				return func() bool { return p.Next() != nil || w.units() > from+5 }
			}
			within(t, 5*time.Second, "it plays", plays(0)) // and then the uplink stutters
			c, err := net.Dial("tcp", s.rtmp)
			if err != nil {
				t.Fatal(err)
			}
			tcp, _ := c.(*net.TCPConn) // of "tcp"
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			tried := make(chan error, 1)
			go func() {
				_, err := faults.PublishOn(ctx, tcp, to, both(1))
				tried <- err
			}()
			hold(300 * time.Millisecond)
			if how == "RST" {
				_ = tcp.SetLinger(0)
			}
			_ = tcp.Close()
			if err := <-tried; err == nil {
				t.Fatal("it was let in at once")
			}
			hold(2700 * time.Millisecond)
			select {
			case <-p.Ended():
				t.Fatalf("the owner has lost its name to a peer that had gone: %s", p.Told())
			default:
			}
			within(t, 5*time.Second, "the viewer goes on", plays(w.units()))
			if w.over() || w.fault() != nil {
				t.Errorf("the viewer is over %v: %v", w.over(), w.fault())
			}
			_ = p.Unpublish()
		})
	}
}
