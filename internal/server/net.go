package server

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// How long a vanished peer goes unnoticed at the most.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
	unackedTimeout    = 20 * time.Second // data that nobody acknowledges
	unsentBytes       = 128 << 10        // data that the kernel keeps for a peer that is slow: the rest stays in the ring
)

// ListenError says that an address cannot be listened on.
type ListenError struct {
	Name, Address string
	Err           error
}

// Error implements error.
func (e *ListenError) Error() string {
	return fmt.Sprintf("%s cannot listen on %s: %v", e.Name, e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// network opens listeners and remembers them. It implements protocol.Net.
type network struct {
	mu     sync.Mutex
	opened []listening
}

// listening is one open listener.
type listening struct {
	name     string
	listener net.Listener
}

// Listen implements protocol.Net.
func (n *network) Listen(ctx context.Context, name, address string) (net.Listener, error) {
	lc := net.ListenConfig{
		Control: setSocketOptions,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount,
		},
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		if op, ok := err.(*net.OpError); ok { //nolint:errorlint // the wrapper itself is what is taken off
			err = op.Err
		}
		return nil, &ListenError{name, address, err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened = append(n.opened, listening{name, l})
	return quickListener{l}, nil
}

// quickListener accepts connections with quick reads.
type quickListener struct{ net.Listener }

// Accept implements net.Listener.
func (l quickListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return quickReads(conn), nil
}

// all returns what is open, in the order of opening.
func (n *network) all() []listening {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]listening(nil), n.opened...)
}

// close closes what is open. Closing twice is harmless.
func (n *network) close() {
	for _, l := range n.all() {
		_ = l.listener.Close() // nothing can be done about it
	}
}
