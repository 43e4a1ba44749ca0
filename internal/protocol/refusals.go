package protocol

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Refusals thin out the lines about what is refused, so that those who hammer do not fill the log: one line a second for each
// reason and address (of IPv6, network of 64 bits). What is kept is bounded: when too many are known, newcomers share one line. All
// methods may be called from any goroutine. A nil *Refusals thins out nothing.
type Refusals struct {
	silent *slog.Logger

	mu    sync.Mutex // guards what follows; memory only
	seen  map[refusalKey]refusalLines
	swept time.Time
}

type refusalKey struct {
	reason string
	addr   netip.Addr
}

// refusalLines is what became of the lines of a key.
type refusalLines struct {
	last     time.Time
	unlogged uint64 // since last
}

const (
	refusalInterval = time.Second
	refusalsMax     = 4096 // reasons and addresses that are known at a time
)

// NewRefusals returns refusals that have thinned out nothing.
func NewRefusals() *Refusals {
	return &Refusals{silent: slog.New(slog.DiscardHandler), seen: map[refusalKey]refusalLines{}}
}

// Logger returns the logger for one line about a refusal: log, which says too how many such lines were left out since the last one
// ("unlogged"); or a logger that says nothing.
//
//	refusals.Logger(log, "play", remote.Addr()).Info("refused to play", "remote", remote)
func (r *Refusals) Logger(log *slog.Logger, reason string, addr netip.Addr) *slog.Logger {
	if r == nil {
		return log
	}
	unlogged, ok := r.allow(refusalKey{reason, Subscriber(addr)}, time.Now())
	switch {
	case !ok:
		return r.silent
	case unlogged > 0:
		return log.With("unlogged", unlogged)
	}
	return log
}

func (r *Refusals) allow(key refusalKey, now time.Time) (unlogged uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, known := r.seen[key]
	if !known && len(r.seen) >= refusalsMax {
		key = refusalKey{}
		l, known = r.seen[key]
	}
	if known && now.Sub(l.last) < refusalInterval {
		l.unlogged++
		r.seen[key] = l
		return 0, false
	}
	r.seen[key] = refusalLines{last: now}
	return l.unlogged, true
}

// Sweep forgets those that have been quiet for some seconds, and returns how many of their lines were left out. Call it now and then; it
// does something once a second at most.
func (r *Refusals) Sweep() (unlogged uint64) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.swept) < refusalInterval {
		return 0
	}
	r.swept = now
	for key, l := range r.seen {
		if now.Sub(l.last) >= 2*refusalInterval { // one that goes on says it itself before
			unlogged += l.unlogged
			delete(r.seen, key)
		}
	}
	return unlogged
}
