package httplive

import (
	"runtime"
	"testing"

	"github.com/vigil-media/vigil/internal/protocol/conformance"
)

// No goroutine is left of a request once it plays: shards serve.
func TestGoroutines(t *testing.T) {
	h := conformance.Open(t, Protocol(), conformance.Options{})
	publish(t, h)
	join := func() {
		ask(t, h.MustDial("HTTP"), "GET", "/live/x.live.flv")
		watching(t, h)
	}
	join()
	h.Logged("playing", "ws-flv")
	few := runtime.NumGoroutine() // perhaps one of a request that is about to end
	for range 50 {
		join()
	}
	h.Viewers(102)
	h.Eventually("few goroutines", func() bool { return runtime.NumGoroutine() <= few })
}
