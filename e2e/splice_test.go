package e2e

import (
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/sim"
)

// Who joins a moment after another publisher has gone on with a stream is told at once of all tracks, as who joined before it was, though
// the sound comes a little later than the pictures.
func TestHeadAfterSplice(t *testing.T) {
	t.Parallel()
	const flags = 5 // bytes of an FLV header up to and with the one that says what there is
	s := serve(t)
	to := s.target("head")
	p, stop := publishSim(t, to, faults.RTMP, both(0))
	w := watch(t.Context(), to, faults.HTTP)
	defer w.close()
	within(t, 5*time.Second, "it plays", func() bool { return w.units() > 5 })
	first := firstBytes(t, s.flvURL("head"), flags)
	stop()
	_ = p.Reset()
	hold(200 * time.Millisecond)
	if again := firstBytes(t, s.flvURL("head"), flags); first[flags-1] != again[flags-1] {
		t.Errorf("the head's flags are %d, while the publisher is lost %d", first[flags-1], again[flags-1])
	}

	e := sim.New(both(1))
	q := publish(t, s, "head", flv.Enhanced, trackAmong(av.Video, e.Tracks()), trackAmong(av.Audio, e.Tracks()))
	q.send(0, only(av.Video, e.Take(1))...)
	hold(100 * time.Millisecond)
	second := make(chan byte)
	go func() {
		defer close(second)
		second <- firstBytes(t, s.flvURL("head"), flags)[flags-1]
	}()
	hold(300 * time.Millisecond)
	q.send(0, e.Take(20)...)
	if got := <-second; first[flags-1] != got {
		t.Errorf("the head's flags are %d, after the splice %d", first[flags-1], got)
	}
	q.end()
}
