package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// network is a protocol.Net that can be dialled by the listener's name.
type network interface {
	Listen(ctx context.Context, name, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, address string) (*net.UDPConn, error)
	Dial(ctx context.Context, name string) (net.Conn, error)
}

// memory is a network of net.Pipe: nothing is buffered, all deadlines work, and a blocked end blocks durably.
type memory struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
	clients   uint16
}

// Listen implements protocol.Net.
func (m *memory) Listen(_ context.Context, name, _ string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners[name] != nil {
		return nil, fmt.Errorf("a listener %q exists", name)
	}
	l := &memoryListener{name: name, conns: make(chan net.Conn), done: make(chan struct{})}
	if m.listeners == nil {
		m.listeners = map[string]*memoryListener{}
	}
	m.listeners[name] = l
	return l, nil
}

// ListenPacket implements protocol.Net.
func (m *memory) ListenPacket(context.Context, string) (*net.UDPConn, error) {
	return nil, errors.ErrUnsupported
}

// Dial connects to a listener.
func (m *memory) Dial(ctx context.Context, name string) (net.Conn, error) {
	m.mu.Lock()
	l := m.listeners[name]
	m.clients++
	client := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), m.clients))
	m.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("no listener %q", name)
	}
	here, there := net.Pipe()
	select {
	case l.conns <- &memoryConn{Conn: there, remote: client}:
		return here, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

type memoryListener struct {
	name  string
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// Accept implements net.Listener.
func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: l.name, Net: "memory"} }

// memoryConn has an address like those of the internet.
type memoryConn struct {
	net.Conn
	remote net.Addr
}

// RemoteAddr implements net.Conn.
func (c *memoryConn) RemoteAddr() net.Addr { return c.remote }

// loopback is TCP on 127.0.0.1.
type loopback struct {
	narrow bool // small buffers, so that a peer that does not read is soon felt

	mu    sync.Mutex
	addrs map[string]string
}

// narrowBuffer is for sockets of a narrow loopback.
const narrowBuffer = 128 << 10

// Listen implements protocol.Net.
func (n *loopback) Listen(ctx context.Context, name, _ string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addrs == nil {
		n.addrs = map[string]string{}
	}
	n.addrs[name] = l.Addr().String()
	if n.narrow {
		return narrowListener{l}, nil
	}
	return l, nil
}

// ListenPacket implements protocol.Net.
func (*loopback) ListenPacket(ctx context.Context, address string) (*net.UDPConn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// Dial connects to a listener.
func (n *loopback) Dial(ctx context.Context, name string) (net.Conn, error) {
	n.mu.Lock()
	addr := n.addrs[name]
	n.mu.Unlock()
	if addr == "" {
		return nil, fmt.Errorf("no listener %q", name)
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err == nil && n.narrow {
		err = c.(*net.TCPConn).SetReadBuffer(narrowBuffer)
	}
	return c, err
}

type narrowListener struct{ net.Listener }

// Accept implements net.Listener.
func (l narrowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(narrowBuffer)
	}
	return c, err
}

// wrapped is a network whose listeners have been changed.
type wrapped struct {
	network
	wrap func(name string, l net.Listener) net.Listener
}

// Listen implements protocol.Net.
func (w wrapped) Listen(ctx context.Context, name, address string) (net.Listener, error) {
	l, err := w.network.Listen(ctx, name, address)
	if err != nil {
		return nil, err
	}
	return w.wrap(name, l), nil
}
