package bundle

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

const (
	namedMost   = 20 // sentences of each kind
	candidates  = 3  // goroutines that are named, when it is not known which it is
	closeWaits  = 20
	lockedLong  = time.Minute // the least that the runtime tells
	acceptQueue = 64
)

// Found is what the guard has found, and what was done about it; "" when that is not known.
type Found struct {
	watch.Finding

	Outcome watch.Outcome
}

// Peer is what is known of a session.
type Peer struct {
	ID     string // as in labels of the watch
	Stream string // the key of the stream that it publishes or plays
	Remote string // address and port of the peer
}

// Case is what a verdict is made from. All of it may be missing.
type Case struct {
	Reason  string
	Found   []Found
	Cells   []watch.State
	Dump    Dump
	Sockets []Socket
	Peers   []Peer
}

// Verdict says in plain words what is wrong: which loop is stuck, since when, what it belongs to, what it waits for and who may be
// the cause, and what was done. One sentence a line.
func Verdict(c *Case) []string {
	lines := []string{"Made because: " + cmp.Or(oneLine(c.Reason, 300), "nobody said") + "."}
	stuck := c.stuck()
	for i, f := range stuck {
		if i == namedMost {
			lines = append(lines, fmt.Sprintf("%d more loops are stuck: see cells.txt.", len(stuck)-i))
			break
		}
		lines = append(lines, c.finding(&f)...)
	}
	if len(stuck) == 0 && len(c.Cells) > 0 {
		lines = append(lines, fmt.Sprintf("None of the %d loops that are watched is stuck at this moment.", len(c.Cells)))
	}
	lines = append(lines, c.jams()...)
	return append(lines, c.network()...)
}

// stuck is what was found, and the cells that have been busy for too long besides, the oldest first.
func (c *Case) stuck() []Found {
	all := make([]Found, 0, len(c.Found))
	known := map[string]bool{}
	for _, f := range c.Found {
		if f.Label != nil && !known[labelKey(f.Label)] {
			known[labelKey(f.Label)] = true
			all = append(all, f)
		}
	}
	for _, s := range c.Cells {
		l := &watch.Label{Class: s.Class, Name: s.Name, Session: s.Session}
		warn := s.Class.Limits().Warn
		if warn > 0 && s.Busy >= warn && !known[labelKey(l)] {
			known[labelKey(l)] = true
			all = append(all, Found{Finding: watch.Finding{Label: l, Stage: watch.Warned, Age: s.Busy}})
		}
	}
	slices.SortStableFunc(all, func(a, b Found) int { return cmp.Compare(b.Age, a.Age) })
	return all
}

func labelKey(l *watch.Label) string { return l.Class.Name() + "\x00" + l.Name + "\x00" + l.Session }

// finding is what is to be said about one loop.
func (c *Case) finding(f *Found) []string {
	peer := c.peer(f.Label.Session)
	socket := c.socket(peer)
	if f.Stage == watch.Sound {
		return []string{c.subject(f.Label) + " moves again; it had been stuck for " + age(f.Age) + "."}
	}
	line := c.subject(f.Label) + " " + stillness(f, socket) + " for " + age(f.Age)
	if why := trouble(socket); why != "" {
		line += ": " + why
	}
	lines := []string{line + "."}
	if peer.Stream != "" || peer.Remote != "" {
		lines = append(lines, "  It belongs to "+belongs(f.Label, peer)+".")
	}
	lines = append(lines, c.goroutines(f.Label)...)
	return append(lines, "  "+deed(f))
}

// subject names a loop: "session 7f3a", "shard 1".
func (c *Case) subject(l *watch.Label) string {
	switch {
	case l.Class == watch.Session && l.Session != "":
		return "session " + l.Session
	case strings.HasPrefix(l.Name, l.Class.Name()):
		return l.Name
	default:
		return strings.TrimSpace(l.Class.Name() + " " + l.Name)
	}
}

func belongs(l *watch.Label, p Peer) string {
	var parts []string
	if l.Session != "" {
		parts = append(parts, "session "+l.Session)
	}
	if p.Stream != "" {
		parts = append(parts, "stream "+p.Stream)
	}
	if p.Remote != "" {
		parts = append(parts, "peer "+p.Remote)
	}
	return strings.Join(parts, ", ")
}

// stillness says what has not happened.
func stillness(f *Found, s *Socket) string {
	switch {
	case f.Label.Class == watch.Abandoned:
		return "was given up on, and has hung"
	case f.Label.Class == watch.Session && s != nil && s.Send > 0:
		return "has not written"
	default:
		return "has made no progress"
	}
}

// deed says what was done.
func deed(f *Found) string {
	then := f.Label.Class.Limits().Then
	switch f.Outcome {
	case watch.Healed:
		return "Done about it: " + then + "."
	case watch.Spared:
		return "Nothing was done, because it is a dry run; it would be that " + then + "."
	case watch.Withheld:
		return "Nothing was done: it was not the time for it."
	case watch.Spent:
		return "Nothing was done: it was done too often in the last " + age(watch.BudgetTime) + "."
	case watch.Baffled:
		return "Nothing was done: nothing can be done about it from inside."
	case watch.Crowded:
		return "Nothing was done: too many are being healed already."
	case watch.Sounds:
		return "Nothing had to be done."
	case watch.Noted:
	}
	if act := f.Label.Class.Limits().Act; act > 0 {
		return "Nothing was done yet; after " + age(act) + " " + then + "."
	}
	return "Nothing was done."
}

