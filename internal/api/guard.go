package api

import (
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// Limits of guessing.
const (
	guessesMost = 10 // wrong secrets from an address in guessesIn, before it is blocked
	guessesIn   = time.Minute
	blockFirst  = time.Second // how long it is blocked at first; then twice as long with each more
	blockMost   = time.Minute
	forgiven    = 10 * time.Minute // after which it is as if nothing had been
	trusted     = time.Hour        // after the right secret
	guardMost   = 1024             // addresses that are known
)

// Guard slows down who guesses the API's secret, in whatever dialect. From a blocked address, a secret is not even looked at: the answer is a failure at once. It is not so
// for an address from which the right secret has come in the last hour: else a single wrong setting on a platform's host, or whoever shares an
// address with it, would keep the platform out. There the length of the secret is all that helps, and it is 32 random characters unless somebody
// has chosen another. Nobody waits: a slowed answer would hold a place that others need. The methods are safe for concurrent use.
type Guard struct {
	Log *slog.Logger // told of addresses that are blocked; nil: nobody is

	mu    sync.Mutex // a leaf
	peers map[netip.Addr]*suspect
}

// suspect is what is known of an address.
type suspect struct {
	seen    time.Time // the newest of it
	since   time.Time // when its guesses are counted from
	guesses int
	until   time.Time     // it is blocked
	block   time.Duration // its newest
	right   time.Time     // the newest right secret
}

// Later is what an address is told that is not listened to for so long: the seconds, rounded up, and the words.
func Later(left time.Duration) (seconds, text string) {
	seconds = strconv.FormatInt(int64((left+time.Second-1)/time.Second), 10)
	return seconds, "too many wrong secrets came from your address: try again in " + seconds + " s"
}

// Blocked says for how long an address is not listened to; 0: it is.
func (g *Guard) Blocked(peer netip.Addr) time.Duration {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.peers[hub.Subscriber(peer)]
	if s == nil || now.Sub(s.right) < trusted {
		return 0
	}
	return max(0, s.until.Sub(now))
}

// Wrong notes a wrong secret.
func (g *Guard) Wrong(peer netip.Addr) {
	if block := g.count(peer); block > 0 && g.Log != nil {
		g.Log.Warn("wrong secrets come from an address: the API does not listen to it for a while", "remote", peer, "for", block)
	}
}

// count counts a wrong secret, and returns for how long the address is blocked, if it is from now on.
func (g *Guard) count(peer netip.Addr) (block time.Duration) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.find(hub.Subscriber(peer), now)
	if now.Sub(s.until) > forgiven {
		s.block = 0
	}
	if now.Sub(s.since) > guessesIn {
		s.since, s.guesses = now, 0
	}
	s.guesses++
	if s.guesses < guessesMost && s.block == 0 || now.Before(s.until) {
		return 0
	}
	s.block = min(max(blockFirst, 2*s.block), blockMost)
	s.until = now.Add(s.block)
	return s.block
}

// Right notes the right secret.
func (g *Guard) Right(peer netip.Addr) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.find(hub.Subscriber(peer), now)
	*s = suspect{seen: now, right: now}
}

// find returns what is known of an address, and makes room for a new one. Under mu.
func (g *Guard) find(of netip.Addr, now time.Time) *suspect {
	if g.peers == nil {
		g.peers = map[netip.Addr]*suspect{}
	}
	s := g.peers[of]
	if s == nil {
		if len(g.peers) >= guardMost {
			g.forget(now)
		}
		s = &suspect{since: now}
		g.peers[of] = s
	}
	s.seen = now
	return s
}

// forget drops the address that has not been seen for longest, and of those that are trusted only when there are no others. Under mu.
func (g *Guard) forget(now time.Time) {
	var oldest netip.Addr
	var least *suspect
	older := func(s *suspect) bool {
		if known := now.Sub(s.right) < trusted; known != (now.Sub(least.right) < trusted) {
			return !known
		}
		return s.seen.Before(least.seen)
	}
	for of, s := range g.peers {
		if least == nil || older(s) {
			oldest, least = of, s
		}
	}
	delete(g.peers, oldest)
}
