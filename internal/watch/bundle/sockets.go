package bundle

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	socketsMax   = 500_000 // rows that are read
	socketsShown = 50      // of each list
	fdsMax       = 200_000 // descriptors that are looked at
)

// Socket is a TCP socket of the process, or, with FD -1, one of its network that nobody here holds.
type Socket struct {
	Local, Remote netip.AddrPort
	State         string // ESTABLISHED, CLOSE_WAIT, LISTEN, ...
	Send, Receive int64  // bytes in its queues; of one that listens, Receive counts connections that wait to be accepted
	Timer         int    // what the kernel waits for: see the constants
	Retries       int    // how often what was sent has been sent again, or the peer's window was asked for
	FD            int
}

// Timers of a socket.
const (
	timerRetransmit = 1 // what was sent has not been acknowledged
	timerZero       = 4 // the peer's window is zero
)

// socketStates are the kernel's, from 1.
func socketState(n uint64) string {
	names := [...]string{
		"?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
		"LISTEN", "CLOSING", "NEW_SYN_RECV",
	}
	if n < uint64(len(names)) {
		return names[n]
	}
	return names[0]
}

// sockets reads the table of TCP sockets of a process' network, and finds which are its own. dir is its folder under /proc.
func sockets(ctx context.Context, dir string) ([]Socket, error) {
	own, err := inodes(ctx, dir+"/fd")
	if err != nil {
		return nil, err
	}
	var all []Socket
	for _, name := range [...]string{"/net/tcp", "/net/tcp6"} {
		f, err := os.Open(dir + name)
		if err != nil {
			continue // a kernel without IPv6
		}
		all, err = readSockets(ctx, f, own, all)
		_ = f.Close()
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// inodes maps the inodes of a process' sockets to their descriptors.
func inodes(ctx context.Context, dir string) (map[string]int, error) {
	own := map[string]int{}
	err := eachFD(ctx, dir, func(fd int, what string) {
		if inode, ok := strings.CutPrefix(what, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = fd
		}
	})
	return own, err
}

// eachFD tells what each descriptor of a process is.
func eachFD(ctx context.Context, dir string, tell func(fd int, what string)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	for n := 0; n < fdsMax; {
		names, err := d.Readdirnames(1000)
		for _, name := range names {
			fd, errN := strconv.Atoi(name)
			what, errL := os.Readlink(dir + "/" + name)
			if errN == nil && errL == nil {
				tell(fd, what)
			}
		}
		n += len(names)
		if err != nil || len(names) == 0 {
			break // the end, or it has ended
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func readSockets(ctx context.Context, r io.Reader, own map[string]int, all []Socket) ([]Socket, error) {
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan() && len(all) < socketsMax; n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			return all, context.Cause(ctx)
		}
		if s, ok := readSocket(lines.Text(), own); ok {
			all = append(all, s)
		}
	}
	return all, lines.Err()
}

// readSocket reads a line: sl local remote st tx:rx tr:when retransmits uid timeout inode ...
func readSocket(line string, own map[string]int) (s Socket, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[0] == "sl" {
		return s, false
	}
	local, okL := address(f[1])
	remote, okR := address(f[2])
	state, err := strconv.ParseUint(f[3], 16, 8)
	if !okL || !okR || err != nil {
		return s, false
	}
	s = Socket{Local: local, Remote: remote, State: socketState(state), FD: -1}
	retries, _ := pair(f[6])
	s.Retries = int(retries)
	s.Send, s.Receive = pair(f[4])
	timer, _ := pair(f[5])
	s.Timer = int(timer)
	if fd, mine := own[f[9]]; mine && f[9] != "0" {
		s.FD = fd
	}
	return s, true
}

// pair reads two hexadecimal numbers with a colon between them.
func pair(text string) (a, b int64) {
	l, r, _ := strings.Cut(text, ":")
	a, _ = strconv.ParseInt(l, 16, 64)
	b, _ = strconv.ParseInt(r, 16, 64)
	return a, b
}

// address reads an address as the kernel prints it: words of 32 bits in the machine's order, and the port.
func address(text string) (netip.AddrPort, bool) {
	ip, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(ip)
	p, errP := strconv.ParseUint(port, 16, 16)
	if err != nil || errP != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok //nolint:gosec // read as 16 bits
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// socketsText is the sockets for people.
func socketsText(all []Socket) []byte {
	var b bytes.Buffer
	states, others := map[string]int{}, map[string]int{}
	var own []Socket
	for i := range all {
		if all[i].FD >= 0 {
			own = append(own, all[i])
			states[all[i].State]++
		} else {
			others[all[i].State]++
		}
	}
	fmt.Fprintf(&b, "%d TCP sockets of this process: %s\n", len(own), tally(states))
	fmt.Fprintf(&b, "%d of its network that it does not hold, or not any more: %s\n", len(all)-len(own), tally(others))
	list(&b, "LISTEN (receive: connections that wait to be accepted)", own, func(s *Socket) bool { return s.State == "LISTEN" }, nil)
	list(&b, "CLOSE_WAIT (the peer has closed, we have not)", own, func(s *Socket) bool { return s.State == "CLOSE_WAIT" }, nil)
	list(&b, "ZERO WINDOW (the peer takes nothing)", own, func(s *Socket) bool { return s.Timer == timerZero }, nil)
	list(&b, "LARGEST SEND QUEUES", own, func(s *Socket) bool { return s.Send > 0 }, func(s *Socket) int64 { return s.Send })
	list(&b, "LARGEST RECEIVE QUEUES", own, func(s *Socket) bool { return s.Receive > 0 && s.State != "LISTEN" },
		func(s *Socket) int64 { return s.Receive })
	return b.Bytes()
}

// list writes some sockets, those with the largest figures first.
func list(b *bytes.Buffer, title string, all []Socket, which func(*Socket) bool, by func(*Socket) int64) {
	var some []Socket
	for i := range all {
		if which(&all[i]) {
			some = append(some, all[i])
		}
	}
	if by != nil {
		slices.SortStableFunc(some, func(x, y Socket) int { return cmp.Compare(by(&y), by(&x)) })
	}
	fmt.Fprintf(b, "\n%s: %d\n", title, len(some))
	for i := range some[:min(len(some), socketsShown)] {
		s := &some[i]
		fmt.Fprintf(b, "  fd %d  %s -> %s  %s  send %d  receive %d  timer %d  retries %d\n",
			s.FD, s.Local, s.Remote, s.State, s.Send, s.Receive, s.Timer, s.Retries)
	}
}
