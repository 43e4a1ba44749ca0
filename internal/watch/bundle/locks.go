package bundle

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Jam is a lock that goroutines wait for.
//
// The runtime does not know who holds a lock. But who holds one is in a method of what the lock belongs to, as a rule, or in something that
// such a method has called. So the goroutines that are in a method of the same type, of the same thing if that is known,
// and do not wait for the lock themselves, are under suspicion.
type Jam struct {
	What    string        // the call that waits: "hub.(*Hub).claim"
	Place   string        // file:line
	State   string        // of one that waits
	Waiting int           // how many do
	Wait    time.Duration // of the one that has waited for longest
	Tasks   map[string]int
	Holders []Goroutine // that may hold it; some
}

// String is a sentence.
func (j *Jam) String() string {
	who := plural(j.Waiting, "goroutine waits", "goroutines wait")
	s := fmt.Sprintf("%d %s for a lock in %s at %s (%s)", j.Waiting, who, j.What, j.Place, j.State)
	if j.Wait > 0 {
		s += fmt.Sprintf(", the longest for %d minutes", int(j.Wait/time.Minute))
	}
	parts := []string{s + ": " + tally(j.Tasks)}
	for i := range j.Holders {
		parts = append(parts, fmt.Sprintf("perhaps held by %s, which %s", &j.Holders[i], j.Holders[i].Blocked()))
	}
	return strings.Join(parts, "; ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

const (
	holdersMost = 3   // that are named of a lock
	jamsMost    = 100 // locks

	structMost = 4 << 10 // bytes between a thing and its lock
)

// locked says whether it waits for a lock.
func (g *Goroutine) locked() bool {
	return strings.HasPrefix(g.State, "sync.Mutex") || strings.HasPrefix(g.State, "sync.RWMutex") || g.State == "semacquire"
}

// caller is the newest call that is not the waiting itself.
func (g *Goroutine) caller() *Frame {
	for i := range g.Frames {
		if !inside(g.Frames[i].Func) {
			return &g.Frames[i]
		}
	}
	return nil
}

// inside says whether a function belongs to the machinery of waiting: what is meant is the one that called it.
func inside(name string) bool {
	for _, p := range [...]string{
		"runtime.", "sync.", "internal/sync.", "internal/poll.", "internal/runtime/", "syscall.", "os.(*File).", "os.ignoringEINTR",
		"net.(*", "time.Sleep", "golang.org/x/sys/unix.", "crypto/tls.(*Conn).", "bufio.", "io.",
	} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// self is the first argument of a call, if it is the address of something; 0 when it is not known. What the runtime has found in a
// register it marks with a question mark, and it is wrong more often than not.
func (f *Frame) self() uint64 {
	arg, _, _ := strings.Cut(f.Args, ",")
	hex, ok := strings.CutPrefix(arg, "0x")
	n, err := strconv.ParseUint(hex, 16, 64)
	if !ok || err != nil || n < 1<<20 {
		return 0
	}
	return n
}

// owner is the type whose method a call is: "hub.(*Hub)."; "" when it is none.
func (f *Frame) owner() string {
	if i := strings.Index(f.Func, ")."); i > 0 && strings.Contains(f.Func[:i], "(*") {
		return f.Func[:i+2]
	}
	return ""
}

// lock is the address of what it waits for, or near it; 0 when it is not known.
func (g *Goroutine) lock() uint64 {
	for i := range g.Frames {
		f := &g.Frames[i]
		if !inside(f.Func) {
			return f.self()
		}
		if n := f.self(); n != 0 && (strings.HasPrefix(f.Func, "internal/sync.(*") || strings.HasPrefix(f.Func, "sync.(*")) {
			return n
		}
	}
	return 0
}

// lockName tells locks apart, as well as can be done.
func (g *Goroutine) lockName() string {
	if n := g.lock(); n != 0 {
		return strconv.FormatUint(n, 16)
	}
	if f := g.caller(); f != nil {
		return cmp.Or(f.owner(), f.Func)
	}
	return g.State
}

// Jams finds the locks that are waited for, the most wanted first.
func (d Dump) Jams() []Jam {
	at := map[string]int{}
	var all []Jam
	var first []*Goroutine // that waits for each
	for i := range d.All {
		g := &d.All[i]
		if !g.locked() {
			continue
		}
		l := g.lockName()
		n, ok := at[l]
		if !ok {
			if len(all) == jamsMost {
				continue
			}
			n = len(all)
			at[l] = n
			all, first = append(all, g.jam()), append(first, g)
		}
		all[n].Waiting++
		all[n].Wait = max(all[n].Wait, g.Wait)
		all[n].Tasks[g.Task()]++
	}
	for i := range all {
		all[i].Holders = d.holders(first[i])
	}
	slices.SortStableFunc(all, func(a, b Jam) int { return cmp.Compare(b.Waiting, a.Waiting) })
	return all
}

func (g *Goroutine) jam() Jam {
	j := Jam{State: g.State, Tasks: map[string]int{}}
	if f := g.caller(); f != nil {
		j.What, j.Place = short(f.Func), shortPlace(f.Place)
	}
	return j
}

// holders finds who may hold the lock that a goroutine waits for.
func (d Dump) holders(waits *Goroutine) []Goroutine {
	call := waits.caller()
	if call == nil {
		return nil
	}
	owner, name, at := call.owner(), waits.lockName(), waits.lock()
	if owner == "" {
		return nil
	}
	suspect := func(f Frame) bool { return strings.HasPrefix(f.Func, owner) && near(f.self(), at) }
	var all []Goroutine
	for i := range d.All {
		g := &d.All[i]
		if g.locked() && g.lockName() == name {
			continue
		}
		if len(all) < holdersMost && slices.ContainsFunc(g.Frames, suspect) {
			all = append(all, *g)
		}
	}
	return all
}

// near is whether two addresses may be in one thing. One that is not known, 0, may be anywhere.
func near(a, b uint64) bool { return a == 0 || b == 0 || max(a, b)-min(a, b) < structMost }

// Blocked says what it does, as the rest of a sentence.
func (g *Goroutine) Blocked() string {
	s := g.waits()
	if f := g.caller(); f != nil {
		s += " in " + short(f.Func)
		if f.Place != "" {
			s += " at " + shortPlace(f.Place)
		}
	}
	if g.Wait > 0 {
		s += fmt.Sprintf(", for %d minutes", int(g.Wait/time.Minute))
	}
	return s
}

// waits puts the runtime's word for a state into a sentence, with the word.
func (g *Goroutine) waits() string {
	state, _, _ := strings.Cut(g.State, " (")
	switch {
	case g.locked():
		return "waits for a lock (" + g.State + ")"
	case state == "IO wait":
		if g.calls("Write", "waitWrite", "Sendfile", "WriteTo", "Writev") {
			return "waits until a peer takes more (IO wait, write)"
		}
		if g.calls("Accept") {
			return "waits for a connection (IO wait, accept)"
		}
		return "waits for bytes of a peer (IO wait, read)"
	case state == "syscall":
		if name := g.syscall(); name != "" {
			return "is in a system call (syscall " + name + ")"
		}
		return "is in a system call (syscall)"
	case state == "running", state == "runnable":
		return "runs (" + g.State + ")"
	case state == "sleep":
		return "sleeps (sleep)"
	default: // "chan receive", "chan send", "select", "sync.Cond.Wait", "sync.WaitGroup.Wait", ...
		return "waits (" + g.State + ")"
	}
}

// calls says whether the machinery of waiting on top of the stack has a function of one of the names.
func (g *Goroutine) calls(names ...string) bool {
	for _, f := range g.Frames {
		if !inside(f.Func) {
			return false
		}
		if slices.Contains(names, f.Func[strings.LastIndexByte(f.Func, '.')+1:]) {
			return true
		}
	}
	return false
}

// syscall is the name of the system call that it is in.
func (g *Goroutine) syscall() string {
	for _, f := range g.Frames {
		pkg, name, _ := strings.Cut(f.Func[strings.LastIndexByte(f.Func, '/')+1:], ".")
		if pkg != "syscall" && pkg != "unix" {
			continue
		}
		switch name {
		case "Syscall", "Syscall6", "RawSyscall", "RawSyscall6", "RawSyscallNoError", "runtime_entersyscall":
		default:
			return strings.ToLower(name)
		}
	}
	return ""
}

// short is a function without the path of its package.
func short(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// shortPlace is a place without folders but the last.
func shortPlace(place string) string {
	if i := strings.LastIndexByte(place, '/'); i > 0 {
		return place[strings.LastIndexByte(place[:i], '/')+1:]
	}
	return place
}
