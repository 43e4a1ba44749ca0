package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/governor"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/metrics"
	"github.com/vigil-media/vigil/internal/protocol"
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

// network opens listeners, remembers them, and decides whom they let in. It implements protocol.Net.
type network struct {
	log       *slog.Logger
	admission *protocol.Admission
	files     *descriptors
	refusals  *protocol.Refusals
	lobby     *lobby        // of the listeners of HTTP
	unheard   time.Duration // that a connection of HTTP may take to send its first request
	pressure  func() governor.Level
	open      listenFunc // opens a socket
	requests  requests   // to the control plane

	mu     sync.Mutex
	opened []listening
}

// listening is one open listener.
type listening struct {
	name     string
	listener net.Listener
}

func newNetwork(cfg hub.Config, log *slog.Logger) *network {
	l := cfg.Limits
	n := &network{
		log: log, refusals: protocol.NewRefusals(), lobby: newLobby(), unheard: hub.Phases(cfg)[hub.Handshake].Age, open: openSocket,
		pressure: func() governor.Level { return governor.Calm }, // until somebody knows
		admission: protocol.NewAdmission(protocol.Quotas{
			Connections: l.Connections, ConnectionsPerAddress: l.ConnectionsPerAddress,
			Handshakes: l.Handshakes, HandshakesPerAddress: l.HandshakesPerAddress,
		}),
	}
	n.files = newDescriptors(n.admission.Open)
	if most := n.files.mediaMost(); most < l.Connections {
		log.Info("the limit of descriptors allows for fewer connections than limits.connections", "descriptors", n.files.limit,
			"for_media", most)
	}
	return n
}

const (
	measureEvery   = 250 * time.Millisecond // descriptors are counted, and what is overdue is looked for
	pressedUnheard = time.Second            // that a connection of HTTP may be without a request while nobody new is let in for want of memory
)

// Run keeps the figures fresh and ends HTTP connections that send nothing, until ctx ends. Then it waits for those who accept: the rooms
// close their listeners.
func (n *network) Run(ctx context.Context) error {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	defer n.files.spare.drop()
	for {
		n.files.measure()
		n.lobby.expire(n.unheard)
		if n.pressed() {
			n.lobby.clear(pressedUnheard)
		}
		n.admission.Forget()
		if unlogged := n.refusals.Sweep(); unlogged > 0 {
			n.log.Info("more was refused than the log tells", "lines", unlogged)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.dismiss()
			return nil
		}
	}
}

// mediaRefused says why requests for media over HTTP are refused, so that the control plane goes on; or nothing.
func (n *network) mediaRefused() protocol.Cause {
	switch {
	case n.files.used() > n.files.mediaMost():
		return protocol.CauseDescriptors
	case n.admission.Full():
		return protocol.CauseConnections
	}
	return ""
}

// pressed says whether memory is so short that nobody new is let in.
func (n *network) pressed() bool { return n.pressure() >= governor.Refuse }

// figures is for the metrics.
func (n *network) figures() metrics.Connections {
	c := metrics.Connections{
		Open: n.admission.Open(), Descriptors: n.files.used(), DescriptorsMost: n.files.limit, Refused: map[string]uint64{},
	}
	refused := n.admission.Refusals()
	for _, cause := range protocol.Causes() {
		c.Refused[string(cause)] = refused[cause]
	}
	return c
}

// Listen implements protocol.Net.
func (n *network) Listen(ctx context.Context, name, address string) (net.Listener, error) {
	return n.listen(ctx, name, address, nil)
}

// listenControl is Listen for HTTP: connections have a reserve of descriptors, and those that send nothing make room for others.
func (n *network) listenControl(ctx context.Context, name, address string) (net.Listener, error) {
	return n.listen(ctx, name, address, n.lobby)
}

func (n *network) listen(ctx context.Context, name, address string, b *lobby) (net.Listener, error) {
	l, err := n.open(ctx, name, address)
	if err != nil {
		if op, ok := err.(*net.OpError); ok { //nolint:errorlint // the wrapper itself is what is taken off
			err = op.Err
		}
		return nil, &ListenError{name, address, err}
	}
	d := n.newDoor(l, name, b)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened = append(n.opened, listening{name, d})
	return d, nil
}

// openSocket opens a socket of this process's own.
func openSocket(ctx context.Context, _, address string) (net.Listener, error) {
	lc := net.ListenConfig{Control: setSocketOptions, KeepAliveConfig: keepAlive()}
	return lc.Listen(ctx, "tcp", address)
}

// keepAlive is how connections are kept alive.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount}
}

// adopted returns a function that asks the supervisor for sockets. What openSocket says of connections in advance is said of the socket, or of
// each connection.
func adopted(ask listenFunc) listenFunc {
	return func(ctx context.Context, name, address string) (net.Listener, error) {
		l, err := ask(ctx, name, address)
		if err != nil {
			return nil, err
		}
		t, ok := l.(*net.TCPListener)
		if !ok {
			return l, nil
		}
		raw, err := t.SyscallConn()
		if err == nil {
			err = setSocketOptions("tcp", address, raw)
		}
		if err != nil {
			_ = l.Close()
			return nil, err
		}
		return adoptedListener{t}, nil
	}
}

// adoptedListener is a socket that another process has opened.
type adoptedListener struct{ *net.TCPListener }

// Accept implements net.Listener.
func (l adoptedListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	_ = c.SetKeepAliveConfig(keepAlive()) // one that has gone already is found out when it is read
	return c, nil
}

// retire has all listeners accept nobody any more: another process does. Who accepts on them goes on waiting.
func (n *network) retire() {
	for _, l := range n.all() {
		if d, ok := l.listener.(*door); ok {
			d.retire()
		}
	}
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
	n.files.spare.drop()
}
