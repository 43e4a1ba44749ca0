package bundle

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

const cellsShown = 2000 // of each class

// cellsText is all cells by class, those that have been busy for longest first.
func cellsText(all []watch.State) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d loops are watched. busy: for how long the step under way has taken; steps: those that have ended.\n", len(all))
	for _, class := range watch.Classes() {
		var some []watch.State
		for _, s := range all {
			if s.Class == class {
				some = append(some, s)
			}
		}
		cellsOf(&b, class, some)
	}
	return b.Bytes()
}

func cellsOf(b *bytes.Buffer, class watch.Class, all []watch.State) {
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(x, y watch.State) int {
		return cmp.Or(cmp.Compare(y.Busy, x.Busy), cmp.Compare(x.Name, y.Name))
	})
	busy, late, warn := 0, 0, class.Limits().Warn
	for _, s := range all {
		busy += b2i(s.Busy > 0)
		late += b2i(warn > 0 && s.Busy >= warn)
	}
	fmt.Fprintf(b, "\n%s: %d, %d busy, %d for longer than %s\n", class.Name(), len(all), busy, late, age(warn))
	for _, s := range all[:min(len(all), cellsShown)] {
		state := "idle"
		if s.Busy > 0 {
			state = "busy for " + s.Busy.Round(time.Millisecond).String()
		}
		fmt.Fprintf(b, "  %s  session %s  steps %d  %s\n", cmp.Or(s.Name, "-"), cmp.Or(s.Session, "-"), s.Done, state)
	}
	if n := len(all) - cellsShown; n > 0 {
		fmt.Fprintf(b, "  and %d more\n", n)
	}
}
