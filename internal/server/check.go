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
// opened: listeners that lack a certificate, a certificate that cannot be read, two listeners for one address. The error
// is conf.Problems.
func Check(c *conf.Config) error {
	cfg, err := decode(c)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	tlsConfig, err := newTLS(cfg.tls, quiet)
	if err != nil {
		return err
	}
	dry := &dryNetwork{names: map[string]string{}}
	env := protocol.Env{
		Hub: hub.New(cfg.hub, nil), Log: quiet, Net: dry, HTTP: protocol.NewMux(), TLS: tlsConfig,
		Egress: egress.New(cfg.egress, quiet), NewID: newIDs(),
	}
	if _, err = rooms(env, c); err != nil {
		return err
	}
	if _, err = listenHTTP(cfg.http, &network{log: quiet, lobby: newLobby()}, dry.Listen, tlsConfig, env.HTTP); err != nil {
		return err
	}
	if len(dry.names) == 0 {
		return conf.Problems{{Message: "every listener is off: there would be nothing to serve"}}
	}
	return nil
}

// dryNetwork opens nothing. It implements protocol.Net.
type dryNetwork struct {
	names map[string]string // by address
}

// Listen implements protocol.Net.
func (n *dryNetwork) Listen(_ context.Context, name, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, conf.Problems{{Message: name + ": " + err.Error()}}
	}
	if port == "0" { // any free one
		address = fmt.Sprint(address, "#", len(n.names))
	}
	if other, taken := n.names[address]; taken {
		return nil, conf.Problems{{Message: fmt.Sprintf("%s and %s cannot both listen on %s", other, name, address)}}
	}
	n.names[address] = name
	return deadListener{}, nil
}

// deadListener accepts nothing.
type deadListener struct{}

// Accept implements net.Listener.
func (deadListener) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }

// Close implements net.Listener.
func (deadListener) Close() error { return nil }

// Addr implements net.Listener.
func (deadListener) Addr() net.Addr { return &net.TCPAddr{} }
