package supervise

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sockets holds what the workers listen on. Its methods are safe for concurrent use.
type sockets struct {
	mu   sync.Mutex // guards the map; memory only
	open map[place]*socket
}

// place is what a listening socket is asked for by.
type place struct{ name, address string }

type socket struct {
	place
	l *net.TCPListener
}

// openTime is how long a name may take to be looked up and a port to be opened.
const openTime = 3 * time.Second

// get returns the socket of a place, which is opened if it is not yet.
func (s *sockets) get(ctx context.Context, p place) (*socket, error) {
	if have := s.find(p); have != nil {
		return have, nil
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	var lc net.ListenConfig   //nolint:forbidigo // the supervisor holds the sockets
	lc.SetMultipathTCP(false) // its sockets refuse the options that a worker sets
	l, err := lc.Listen(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	opened := &socket{p, l.(*net.TCPListener)} //nolint:forcetypeassert // of a network that is called tcp
	have := s.add(opened)
	if have != opened {
		_ = opened.l.Close() // another worker has asked at the same time
	}
	return have, nil
}

// add adds a socket, unless there is one of that place by now, and returns what there is.
func (s *sockets) add(o *socket) *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.open[o.place]; have != nil {
		return have
	}
	s.open[o.place] = o
	return o
}

// inTheWay names the socket of this server's own that a place cannot be opened for, if it is one.
func (s *sockets) inTheWay(p place) string {
	_, port, _ := net.SplitHostPort(p.address) // "" is no port
	for _, o := range s.all() {
		if a, ok := o.l.Addr().(*net.TCPAddr); ok && strconv.Itoa(a.Port) == port {
			return fmt.Sprintf(" (this server's own %s listens on %s: such a change needs a restart)", o.name, o.address)
		}
	}
	return ""
}

func (s *sockets) find(p place) *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[p]
}

// all lists what is open.
func (s *sockets) all() []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*socket, 0, len(s.open))
	for _, o := range s.open {
		all = append(all, o)
	}
	return all
}

// keep closes all but what is claimed.
func (s *sockets) keep(claimed map[place]bool) {
	for _, o := range s.all() {
		if !claimed[o.place] {
			s.mu.Lock()
			delete(s.open, o.place)
			s.mu.Unlock()
			_ = o.l.Close() // nothing can be done about it
		}
	}
}

// give sends the socket along with a message. The worker's duplicate is of the same socket.
func (s *socket) give(to *line, m *message) error {
	raw, err := s.l.SyscallConn()
	if err != nil {
		return err
	}
	sent := raw.Control(func(fd uintptr) { err = to.send(m, int(fd)) })
	if sent != nil {
		return sent
	}
	return err
}

// target is where the socket is reached from this machine.
func (s *socket) target() string {
	a, ok := s.l.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	if a.IP.IsUnspecified() {
		ip := net.IPv6loopback
		if s.isIPv4() {
			ip = net.IPv4(127, 0, 0, 1)
		}
		a = &net.TCPAddr{IP: ip, Port: a.Port}
	}
	return a.String()
}

// isIPv4 says whether the socket takes IPv4, alone or beside IPv6.
func (s *socket) isIPv4() (yes bool) {
	yes = true
	raw, err := s.l.SyscallConn()
	if err != nil {
		return yes
	}
	_ = raw.Control(func(fd uintptr) {
		only, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		yes = err != nil || only == 0
	})
	return yes
}
