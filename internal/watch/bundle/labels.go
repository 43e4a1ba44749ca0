package bundle

import (
	"bytes"
	"slices"
	"strings"
)

// named is whether any goroutine of the dump has labels.
func (d Dump) named() bool {
	return slices.ContainsFunc(d.All, func(g Goroutine) bool { return g.Labels != nil })
}

// name gives goroutines without labels those that the goroutine profile (debug=1) knows for their stack. The profile does not say which
// goroutine has which, so that those that differ only in their labels are told apart by chance: a stack's labels are
// handed out in the profile's order, as often as it counts them.
func (d Dump) name(profile []byte) {
	known := profileLabels(profile)
	for i := range d.All {
		g := &d.All[i]
		k := calls(g.Frames)
		left := known[k]
		if len(left) == 0 || g.Labels != nil {
			continue
		}
		g.Labels = left[0].labels
		if left[0].n--; left[0].n <= 0 {
			known[k] = left[1:]
		}
	}
}

// calls is what a stack is known by in both forms.
func calls(frames []Frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteString(f.Func)
		b.WriteByte('\n')
	}
	return b.String()
}

// labelled is how many goroutines have the same labels.
type labelled struct {
	labels map[string]string
	n      int
}

// profileLabels reads the goroutine profile: labels by stack.
func profileLabels(text []byte) map[string][]labelled {
	known := map[string][]labelled{}
	for record := range bytes.SplitSeq(text, []byte("\n\n")) {
		var labels map[string]string
		var frames []Frame
		n := 0
		for line := range strings.Lines(string(record)) {
			line = strings.TrimRight(line, "\n")
			if l, ok := strings.CutPrefix(line, "# labels: {"); ok {
				labels = readLabels(l)
			} else if f, isFrame := strings.CutPrefix(line, "#\t"); isFrame {
				frames = append(frames, profileFrame(f))
			} else if count, _, isHead := strings.Cut(line, " @ "); isHead {
				n = atoi(count)
			}
		}
		k := calls(frames)
		known[k] = append(known[k], labelled{labels, n})
	}
	return known
}

// profileFrame reads a call: address, function+offset, place.
func profileFrame(line string) Frame {
	_, line, _ = strings.Cut(line, "\t")
	name, _, _ := strings.Cut(line, "\t")
	if i := strings.LastIndex(name, "+0x"); i > 0 {
		name = name[:i]
	}
	return Frame{Func: name}
}
