package bundle

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

func TestVerdict(t *testing.T) {
	d := golden(t, "labels.txt")
	peers := []Peer{{ID: "7f3a", Stream: "live/cam1", Remote: "[::ffff:192.0.2.7]:5000"}}
	to := func(s Socket) []Socket {
		s.Remote = netip.MustParseAddrPort("192.0.2.7:5000")
		return []Socket{{FD: -1, Remote: s.Remote}, {FD: 4, State: "LISTEN"}, s}
	}
	found := func(l watch.Label, age time.Duration, o watch.Outcome) []Found {
		return []Found{{watch.Finding{Label: &l, Stage: watch.Acted, Age: age}, o}}
	}
	session := watch.Label{Class: watch.Session, Name: "rtmp play", Session: "7f3a"}
	for name, c := range map[string]struct {
		given Case
		want  []string
		not   string
	}{
		"nothing": {Case{}, []string{"Made because: nobody said."}, "stuck"},
		"nothing is stuck": {
			Case{Reason: "a person\nasked", Cells: []watch.State{{Class: watch.Shard}, {Class: watch.Session, Busy: time.Second}}},
			[]string{"Made because: a person asked.", "None of the 2 loops that are watched is stuck at this moment."},
			"progress",
		},
		"zero window": {
			Case{Found: found(session, 12*time.Second, watch.Healed), Peers: peers, Sockets: to(Socket{FD: 7, Timer: timerZero, Send: 2 << 20})},
			[]string{
				"session 7f3a has not written for 12 s: the peer's window is zero, 2048 KiB wait to be sent.",
				"  It belongs to session 7f3a, stream live/cam1, peer [::ffff:192.0.2.7]:5000.",
				"  Done about it: the session is ended.", "1 peers take nothing (their window is zero).",
			},
			"goroutine",
		},
		"no acknowledgements": {
			Case{Found: found(session, 12*time.Second, ""), Peers: peers, Sockets: to(Socket{FD: 7, Timer: timerRetransmit, Retries: 5, Send: 99})},
			[]string{
				"for 12 s: the peer does not acknowledge, sent 5 times again, 99 bytes wait.",
				"Nothing was done yet; after 30 s the session is ended.",
			},
			"zero",
		},
		"half closed": {
			Case{Found: found(session, time.Minute, ""), Peers: peers, Sockets: to(Socket{FD: 7, State: "CLOSE_WAIT"})},
			[]string{"session 7f3a has made no progress for 60 s: the peer has closed the connection and we have not (CLOSE_WAIT)."},
			"written",
		},
		"not read": {
			Case{Found: found(session, time.Minute, ""), Peers: peers, Sockets: to(Socket{FD: 7, Receive: 64 << 10})},
			[]string{"for 60 s: 64 KiB of the peer wait to be read."},
			"",
		},
		"empty queues": {
			Case{Found: found(session, time.Minute, ""), Peers: peers, Sockets: to(Socket{FD: 7})},
			[]string{"its queues in the kernel are empty"},
			"",
		},
		"somebody else's socket": {
			Case{Found: found(session, time.Minute, ""), Peers: peers, Sockets: to(Socket{FD: -1, Send: 7})},
			[]string{"session 7f3a has made no progress for 60 s."},
			"wait to be sent",
		},
		"a lock": {
			Case{Found: found(session, 80*time.Second, watch.Spared), Dump: d},
			[]string{
				`  Its goroutine 9 (task "session 7f3a") waits for a lock (sync.Mutex.Lock) in main.(*hub).claim at dump/main.go:23, for 1 minutes. ` +
					`The lock is perhaps held by goroutine 8 (task "hub 1"), which waits (chan send) in main.(*hub).tell ` +
					`at dump/main.go:29, for 1 minutes.`,
				"  Nothing was done, because it is a dry run; it would be that the session is ended.",
				"Lock: 3 goroutines wait for a lock in main.(*hub).claim", "Lock: 2 goroutines wait for a lock in main.(*table).read",
			},
			"Perhaps",
		},
		"a goroutine that is like it": {
			Case{Found: found(watch.Label{Class: watch.Volume, Name: "disk /data"}, 5*time.Second, watch.Baffled), Dump: d},
			[]string{
				"volume disk /data has made no progress for 5 s.", `  Perhaps its goroutine 16 (task "disk") runs (runnable) in main.main.func3`,
				"Nothing was done: nothing can be done about it from inside.",
			},
			"",
		},
		"many goroutines of one name": {
			Case{Found: found(watch.Label{Class: watch.Session, Session: "session"}, time.Minute, ""), Dump: d},
			[]string{`  Perhaps its goroutine 9 (task "session 7f3a") waits for a lock`, "2 more have a name like that"},
			`goroutine 10 (task`,
		},
		"no goroutine": {
			Case{Found: found(watch.Label{Class: watch.Sink, Name: "stderr"}, 1500*time.Millisecond, watch.Crowded), Dump: d},
			[]string{"sink stderr has made no progress for 1.5 s.", "  Its goroutine is not known: none has its name.", "too many are being healed"},
			"",
		},
		"cells that nobody has found yet": {
			Case{Reason: "x", Cells: []watch.State{
				{Class: watch.Shard, Name: "shard 1", Busy: 300 * time.Millisecond},
				{Class: watch.Registry, Name: "hub 1", Busy: 3 * time.Hour},
				{Class: watch.Abandoned, Name: "shard 0", Busy: time.Hour},
			}, Dump: d},
			[]string{
				"registry hub 1 has made no progress for 3 h.", `Its goroutine 8 (task "hub 1") waits (chan send)`,
				"shard 1 has made no progress for 300 ms.",
			},
			"None of",
		},
		"found and seen": {
			Case{Found: found(session, 12*time.Second, watch.Spent), Cells: []watch.State{
				{Class: watch.Session, Name: "rtmp play", Session: "7f3a", Busy: 12 * time.Second},
			}},
			[]string{"session 7f3a has made no progress for 12 s.", "Nothing was done: it was done too often in the last 5 min."},
			"session 7f3a\nsession",
		},
		"recovered": {
			Case{Found: []Found{{watch.Finding{Label: &session, Age: 9 * time.Second}, watch.Sounds}}},
			[]string{"session 7f3a moves again; it had been stuck for 9 s."},
			"progress",
		},
		"odd sockets": {
			Case{Sockets: []Socket{{}, {State: "LISTEN", FD: 3, Receive: 128, Local: netip.MustParseAddrPort("[::]:1935")}}},
			[]string{"128 connections to [::]:1935 wait to be accepted."},
			"CLOSE_WAIT",
		},
		"held": {Case{Found: found(session, time.Hour, watch.Withheld)}, []string{"for 60 min.", "it was not the time for it"}, ""},
	} {
		got := strings.Join(Verdict(&c.given), "\n")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: does not say %q:\n%s", name, want, got)
			}
		}
		if c.not != "" && strings.Contains(got, c.not) {
			t.Errorf("%s: says %q:\n%s", name, c.not, got)
		}
	}
}

