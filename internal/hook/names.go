package hook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Limits of looking up names.
const (
	lookupTime = time.Second      // for the resolver to answer
	freshTime  = 30 * time.Second // addresses are believed without asking again
	staleTime  = time.Hour        // and for so long while the resolver has no answer
	againTime  = 5 * time.Second  // then it is asked again
	namesMost  = 64               // that are remembered
)

// names dials targets by their names, whose addresses it remembers: that a resolver is down, or hangs, is no reason for a hook to fail whose
// target is well. Its methods are safe for concurrent use.
type names struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dial   Dial // of an address

	mu sync.Mutex // memory only
	by map[string]*known
}

// known is what is remembered of a name.
type known struct {
	addrs []netip.Addr
	since time.Time // when the resolver said so
	again time.Time // when it is to be asked again
}

func newNames() *names {
	r := &net.Resolver{PreferGo: true} // that of C cannot be given up on
	return &names{
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) { return r.LookupNetIP(ctx, "ip", host) },
		dial:   (&net.Dialer{KeepAlive: idleTime}).DialContext, //nolint:forbidigo // a client of its own, without the server's limits
	}
}

// connect is a Dial. It takes dialTime at the most; the addresses of a name are tried in their order, each for its share of that.
func (n *names) connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := n.find(ctx, host)
	if err != nil {
		return nil, err
	}
	var all error
	for i, a := range addrs {
		conn, err := n.try(ctx, network, net.JoinHostPort(a.String(), port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

// try dials an address, one of some that are left to try.
func (n *names) try(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	return n.dial(ctx, network, address)
}

// find returns the addresses of a host, at least one.
func (n *names) find(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	now := time.Now()
	old, ok := n.get(host)
	if ok && now.Before(old.again) {
		return old.addrs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	addrs, err := n.lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("it has no address")
	}
	switch {
	case err == nil:
		for i, a := range addrs {
			addrs[i] = a.Unmap()
		}
		n.put(host, known{addrs, now, now.Add(freshTime)})
		return addrs, nil
	case ok && now.Sub(old.since) < staleTime:
		n.put(host, known{old.addrs, old.since, time.Now().Add(againTime)})
		return old.addrs, nil
	}
	return nil, fmt.Errorf("look up %s: %w", host, err)
}

func (n *names) get(host string) (known, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.by[host]
	if k == nil {
		return known{}, false
	}
	return known{slices.Clone(k.addrs), k.since, k.again}, true
}

func (n *names) put(host string, k known) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.by == nil {
		n.by = map[string]*known{}
	}
	if n.by[host] == nil && len(n.by) >= namesMost {
		for other := range n.by { // any: so many names are no configuration's
			delete(n.by, other)
			break
		}
	}
	n.by[host] = &k
}
