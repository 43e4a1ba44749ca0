package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/vigil-media/vigil/internal/conf"
)

// canOpen refuses a configuration for the next start with an address on which nothing could listen then: with it the server would not start any
// more. An address that held before is not looked at, nor is a port taken for another's that this server has now. The error is conf.Problems, or
// ctx's.
func canOpen(ctx context.Context, before, after *held) error {
	old, err := listeners(before.conf, &before.cfg) //nolint:contextcheck // nothing is opened
	if err != nil {
		return err
	}
	now, err := listeners(after.conf, &after.cfg) //nolint:contextcheck // nothing is opened
	if err != nil {
		return err
	}
	var problems conf.Problems
	for _, address := range slices.Sorted(maps.Keys(now.names)) {
		if _, held := old.names[address]; held || strings.Contains(address, "#") { // any free port
			continue
		}
		l, err := openSocket(ctx, "", address)
		switch {
		case err == nil:
			_ = l.Close() // nobody has connected, it is hoped
		case ctx.Err() != nil:
			return fmt.Errorf("settings: %s: %w", address, context.Cause(ctx))
		case errors.Is(err, syscall.EADDRINUSE) && old.hasPort(address):
		default:
			if op, ok := errors.AsType[*net.OpError](err); ok {
				err = op.Err
			}
			problems = append(problems, conf.Problem{Message: now.names[address] + " could not listen on " + address + ": " + err.Error()})
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// hasPort says whether an address has the port of one of these.
func (n *dryNetwork) hasPort(address string) bool {
	_, port, _ := net.SplitHostPort(address)
	for other := range n.names {
		if _, p, _ := net.SplitHostPort(other); p == port {
			return true
		}
	}
	return false
}
