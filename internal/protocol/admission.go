package protocol

import (
	"encoding/binary"
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// Cause says why a connection was refused: a short stable word, for metrics and the log.
type Cause string

// The causes.
const (
	CauseConnections           Cause = "connections"
	CauseConnectionsPerAddress Cause = "connections-per-address"
	CauseHandshakes            Cause = "handshakes"
	CauseHandshakesPerAddress  Cause = "handshakes-per-address"
	CauseDescriptors           Cause = "descriptors"
	CauseMemory                Cause = "memory"
	CauseListener              Cause = "listener" // the limit of one listener, or of one protocol's
)

// Causes lists them all.
func Causes() []Cause {
	return []Cause{
		CauseConnections, CauseConnectionsPerAddress, CauseHandshakes, CauseHandshakesPerAddress, CauseDescriptors, CauseMemory,
		CauseListener,
	}
}

// Quotas are the limits of connections. 0 is no limit.
type Quotas struct {
	Connections           int // at the same time
	ConnectionsPerAddress int // the same, from one address
	Handshakes            int // new ones a second; after a quiet second, so many at once
	HandshakesPerAddress  int // the same, from one address
}

// Admission decides which connections are let in, over all listeners together. An address is an IPv4 address or the first 64 bits
// of an IPv6 address, which is what one subscriber has. What is kept of an address goes away within about a second of its last
// connection, and is bounded: by the connections that are open, and by strangersMax. All methods may be called from any goroutine.
type Admission struct {
	quotas Quotas
	start  time.Time

	mu      sync.Mutex // guards what follows; memory only
	open    int
	rate    bucket
	by      map[address]*visits
	gone    visits // the head of a list of visits that may be forgotten soon, in the order in which they ended
	last    *visits
	waiting int // in that list
	refused map[Cause]uint64
	all     visits // of those whose addresses are not looked at
}

// strangersMax bounds the addresses without a connection that are remembered because of their rate.
const strangersMax = 1 << 15

// NewAdmission returns an admission that has let nobody in.
func NewAdmission(q Quotas) *Admission {
	a := &Admission{quotas: q, start: time.Now(), by: map[address]*visits{}, refused: map[Cause]uint64{}}
	a.last, a.all.admission = &a.gone, a
	return a
}

// Enter lets a connection in and returns its place, which is given back by closing it once; or says why not. spare is how many more
// than the quotas in all this one may be, connections and handshakes: for those by whom the server is looked after. The quotas
// for an address hold without exception. Who is refused is counted by Refused.
func (a *Admission) Enter(remote net.Addr, spare int) (io.Closer, Cause) {
	now := time.Since(a.start)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(now)
	v, cause := a.judge(addressOf(remote), now, spare)
	if cause != "" {
		return nil, cause
	}
	a.open++
	a.rate.take(a.quotas.Handshakes, now)
	if v != &a.all {
		v.open++
		v.rate.take(a.quotas.HandshakesPerAddress, now)
	}
	return v, ""
}

// judge finds what is known of an address, and says why a connection from there is refused.
func (a *Admission) judge(addr address, now time.Duration, spare int) (*visits, Cause) {
	q, v := &a.quotas, &a.all
	known := true
	if q.ConnectionsPerAddress+q.HandshakesPerAddress > 0 && addr != 0 {
		if v, known = a.by[addr]; !known {
			v = &visits{admission: a, addr: addr}
		}
		switch {
		case q.ConnectionsPerAddress > 0 && int(v.open) >= q.ConnectionsPerAddress:
			return nil, CauseConnectionsPerAddress
		case !v.rate.allows(q.HandshakesPerAddress, now, 0):
			return nil, CauseHandshakesPerAddress
		}
	}
	switch {
	case q.Connections > 0 && a.open >= q.Connections+spare:
		return nil, CauseConnections
	case !a.rate.allows(q.Handshakes, now, spare):
		return nil, CauseHandshakes
	case !known:
		a.by[addr] = v
	}
	return v, ""
}

// Refused counts a connection that was refused, for this reason or that.
func (a *Admission) Refused(cause Cause) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[cause]++
}

// Full says whether there are more connections than the quota: only those who may be more have been let in.
func (a *Admission) Full() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.quotas.Connections > 0 && a.open > a.quotas.Connections
}

// Open is the number of connections that have a place.
func (a *Admission) Open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// Refusals is how many connections were refused since the start, by cause.
func (a *Admission) Refusals() map[Cause]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.refused)
}

// Forget drops what need not be remembered any more. Every call does some of it; a server where nothing happens calls Forget.
func (a *Admission) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(time.Since(a.start))
}

// forget drops visits from the head of the list. Each joins it once and leaves it once: it costs nothing on average. Under mu.
func (a *Admission) forget(now time.Duration) {
	for v := a.gone.next; v != nil && (v.open > 0 || v.rate.full(now) || a.waiting > strangersMax); v = a.gone.next {
		if a.gone.next = v.next; v.next == nil {
			a.last = &a.gone
		}
		v.next, v.listed = nil, false
		a.waiting--
		if v.open == 0 {
			delete(a.by, v.addr)
		}
	}
}

// leave gives back a place.
func (a *Admission) leave(v *visits) {
	now := time.Since(a.start)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if v == &a.all {
		return
	}
	if v.open--; v.open > 0 || v.listed {
		return
	}
	if v.rate.full(now) {
		delete(a.by, v.addr)
		return
	}
	a.last.next, a.last, v.listed = v, v, true
	a.waiting++
	a.forget(now)
}

// visits are the connections from one address. They are the place of each of them: a place takes no memory of its own.
type visits struct {
	admission *Admission
	addr      address
	rate      bucket
	next      *visits // in the list of those that may be forgotten
	open      int32
	listed    bool
}

// Close implements io.Closer: it gives one place back.
func (v *visits) Close() error {
	v.admission.leave(v)
	return nil
}

// bucket holds tokens for a second at most. It is the time from which on it is full.
type bucket time.Duration

func (b bucket) full(now time.Duration) bool { return time.Duration(b) <= now }

// allows says whether there is a token, at a rate a second, of which 0 is no limit; spare tokens may be owed.
func (b bucket) allows(rate int, now time.Duration, spare int) bool {
	if rate <= 0 {
		return true
	}
	return max(time.Duration(b), now)-now <= time.Second+time.Duration(spare-1)*token(rate)
}

// take takes a token.
func (b *bucket) take(rate int, now time.Duration) {
	if rate > 0 {
		*b = bucket(max(time.Duration(*b), now) + token(rate))
	}
}

// token is how long a token takes to come.
func token(rate int) time.Duration { return time.Second / time.Duration(rate) }

// address is what connections are counted by; 0 is none.
type address uint64

func addressOf(remote net.Addr) address {
	t, ok := remote.(*net.TCPAddr)
	if !ok {
		return 0
	}
	addr := hub.Subscriber(t.AddrPort().Addr())
	if !addr.IsValid() {
		return 0
	}
	b := addr.As16()
	if addr.Is4() {
		return address(0xffff<<32 | uint64(binary.BigEndian.Uint32(b[12:]))) // no IPv6 network begins so
	}
	return address(binary.BigEndian.Uint64(b[:8]))
}
