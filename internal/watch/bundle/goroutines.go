package bundle

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	goroutinesMax = 200_000 // that are read from a dump
	framesMax     = 100     // of a stack
	namesMost     = 8       // tasks and numbers that are listed of a group
)

// Frame is a call on a stack.
type Frame struct {
	Func  string // with the path of its package
	Args  string // as the runtime prints them: hexadecimal words, "..." when the call was inlined
	Place string // file:line
}

// Goroutine is one of a dump.
type Goroutine struct {
	ID     int64
	State  string            // what it waits for, in the runtime's words: "chan receive", "sync.Mutex.Lock"
	Wait   time.Duration     // for how long at least: the runtime tells whole minutes, counted from a garbage collection
	Labels map[string]string // "task" is the name that it was started with. nil: the dump has none
	Frames []Frame           // the newest first
	By     string            // the function that started it
}

// Task is the name that it was started with; "" when nobody knows.
func (g *Goroutine) Task() string { return g.Labels["task"] }

// String names it in a sentence.
func (g *Goroutine) String() string {
	if t := g.Task(); t != "" {
		return fmt.Sprintf("goroutine %d (task %q)", g.ID, t)
	}
	return fmt.Sprintf("goroutine %d", g.ID)
}

// Goroutines reads the stacks of all goroutines from what the Go runtime writes when it crashes or is asked, whatever else stands around
// them. The runtime names the tasks there only when the process was started with GODEBUG=tracebacklabels=1.
func Goroutines(text []byte) Dump {
	var all []Goroutine
	var g *Goroutine
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case bytes.HasPrefix(line, []byte("goroutine ")):
			g = nil
			if got, ok := header(string(line)); ok && len(all) < goroutinesMax {
				all = append(all, got)
				g = &all[len(all)-1]
			}
		case len(line) == 0:
			g = nil
		case g != nil:
			g.frame(string(line))
		}
	}
	return Dump{All: all}
}

// header reads the first line: goroutine 7 gp=0xc0 m=nil [select, 3 minutes, locked to thread labels:{"task": "hub"}]:
func header(line string) (g Goroutine, ok bool) {
	line, ok = strings.CutSuffix(strings.TrimPrefix(line, "goroutine "), "]:")
	number, what, open := strings.Cut(line, " [")
	if !ok || !open {
		return g, false
	}
	number, _, _ = strings.Cut(number, " ")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return g, false
	}
	what, labels, _ := strings.Cut(what, " labels:{")
	g.ID, g.Labels = id, readLabels(labels)
	for i, word := range strings.Split(what, ", ") {
		n, isWait := strings.CutSuffix(word, " minutes")
		switch {
		case i == 0:
			g.State = word
		case isWait:
			minutes, _ := strconv.Atoi(n) // 0 when it is no number
			g.Wait = time.Duration(minutes) * time.Minute
		}
	}
	return g, true
}

// readLabels reads "key": "value", "key":"value".
func readLabels(text string) map[string]string {
	var labels map[string]string
	for len(labels) < namesMost {
		key, rest, ok := quoted(text)
		if !ok {
			break
		}
		value, rest, ok := quoted(strings.TrimPrefix(rest, ":"))
		if !ok {
			break
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = value
		text = strings.TrimPrefix(rest, ",")
	}
	return labels
}

// quoted takes a quoted string off the beginning of text.
func quoted(text string) (value, rest string, ok bool) {
	text = strings.TrimLeft(text, " ")
	q, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", false
	}
	value, err = strconv.Unquote(q)
	return value, text[len(q):], err == nil
}

// frame reads a line below the first: a call, or the place of the call before.
func (g *Goroutine) frame(line string) {
	if place, ok := strings.CutPrefix(line, "\t"); ok {
		if n := len(g.Frames); n > 0 && g.By == "" {
			g.Frames[n-1].Place, _, _ = strings.Cut(place, " +0x")
		}
		return
	}
	if by, ok := strings.CutPrefix(line, "created by "); ok {
		g.By, _, _ = strings.Cut(by, " in goroutine ")
		return
	}
	i := strings.LastIndexByte(line, '(')
	if !strings.HasSuffix(line, ")") || i <= 0 || len(g.Frames) == framesMax {
		return
	}
	g.Frames = append(g.Frames, Frame{Func: line[:i], Args: line[i+1 : len(line)-1]})
}

