package supervise

import (
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

func TestBeat(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	var class watch.Class
	p := &watch.Pulse{
		Scan: 7, Cells: 1, Busy: 2, Moved: 3, Stuck: 4, Pauses: 5, Starved: true,
		Worst:  watch.Culprit{Label: &watch.Label{Class: class, Name: "live/cam1", Session: "7f3a"}, Age: time.Second},
		Doomed: watch.Culprit{Label: &watch.Label{Class: class, Name: long}, Age: 2 * time.Second},
	}
	for _, v := range []Vitals{{}, {Open: true}, {Overloaded: true}, {Draining: true}, {true, true, true}} {
		var b [beatBytes]byte
		encodeBeat(&b, p, v)
		want := beat{
			Scan: 7, Cells: 1, Busy: 2, Moved: 3, Stuck: 4, Pauses: 5, Starved: true, Vitals: v,
			Worst: class.Name() + " live/cam1 7f3a", WorstAge: time.Second,
			Doomed: (class.Name() + " " + long)[:nameBytes], DoomedAge: 2 * time.Second,
		}
		if got := decodeBeat(&b); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	var b [beatBytes]byte
	encodeBeat(&b, &watch.Pulse{}, Vitals{})
	if got := decodeBeat(&b); got != (beat{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// TestBeatAllocates nothing: the guard sends it, when there may be no memory left.
func TestBeatAllocates(t *testing.T) {
	var b [beatBytes]byte
	p := &watch.Pulse{Worst: watch.Culprit{Label: &watch.Label{Name: "hub", Session: "1"}}}
	if n := testing.AllocsPerRun(100, func() { encodeBeat(&b, p, Vitals{Open: true}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
