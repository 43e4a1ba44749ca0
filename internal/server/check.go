package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

// Check finds what is wrong with a configuration that was loaded without error, as far as that shows before its ports are
// opened: listeners that lack a certificate, a certificate that cannot be read, two listeners for one address, the supervisor's included.
// The error is conf.Problems.
func Check(c *conf.Config) error {
	cfg, err := decode(c)
	if err != nil {
		return err
	}
	if err = cfg.exposes(c.File()); err != nil {
		return err
	}
	dry, err := listeners(c, &cfg)
	if err != nil {
		return err
	}
	if len(dry.names) == 0 {
		return conf.Problems{{Message: "every listener is off: there would be nothing to serve"}}
	}
	if watch := cfg.watch.Listen; watch != "" && watch != watchListen { // the usual one yields
		_, err = dry.Listen(context.Background(), "watch", watch.String())
	}
	return err
}

// listeners lists what a server with this configuration listens on.
func listeners(c *conf.Config, cfg *config) (*dryNetwork, error) {
	quiet := slog.New(slog.DiscardHandler)
	tlsConfig, err := newTLS(cfg.tls, quiet)
	if err != nil {
		return nil, err
	}
	dry := &dryNetwork{names: map[string]string{}}
	env := protocol.Env{
		Hub: hub.New(cfg.hub, nil), Log: quiet, Net: dry, HTTP: protocol.NewMux(), TLS: tlsConfig,
		Egress: egress.New(cfg.egress, quiet), NewID: newIDs(),
		Folder: func(string, string) (protocol.Folder, error) { return noFolder{}, nil },
	}
	if _, err = rooms(env, c); err != nil {
		return nil, err
	}
	_, err = listenHTTP(cfg.http, &network{log: quiet, lobby: newLobby()}, dry.Listen, tlsConfig, env.HTTP)
	return dry, err
}

// dryNetwork opens nothing. It implements protocol.Net.
type dryNetwork struct {
	names map[string]string // by address
}

// ListenPacket implements protocol.Net.
func (dryNetwork) ListenPacket(context.Context, string) (*net.UDPConn, error) {
	return nil, errors.ErrUnsupported
}

// Listen implements protocol.Net.
func (n *dryNetwork) Listen(_ context.Context, name, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, conf.Problems{{Message: name + ": " + err.Error()}}
	}
	if port == "0" { // any free one
		address = fmt.Sprint(address, "#", len(n.names))
	} else if other, theirs := n.taken(address); other != "" {
		if theirs != address {
			address += " and " + theirs
		}
		return nil, conf.Problems{{Message: fmt.Sprintf("%s and %s cannot both listen on %s", other, name, address)}}
	}
	n.names[address] = name
	return deadListener{}, nil
}

// taken says who listens on an address already, or on every address with its port, and where.
func (n *dryNetwork) taken(address string) (name, theirs string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", ""
	}
	for theirs, name := range n.names {
		h, p, err := net.SplitHostPort(theirs)
		if err == nil && p == port && (h == host || isAny(h) || isAny(host)) {
			return name, theirs
		}
	}
	return "", ""
}

// isAny says whether a host stands for every address of this machine, of IPv4 at least.
func isAny(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// deadListener accepts nothing.
type deadListener struct{}

// Accept implements net.Listener.
func (deadListener) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }

// Close implements net.Listener.
func (deadListener) Close() error { return nil }

// Addr implements net.Listener.
func (deadListener) Addr() net.Addr { return &net.TCPAddr{} }