// Dump is the goroutines of a process at a moment.
type Dump struct{ All []Goroutine }

// Group is goroutines that do the same: their states and stacks are alike.
type Group struct {
	State  string
	Count  int
	Wait   time.Duration  // of the one that has waited for longest
	Tasks  map[string]int // how many have each name; "" counts those without
	IDs    []int64        // of some
	Frames []Frame
	By     string
	Locked bool // they wait for a lock
}

// Groups puts together those that do the same. Those that wait for locks come first, then the most numerous.
func (d Dump) Groups() []Group {
	at := map[string]int{}
	var all []Group
	for i := range d.All {
		g := &d.All[i]
		k := g.key()
		n, ok := at[k]
		if !ok {
			n = len(all)
			at[k] = n
			all = append(all, Group{State: g.State, Tasks: map[string]int{}, Frames: g.Frames, By: g.By, Locked: g.locked()})
		}
		all[n].add(g)
	}
	slices.SortStableFunc(all, func(a, b Group) int {
		if a.Locked != b.Locked {
			return cmp.Compare(b2i(b.Locked), b2i(a.Locked))
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.Wait, a.Wait))
	})
	return all
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (g *Group) add(one *Goroutine) {
	g.Count++
	g.Wait = max(g.Wait, one.Wait)
	g.Tasks[one.Task()]++
	if len(g.IDs) < namesMost {
		g.IDs = append(g.IDs, one.ID)
	}
}

// key is the same for goroutines that do the same.
func (g *Goroutine) key() string {
	var b strings.Builder
	b.WriteString(g.State)
	for _, f := range g.Frames {
		b.WriteByte('\n')
		b.WriteString(f.Func)
		b.WriteByte(' ')
		b.WriteString(f.Place)
	}
	b.WriteByte('\n')
	b.WriteString(g.By)
	return b.String()
}

// Text is the dump for people: locks and who seems to hold them, tasks by number, and groups with a stack each.
func (d Dump) Text() []byte {
	var b bytes.Buffer
	groups := d.Groups()
	fmt.Fprintf(&b, "%d goroutines, %d different stacks\n", len(d.All), len(groups))
	if jams := d.Jams(); len(jams) > 0 {
		b.WriteString("\nLOCKS THAT ARE WAITED FOR\n")
		for i := range jams {
			fmt.Fprintf(&b, "  %s\n", &jams[i])
		}
	}
	b.WriteString("\nBY TASK\n")
	for _, t := range d.tasks() {
		fmt.Fprintf(&b, "%7d  %s\n", t.n, t.name)
	}
	b.WriteString("\nBY STACK\n")
	for i := range groups {
		groups[i].write(&b)
	}
	return b.Bytes()
}

func (g *Group) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n%d in [%s]", g.Count, g.State)
	if g.Wait > 0 {
		fmt.Fprintf(b, ", the longest for %d minutes", int(g.Wait/time.Minute))
	}
	fmt.Fprintf(b, "; tasks: %s; goroutines %s\n", tally(g.Tasks), strings.Trim(fmt.Sprint(g.IDs), "[]"))
	for _, f := range g.Frames {
		fmt.Fprintf(b, "    %s(%s)\n        %s\n", f.Func, f.Args, f.Place)
	}
	if g.By != "" {
		fmt.Fprintf(b, "    started by %s\n", g.By)
	}
}

type count struct {
	name string
	n    int
}

func (d Dump) tasks() []count {
	m := map[string]int{}
	for i := range d.All {
		m[d.All[i].Task()]++
	}
	return counts(m)
}

// counts lists a tally, the most numerous first.
func counts(m map[string]int) []count {
	var all []count
	for _, name := range slices.Sorted(maps.Keys(m)) {
		c := count{name, m[name]}
		if name == "" {
			c.name = "(no name)"
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b count) int { return cmp.Compare(b.n, a.n) })
	return all
}

// tally is a tally as a line.
func tally(m map[string]int) string {
	var words []string
	for i, c := range counts(m) {
		if i == namesMost {
			words = append(words, fmt.Sprintf("and %d more names", len(m)-i))
			break
		}
		words = append(words, fmt.Sprintf("%s ×%d", c.name, c.n))
	}
	return strings.Join(words, ", ")
}