// peer finds what is known of a session.
func (c *Case) peer(id string) Peer {
	if id != "" {
		for _, p := range c.Peers {
			if p.ID == id {
				return p
			}
		}
	}
	return Peer{}
}

// socket finds the socket to a peer.
func (c *Case) socket(p Peer) *Socket {
	at, err := netip.ParseAddrPort(p.Remote)
	if err != nil {
		return nil
	}
	at = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	for i := range c.Sockets {
		if s := &c.Sockets[i]; s.FD >= 0 && s.Remote == at {
			return s
		}
	}
	return nil
}

// trouble says what the kernel knows of why nothing comes or goes.
func trouble(s *Socket) string {
	switch {
	case s == nil:
		return ""
	case s.Timer == timerZero:
		return fmt.Sprintf("the peer's window is zero, %s wait to be sent", size(s.Send))
	case s.Timer == timerRetransmit && s.Retries > 0:
		return fmt.Sprintf("the peer does not acknowledge, sent %d times again, %s wait", s.Retries, size(s.Send))
	case s.State == "CLOSE_WAIT":
		return "the peer has closed the connection and we have not (CLOSE_WAIT)"
	case s.Receive > 0:
		return size(s.Receive) + " of the peer wait to be read"
	case s.Send > 0:
		return size(s.Send) + " wait to be sent"
	default:
		return "its queues in the kernel are empty"
	}
}

func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

// goroutines says what the goroutine of a loop does, and who may hold what it waits for.
func (c *Case) goroutines(l *watch.Label) []string {
	if len(c.Dump.All) == 0 {
		return nil
	}
	all, sure := c.Dump.of(l)
	if len(all) == 0 {
		return []string{"  Its goroutine is not known: none has its name."}
	}
	who := "Its "
	if !sure || len(all) > 1 {
		who = "Perhaps its "
	}
	var lines []string
	same := map[string]int{}
	for _, g := range all {
		if same[g.Blocked()]++; same[g.Blocked()] == 1 && len(same) <= candidates {
			lines = append(lines, "  "+who+g.String()+" "+g.Blocked()+"."+c.Dump.blame(g))
		}
	}
	if n := len(all) - len(lines); n > 0 {
		lines = append(lines, fmt.Sprintf("  %d more have a name like that: see goroutines-grouped.txt.", n))
	}
	return lines
}

// of finds the goroutines of a loop: by a label with its session or its very name, or else by a name that is like it. sure is whether
// it is one of the first.
func (d Dump) of(l *watch.Label) (all []*Goroutine, sure bool) {
	var like []*Goroutine
	for i := range d.All {
		g := &d.All[i]
		switch {
		case g.has(l.Session) || g.has(l.Name):
			all = append(all, g)
		case g.like(l):
			like = append(like, g)
		}
	}
	if sure = len(all) > 0; !sure {
		all = like
	}
	// One that waits for a lock is more likely to be stuck than one that waits for work.
	slices.SortStableFunc(all, func(a, b *Goroutine) int { return cmp.Compare(b2i(b.locked()), b2i(a.locked())) })
	return all, sure
}

// has is whether a label of the goroutine says text, or says it as one of its words.
func (g *Goroutine) has(text string) bool {
	if text == "" {
		return false
	}
	for _, v := range g.Labels {
		if v == text || slices.Contains(strings.Fields(v), text) {
			return true
		}
	}
	return false
}

// like is whether the goroutine's name has the name of the loop's class in it, or the first word of the loop's name.
func (g *Goroutine) like(l *watch.Label) bool {
	words := strings.Fields(g.Task())
	if slices.Contains(words, l.Class.Name()) {
		return true
	}
	first, _, _ := strings.Cut(l.Name, " ")
	return first != "" && slices.Contains(words, first)
}

// blame says who may hold the lock that a goroutine waits for.
func (d Dump) blame(g *Goroutine) string {
	if !g.locked() {
		return ""
	}
	var text strings.Builder
	for _, h := range d.holders(g) {
		fmt.Fprintf(&text, " The lock is perhaps held by %s, which %s.", &h, h.Blocked())
	}
	return text.String()
}

// jams tells of locks that many wait for, or some for long.
func (c *Case) jams() (lines []string) {
	for _, j := range c.Dump.Jams() {
		if len(lines) == namedMost {
			break
		}
		if j.Waiting > 1 || j.Wait >= lockedLong || len(j.Holders) > 0 {
			lines = append(lines, "Lock: "+j.String()+".")
		}
	}
	return lines
}

// network tells what is odd about all sockets.
func (c *Case) network() (lines []string) {
	waits, zero := 0, 0
	for i := range c.Sockets {
		s := &c.Sockets[i]
		switch {
		case s.FD < 0:
		case s.State == "LISTEN" && s.Receive >= acceptQueue:
			lines = append(lines, fmt.Sprintf("%d connections to %s wait to be accepted.", s.Receive, s.Local))
		case s.State == "CLOSE_WAIT":
			waits++
		case s.Timer == timerZero:
			zero++
		}
	}
	if waits >= closeWaits {
		lines = append(lines, fmt.Sprintf("%d connections were closed by their peers and not by us (CLOSE_WAIT).", waits))
	}
	if zero > 0 {
		lines = append(lines, fmt.Sprintf("%d peers take nothing (their window is zero).", zero))
	}
	return lines
}

// age is a duration for people.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	default:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
}
