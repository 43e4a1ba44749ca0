package protocol

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// Refusals thin out the lines about what is refused, so that those who hammer do not fill the log: one line a second for each
// reason and address (of IPv6, network of 64 bits), and refusalLinesMax a second over all; as many about peers at fault. What is kept is
// bounded: when too many are known, newcomers share one line. All methods may be called from any goroutine. A nil *Refusals thins out
// nothing.
type Refusals struct {
	silent *slog.Logger
	start  time.Time

	mu    sync.Mutex // guards what follows; memory only
	seen  map[refusalKey]refusalLines
	swept time.Time
	rate  bucket // of lines, over all

	faults     bucket // of lines about peers at fault
	faultsLeft uint64 // left out, since the last sweep
}

type refusalKey struct {
	reason string
	addr   netip.Addr
}

// refusalLines is what became of the lines of a key.
type refusalLines struct {
	last     time.Time // zero: none was logged
	unlogged uint64    // since last
}

const (
	refusalInterval = time.Second
	refusalsMax     = 4096 // reasons and addresses that are known at a time
	refusalLinesMax = 20   // lines a second over all; after a quiet second, so many at once
)

// NewRefusals returns refusals that have thinned out nothing.
func NewRefusals() *Refusals {
	return &Refusals{silent: slog.New(slog.DiscardHandler), start: time.Now(), seen: map[refusalKey]refusalLines{}}
}

// Logger returns the logger for one line about a refusal: log, which says too how many such lines were left out since the last one
// ("unlogged"); or a logger that says nothing.
//
//	refusals.Logger(log, "play", remote.Addr()).Info("refused to play", "remote", remote)
func (r *Refusals) Logger(log *slog.Logger, reason string, addr netip.Addr) *slog.Logger {
	if r == nil {
		return log
	}
	unlogged, ok := r.allow(refusalKey{reason, hub.Subscriber(addr)}, time.Now())
	switch {
	case !ok:
		return r.silent
	case unlogged > 0:
		return log.With("unlogged", unlogged)
	}
	return log
}

// Fault returns the logger for one line about a peer that was not refused but has failed before anybody could: log, or, once there were
// refusalLinesMax such lines within a second, a logger that says nothing. Each peer has its own line, because each has its own fault.
func (r *Refusals) Fault(log *slog.Logger) *slog.Logger {
	if r == nil {
		return log
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.start)
	if !r.faults.allows(refusalLinesMax, now, 0) {
		r.faultsLeft++
		return r.silent
	}
	r.faults.take(refusalLinesMax, now)
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
	since := now.Sub(r.start)
	if known && now.Sub(l.last) < refusalInterval || !r.rate.allows(refusalLinesMax, since, 0) {
		l.unlogged++
		r.seen[key] = l
		return 0, false
	}
	r.rate.take(refusalLinesMax, since)
	r.seen[key] = refusalLines{last: now}
	return l.unlogged, true
}

// Sweep forgets those of which no line was logged for some seconds, and returns how many were left out. Call it now and then; it does
// something once a second at most.
func (r *Refusals) Sweep() (unlogged uint64) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.swept) < refusalInterval {
		return 0
	}
	r.swept = now
	unlogged, r.faultsLeft = r.faultsLeft, 0
	for key, l := range r.seen {
		if now.Sub(l.last) >= 2*refusalInterval { // one that goes on says it itself before, if it may
			unlogged += l.unlogged
			delete(r.seen, key)
		}
	}
	return unlogged
}

// TurnedAway logs why a viewer does not get to see anything. stopped says that it was not the hub's decision.
func (e Env) TurnedAway(log *slog.Logger, q hub.Request, stopped bool, err error) {
	if stopped {
		log.Info("stopped waiting for a stream", "stream", q.Key, "remote", q.Remote, "cause", err)
		return
	}
	log = e.Refusals.Logger(log, string(hub.ActionPlay)+" "+hub.Reason(err), q.Remote.Addr())
	log.Info("refused to play", "stream", q.Key, "remote", q.Remote, "cause", err)
}