func TestVerdictIsShort(t *testing.T) {
	var cells []watch.State
	for i := range 1000 {
		cells = append(cells, watch.State{Class: watch.Shard, Name: itoa(int64(i)), Busy: time.Minute})
	}
	sockets := make([]Socket, closeWaits)
	for i := range sockets {
		sockets[i] = Socket{State: "CLOSE_WAIT"}
	}
	lines := Verdict(&Case{Cells: cells, Sockets: sockets})
	got := strings.Join(lines, "\n")
	if len(lines) > 100 || !strings.Contains(got, "980 more loops are stuck: see cells.txt.") ||
		!strings.Contains(got, "20 connections were closed") {
		t.Error(got)
	}
}

func TestCellsText(t *testing.T) {
	got := string(cellsText([]watch.State{
		{Class: watch.Session, Name: "b", Session: "1", Done: 7},
		{Class: watch.Shard, Name: "shard 1", Busy: time.Second, Done: 9},
		{Class: watch.Session, Name: "a", Session: "2", Busy: 30 * time.Second},
	}))
	want := `3 loops are watched. busy: for how long the step under way has taken; steps: those that have ended.

shard: 1, 1 busy, 1 for longer than 250 ms
  shard 1  session -  steps 9  busy for 1s

session: 2, 1 busy, 1 for longer than 20 s
  a  session 2  steps 0  busy for 30s
  b  session 1  steps 7  idle
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
