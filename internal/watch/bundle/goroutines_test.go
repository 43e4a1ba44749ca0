package bundle

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

// golden reads a dump of testdata/dump, see testdata/README.md.
func golden(t *testing.T, name string) Dump {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return Goroutines(text)
}

func task1(d Dump, name string) *Goroutine {
	i := slices.IndexFunc(d.All, func(g Goroutine) bool { return g.Task() == name })
	if i < 0 {
		return &Goroutine{State: "missing"}
	}
	return &d.All[i]
}

// What the goroutines of a process that was killed were about.
func TestBlocked(t *testing.T) {
	d := golden(t, "labels.txt")
	for name, want := range map[string]string{
		"hub 1":        "waits (chan send) in main.(*hub).tell at dump/main.go:29, for 1 minutes",
		"session 7f3a": "waits for a lock (sync.Mutex.Lock) in main.(*hub).claim at dump/main.go:23, for 1 minutes",
		"table":        "waits (chan receive) in main.(*table).write at dump/main.go:40, for 1 minutes",
		"reader 2":     "waits for a lock (sync.RWMutex.RLock) in main.(*table).read at dump/main.go:45, for 1 minutes",
		"viewer":       "is in a system call (syscall write) in main.main.func2 at dump/main.go:72",
		"idle":         "waits (select (no cases)) in main.main.func4 at dump/main.go:84, for 1 minutes",
		"timer":        "sleeps (sleep) in main.main.func5 at dump/main.go:85, for 1 minutes",
		"disk":         "runs (runnable) in main.main.func3 at dump/main.go:81",
	} {
		if got := task1(d, name).Blocked(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Stacks as the runtime prints them of a process that lives.
func TestBlockedStates(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{
			"goroutine 7 [IO wait]:\ninternal/poll.runtime_pollWait(0x7f, 0x77)\n\truntime/netpoll.go:351 +0x85\n" +
				"internal/poll.(*FD).Write(0xc0001, {0xc})\n\tinternal/poll/fd_unix.go:390 +0x2\nnet.(*conn).Write(...)\n\tnet/net.go:208\n" +
				"a.org/b/c.(*Session).send(0xc00012345678)\n\t/src/b/c/x.go:7 +0x1\n",
			"waits until a peer takes more (IO wait, write) in c.(*Session).send at c/x.go:7",
		},
		{"goroutine 7 [IO wait, 3 minutes]:\ninternal/poll.(*FD).Read(0xc0001, {0xc})\n\tinternal/poll/fd_unix.go:165 +0x2\n" +
			"main.main()\n\tx.go:7 +0x1\n", "waits for bytes of a peer (IO wait, read) in main.main at x.go:7, for 3 minutes"},
		{"goroutine 7 [IO wait]:\ninternal/poll.(*FD).Accept(0xc0001)\n\tx.go:1 +0x2\n", "waits for a connection (IO wait, accept)"},
		{
			"goroutine 7 [syscall]:\nsyscall.Syscall(0x4a)\n\tx.go:1 +0x2\nsyscall.Fsync(0x7)\n\tx.go:2\n" +
				"os.(*File).Sync(0x1)\n\tx.go:3\nmain.f()\n\tx.go:4 +0x7\n",
			"is in a system call (syscall fsync) in main.f at x.go:4",
		},
		{"goroutine 7 [syscall, locked to thread]:\n", "is in a system call (syscall)"},
		{"goroutine 7 [running]:\nmain.spin(0x1)\n\tx.go:4 +0x7\n", "runs (running) in main.spin at x.go:4"},
		{"goroutine 7 [chan receive (nil chan)]:\n", "waits (chan receive (nil chan))"},
	} {
		d := Goroutines([]byte("panic: oops\n\n" + c.text + "created by main.g in goroutine 1\n\tx.go:9 +0x3\n\nexit status 2\n"))
		if len(d.All) != 1 || d.All[0].Blocked() != c.want || d.All[0].By != "main.g" {
			t.Errorf("%q: %+v, want %q", c.text, d.All, c.want)
		}
	}
}

func TestHeader(t *testing.T) {
	for line, want := range map[string]string{
		"goroutine 1 [running]:":                                            "1 running 0s ",
		"goroutine 12 gp=0xc m=nil mp=0x1 [select, 90 minutes]:":            "12 select 1h30m0s ",
		"goroutine 3 [chan receive, 2 minutes, locked to thread]:":          "3 chan receive 2m0s ",
		`goroutine 3 [select labels:{"a": "b, ]:\"{", "task": "hub 1"}]:`:   "3 select 0s hub 1",
		`goroutine 3 [select, 4 minutes labels:{"task": "x [1 minutes]"}]:`: "3 select 4m0s x [1 minutes]",
		"goroutine running on other thread; stack unavailable":              "",
		"goroutine x [select]:":                                             "",
		"goroutine 3 [select":                                               "",
	} {
		got := ""
		if g, ok := header(line); ok {
			got = strings.Join([]string{itoa(g.ID), g.State, g.Wait.String(), g.Task()}, " ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func itoa(n int64) string { return strings.TrimPrefix((&Goroutine{ID: n}).String(), "goroutine ") }

// In all forms of a dump the same is found, and the locks come first.
func TestGroups(t *testing.T) {
	for _, name := range []string{"labels.txt", "plain.txt", "crash.txt"} {
		d := golden(t, name)
		groups := d.Groups()
		g := groups[0]
		if !g.Locked || g.Count != 3 || g.State != "sync.Mutex.Lock" || len(g.IDs) != 3 || g.By != "main.start" {
			t.Errorf("%s: the first is %+v", name, g)
		}
		if g = groups[1]; !g.Locked || g.Count != 2 || g.State != "sync.RWMutex.RLock" {
			t.Errorf("%s: the second is %+v", name, g)
		}
		total := 0
		for i, g := range groups {
			total += g.Count
			if i > 2 && g.Count > groups[i-1].Count {
				t.Errorf("%s: group %d is larger than the one before", name, i)
			}
		}
		if total != len(d.All) || total < 20 {
			t.Errorf("%s: %d goroutines in groups, %d in all", name, total, len(d.All))
		}
	}
	// The runtime notes since when one waits when it collects garbage: the program of the other dumps had no reason to.
	first := golden(t, "labels.txt").Groups()[0]
	if first.Wait != time.Minute {
		t.Error(first.Wait)
	}
	if got := tally(first.Tasks); got != "session 7f3a ×1, session 7f3b ×1, session 7f3c ×1" {
		t.Error(got)
	}
}

// Who holds a lock is found by the method that it is in.
func TestJams(t *testing.T) {
	var got []string
	d := golden(t, "labels.txt")
	for _, j := range d.Jams() {
		got = append(got, j.String())
	}
	want := []string{
		"3 goroutines wait for a lock in main.(*hub).claim at dump/main.go:23 (sync.Mutex.Lock), the longest for 1 minutes: " +
			"session 7f3a ×1, session 7f3b ×1, session 7f3c ×1; perhaps held by goroutine 8 (task \"hub 1\"), " +
			"which waits (chan send) in main.(*hub).tell at dump/main.go:29, for 1 minutes",
		"2 goroutines wait for a lock in main.(*table).read at dump/main.go:45 (sync.RWMutex.RLock), the longest for 1 minutes: " +
			"reader 1 ×1, reader 2 ×1; perhaps held by goroutine 19 (task \"table\"), " +
			"which waits (chan receive) in main.(*table).write at dump/main.go:40, for 1 minutes",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	text := string(d.Text())
	for _, part := range append(want, "LOCKS THAT ARE WAITED FOR", "      2  spin\n", "3 in [sync.Mutex.Lock], the longest for 1 minutes") {
		if !strings.Contains(text, part) {
			t.Errorf("the text does not say %q", part)
		}
	}
	if n := len(golden(t, "plain.txt").Jams()[0].Holders); n != 1 {
		t.Errorf("%d holders without labels", n)
	}
}

// Of two things of one type, only the one whose lock it is counts.
func TestHoldersOfAnother(t *testing.T) {
	stack := func(id, state, self, top string) string {
		return "goroutine " + id + " [" + state + "]:\n" + top + "main.(*T).f(" + self + ")\n\tx.go:1 +0x1\n\n"
	}
	const lock = "internal/sync.(*Mutex).lockSlow(0xc000100008)\n\tmutex.go:1 +0x1\n"
	d := Goroutines([]byte(stack("1", "sync.Mutex.Lock", "0xc000100000", lock) +
		stack("2", "chan send", "0xc000200000", "") + stack("3", "chan send", "0xc000100000", "") + stack("4", "chan send", "0x12?", "")))
	var ids []string
	for _, h := range d.Jams()[0].Holders {
		ids = append(ids, itoa(h.ID))
	}
	if got := strings.Join(ids, " "); got != "3 4" {
		t.Errorf("held by %s", got)
	}
}

// Without labels in the dump, the profile says which names stacks have.
func TestNames(t *testing.T) {
	text, err := os.ReadFile("testdata/profile.txt")
	if err != nil {
		t.Fatal(err)
	}
	d := golden(t, "plain.txt")
	if d.named() {
		t.Fatal("the dump has names")
	}
	for i := range d.All { // as the runtime prints stacks of a process that lives: without frames of its own
		g := &d.All[i]
		g.Frames = slices.DeleteFunc(g.Frames, func(f Frame) bool {
			return strings.HasPrefix(f.Func, "runtime.") || strings.HasSuffix(f.Func, "-fm")
		})
	}
	d.name(text)
	if got := tally(d.Jams()[0].Tasks); got != "session 7f3a ×1, session 7f3b ×1, session 7f3c ×1" {
		t.Error(got)
	}
	if got := task1(d, "hub 1").State; got != "chan send" {
		t.Error(got)
	}
}

func TestLiveNames(t *testing.T) {
	d, err := dump(t.Context(), stacks())
	if err != nil || len(d.All) < 2 || !strings.Contains(string(d.Text()), "bundle.TestLiveNames") {
		t.Errorf("%v: %s", err, d.Text())
	}
}

func TestOf(t *testing.T) {
	d := golden(t, "labels.txt")
	for _, c := range []struct {
		label watch.Label
		want  string
		sure  bool
	}{
		{watch.Label{Class: watch.Registry, Name: "hub 1"}, "hub 1", true},
		{watch.Label{Class: watch.Session, Name: "rtmp", Session: "7f3b"}, "session 7f3b", true},
		{watch.Label{Class: watch.Timer, Name: "egress"}, "timer", false},
		{watch.Label{Class: watch.Volume, Name: "disk /data"}, "disk", false},
		{watch.Label{Class: watch.Sink, Name: "stderr"}, "", false},
	} {
		all, sure := d.of(&c.label)
		got := ""
		if len(all) > 0 {
			got = all[0].Task()
		}
		if got != c.want || sure != c.sure {
			t.Errorf("%+v: %q, %v", c.label, got, sure)
		}
	}
}

func FuzzGoroutines(f *testing.F) {
	for _, name := range []string{"labels.txt", "plain.txt", "crash.txt", "profile.txt"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		d := Goroutines(text)
		d.name(text)
		_ = d.Text()
		_ = Verdict(&Case{Dump: d})
	})
}
