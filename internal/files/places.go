package files

import (
	"net/netip"
	"sync"

	"github.com/vigil-media/vigil/internal/hub"
)

// places bounds requests at the same time, in all and for each address, or network of IPv6 that one subscriber has.
type places struct {
	mu  sync.Mutex // guards what follows; memory only
	all int
	by  map[netip.Addr]int // those above 0
}

// enter takes a place; false: there is none.
func (p *places) enter(from netip.Addr) bool {
	from = hub.Subscriber(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= requestsMost || p.by[from] >= addressMost {
		return false
	}
	if p.by == nil {
		p.by = map[netip.Addr]int{}
	}
	p.all++
	p.by[from]++
	return true
}

// leave gives a place back.
func (p *places) leave(from netip.Addr) {
	from = hub.Subscriber(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.by[from]--; p.by[from] == 0 {
		delete(p.by, from)
	}
}
