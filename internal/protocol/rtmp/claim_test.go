package rtmp

import (
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/sim"
)

// hasty is a publisher that does not wait for the answer to publish.
func hasty(t testing.TB, h *conformance.House, path string) *publisher {
	t.Helper()
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10, Size: 2000, KeySize: 2000})
	c, err := dialClient(t.Context(), visit(h, path, e), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.call("createStream", nil); err != nil {
		t.Fatal(err)
	}
	p := &publication{client: c, form: flv.Enhanced, sent: map[int]*av.Track{}, ended: make(chan error, 1)}
	go p.listen()
	if err := c.command(mediaStream, "publish", nil, c.name, "live"); err != nil {
		t.Fatal(err)
	}
	return &publisher{Publication: p, t: t, enc: e}
}

// What a newcomer sends while the owner is challenged is not lost, whether it is little or more than is read of it.
func TestClaimLosesNothing(t *testing.T) {
	for name, n := range map[string]int{"little": 10, "a second": 200, "too much": 2000} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
				newPublisher(t, h, "live/x").write(10)
				synctest.Wait() // or else one of the ten answers the challenge
				p := hasty(t, h, "live/x")
				var sent atomic.Uint64
				var all atomic.Bool
				go func() {
					for range n {
						u := p.enc.Next()
						if p.Write(u) != nil {
							return
						}
						sent.Add(uint64(u.Size()))
					}
					all.Store(true)
				}()
				time.Sleep(time.Second)
				if all.Load() != (name != "too much") {
					t.Errorf("of one that waits, %d bytes were taken, all of them: %v", sent.Load(), all.Load())
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				streams := h.Hub.Snapshot().Streams
				if len(streams) != 1 || streams[0].Publisher == nil || streams[0].Publisher.Received != sent.Load() {
					t.Fatalf("the stream has got something else than the %d bytes: %+v", sent.Load(), streams)
				}
			})
		})
	}
}

// A newcomer that has gone while it waited, whatever it has said, leaves the owner alone.
func TestClaimIsLeft(t *testing.T) {
	for name, n := range map[string]int{"a word": 1, "much": 300} {
		t.Run(name, func(t *testing.T) {
			bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
				owner := newPublisher(t, h, "live/x")
				owner.write(10)
				synctest.Wait()
				p := hasty(t, h, "live/x")
				go func() {
					for range n {
						if p.Write(p.enc.Next()) != nil {
							return
						}
					}
				}()
				time.Sleep(time.Second)
				_ = p.client().Close()
				time.Sleep(3 * time.Second)
				owner.write(10)
				h.Logged("stopped waiting to publish", errPeer.Error())
				h.Publishers(1)
			})
		})
	}
}

// A publisher that says that it is done has ended its stream at that moment, though it does not read the answer.
func TestWordWithoutEars(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		e := sim.New(sim.Options{Video: av.H264, GOP: 10})
		c, err := dialClient(t.Context(), visit(h, "live/x", e), true)
		if err == nil {
			err = c.Publish(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		p := publication{client: c, form: flv.Enhanced, sent: map[int]*av.Track{}} // nobody reads from here on
		for range 10 {
			if err := p.Write(e.Next()); err != nil {
				t.Fatal(err)
			}
		}
		go func() { _ = c.Unpublish() }()
		synctest.Wait()
		if s := h.Hub.Snapshot(); len(s.Streams) != 0 || s.Publishers != 0 {
			t.Errorf("it goes on: %+v", s.Streams)
		}
		h.Logged("stopped publishing", "the peer deleted the stream")
	})
}

// What a publisher does not hear does not end it, and does not keep its word from counting.
func TestWordAfterDeafness(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		e := sim.New(sim.Options{Video: av.H264, GOP: 10})
		c, err := dialClient(t.Context(), visit(h, "live/x", e), true)
		if err == nil {
			err = c.Publish(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		p := publication{client: c, form: flv.Enhanced, sent: map[int]*av.Track{}} // nobody reads from here on
		for range 10 {
			if err := p.Write(e.Next()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.conn.Write(chunk.AppendUserControl(nil, chunk.EventPingRequest, 1)); err != nil {
				t.Fatal(err)
			}
			_ = c.command(0, "unheard-of")
		}
		go func() { _ = c.Unpublish() }()
		h.Logged("stopped publishing", "the peer deleted the stream")
		if s := h.Hub.Snapshot(); len(s.Streams) != 0 {
			t.Errorf("it goes on: %+v", s.Streams)
		}
	})
}

// While nobody new is let in for want of memory, who does not come to the point is ended after a second, and who publishes is not. Later
// there is as much time as ever.
func TestSetupWithoutMemory(t *testing.T) {
	bubble(t, conformance.Options{}, func(t *testing.T, h *conformance.House) {
		pub := newPublisher(t, h, "live/x")
		pub.write(10)
		lasts := func() time.Duration {
			begin := time.Now()
			conn := h.MustDial("RTMP")
			_ = conn.SetDeadline(time.Time{})
			_, _ = io.Copy(io.Discard, conn)
			return time.Since(begin)
		}
		h.Hub.SetPressure(hub.Refuse)
		if took := lasts(); took < time.Second || took > 1500*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
		h.Logged("connection closed", errMemory.Error())
		pub.write(10)
		h.Publishers(1)
		h.Hub.SetPressure(hub.Calm)
		if took := lasts(); took != 10*time.Second {
			t.Errorf("ended after %v though there is memory", took)
		}
	})
}
