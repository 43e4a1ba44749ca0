package rtsp

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// players are those who play and may be gone without anybody noticing: those who are sent datagrams, be it by multicast, and those who
// have paused. The zero value is ready; all methods may be called from any goroutine.
type players struct {
	mu  sync.Mutex // guards what follows; memory only
	all map[*player]struct{}
	by  map[netip.AddrPort]reporter // where the receiver reports come from, of those who are sent datagrams
}

func (u *players) add(p *player) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all, u.by = map[*player]struct{}{}, map[netip.AddrPort]reporter{}
	}
	u.all[p] = struct{}{}
	if p.lane != nil {
		for _, to := range p.lane.to {
			u.by[to.rtcp] = reporter{p, to.channel + 1}
		}
	}
}

func (u *players) remove(p *player) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.all, p)
	if p.lane != nil {
		for _, to := range p.lane.to {
			if u.by[to.rtcp].player == p {
				delete(u.by, to.rtcp)
			}
		}
	}
}

// reporter is a player, and the channel that its reports on a media would come on if they were not sent by UDP.
type reporter struct {
	player  *player
	channel byte
}

// find returns the player whose reports come from an address; it is nil if there is none.
func (u *players) find(from netip.AddrPort) reporter {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.by[from]
}

// overdue returns those for whom late says so.
func (u *players) overdue(late func(*player) error) map[*player]error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all map[*player]error
	for p := range u.all {
		if cause := late(p); cause != nil {
			if all == nil {
				all = map[*player]error{}
			}
			all[p] = cause
		}
	}
	return all
}

// watchPlayers ends those who have not been heard of for too long, until ctx ends.
func (s *server) watchPlayers(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	paused, absent := s.env.Hub.Limit(hub.Paused), s.env.Hub.Limit(hub.Absent)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		late := s.players.overdue(func(p *player) error {
			now, since := time.Since(p.began), time.Duration(p.paused.Load())
			silence := now - time.Duration(p.heard.Load())
			switch {
			case since > 0 && now-since > paused.Age:
				return fmt.Errorf("%w: paused for %v", errAbsent, paused.Age)
			case since > 0 && silence > paused.Silence:
				return fmt.Errorf("%w: nothing for %v, in a pause", errAbsent, paused.Silence)
			case (p.lane != nil || p.group != nil) && silence > absent.Silence:
				return fmt.Errorf("%w: neither requests nor receiver reports for %v", errAbsent, absent.Silence)
			}
			return nil
		})
		for p, cause := range late {
			p.viewing.Release(cause)
		}
	}
}
