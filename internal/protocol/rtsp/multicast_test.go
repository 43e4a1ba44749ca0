package rtsp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/tunnel"
	"github.com/vigil-media/vigil/internal/stream"
)

func TestMulticastConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		bend func(*MulticastConfig)
		want string
	}{
		"defaults":        {func(*MulticastConfig) {}, ""},
		"all of a scope":  {func(c *MulticastConfig) { c.Range = netip.MustParsePrefix("239.192.0.0/14") }, ""},
		"one group":       {func(c *MulticastConfig) { c.Range = netip.MustParsePrefix("239.192.0.7/32") }, ""},
		"a host's":        {func(c *MulticastConfig) { c.Range = netip.MustParsePrefix("10.0.0.0/8") }, "multicast.range"},
		"of routers":      {func(c *MulticastConfig) { c.Range = netip.MustParsePrefix("224.0.0.128/25") }, "multicast.range"},
		"some of routers": {func(c *MulticastConfig) { c.Range = netip.MustParsePrefix("224.0.0.0/4") }, "multicast.range"},
		"more than all":   {func(c *MulticastConfig) { c.Range = netip.MustParsePrefix("224.0.0.0/3") }, "multicast.range"},
		"IPv6":            {func(c *MulticastConfig) { c.Range = netip.MustParsePrefix("ff05::/64") }, "multicast.range"},
		"no ports": {func(c *MulticastConfig) {
			c.Range, c.Ports = netip.MustParsePrefix("239.192.0.0/20"), PortRange{}
		}, "multicast.ports"},
		"no hops":       {func(c *MulticastConfig) { c.TTL = 0 }, "multicast.ttl"},
		"too many hops": {func(c *MulticastConfig) { c.TTL = 256 }, "multicast.ttl"},
	} {
		t.Run(name, func(t *testing.T) {
			c := Default()
			tc.bend(&c.Multicast)
			switch err := c.Validate(); {
			case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want+":")):
				t.Errorf("%v, want a complaint about %q", err, tc.want)
			}
		})
	}
	if Default().Multicast.Range.IsValid() {
		t.Error("streams are multicast though nobody has said so")
	}
}

// request is what a group is asked for.
type request struct {
	key   groupKey
	name  hub.Key
	lanes []rtp.Lane
}

// requestFor is for a stream of n tracks, of which there is one with each name.
func requestFor(name string, n int) request {
	var tracks []*av.Track
	for i := range n {
		tracks = append(tracks, &av.Track{ID: i + 1, Codec: av.PCMU, SampleRate: 8000, Channels: 1})
	}
	q := request{key: groupKey{stream: new(stream.Stream)}, name: hub.Key{App: "live", Name: name}}
	for _, m := range lanes(tracks) {
		q.lanes = append(q.lanes, m.lane)
	}
	q.key.share = keyOf(q.lanes)
	return q
}

func (q request) take(g *groups) (*group, error) { return g.take(q.key, q.name, q.lanes) }

func newGroups(prefix string, ports PortRange) *groups {
	return &groups{cfg: &MulticastConfig{Range: netip.MustParsePrefix(prefix), Ports: ports, TTL: 1}}
}

// A stream has the same group each time, as long as no other has it; two streams share neither address nor port.
func TestGroupsAreGivenOut(t *testing.T) {
	const n = 60
	g := newGroups("239.192.7.0/26", PortRange{40_001, 40_300})
	addrs, ports := map[netip.Addr]bool{}, map[int]bool{}
	var first netip.Addr
	var pair [2]int
	for i := range n {
		one, err := requestFor(fmt.Sprint("s", i), 2).take(g)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first, pair = one.addr, one.numbers(0)
		}
		if addrs[one.addr] || !g.cfg.Range.Contains(one.addr) {
			t.Errorf("stream %d: %v is another's, or out of range", i, one.addr)
		}
		addrs[one.addr] = true
		for m := range 2 {
			p := one.numbers(m)
			if ports[p[0]] || p[0]%2 != 0 || p[1] != p[0]+1 || p[0] < 40_002 || p[1] > 40_300 {
				t.Errorf("stream %d: ports %v are another's, or out of range, or no pair", i, p)
			}
			ports[p[0]] = true
		}
	}
	again, err := requestFor("s0", 2).take(newGroups("239.192.7.0/26", PortRange{40_001, 40_300}))
	if err != nil || again.addr != first || again.numbers(0) != pair {
		t.Errorf("another time: %v %v, want %v %v: %v", again.addr, again.numbers(0), first, pair, err)
	}
}

// All that ask for the same are told the same, and it is given back with the last of them. Where nothing is free, a newcomer is refused.
func TestGroupsAreBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		prefix string
		ports  PortRange
		most   int
	}{
		"by addresses": {"239.192.7.4/30", PortRange{40_000, 40_999}, 4},
		"by ports":     {"239.192.7.0/24", PortRange{40_000, 40_011}, 3},
		"to none":      {"239.192.7.0/24", PortRange{40_000, 40_001}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroups(tc.prefix, tc.ports)
			var all []*group
			for i := range tc.most {
				q := requestFor(fmt.Sprint("s", i), 2)
				for range 2 {
					one, err := q.take(g)
					if err != nil {
						t.Fatalf("stream %d: %v", i, err)
					}
					all = append(all, one)
				}
				if all[len(all)-1] != all[len(all)-2] {
					t.Error("two that asked for the same were told something else")
				}
			}
			late := requestFor("late", 2)
			refused := func() {
				t.Helper()
				if _, err := late.take(g); !errors.Is(err, errNoGroup) {
					t.Errorf("a group too many: %v", err)
				}
			}
			refused()
			for i, one := range all {
				if one.release(); i == 0 {
					refused()
				}
				if i == 1 {
					if _, err := late.take(g); err != nil {
						t.Errorf("when one was given back: %v", err)
					} else {
						g.all[late.key].release()
					}
				}
			}
			if len(g.all)+len(g.addrs)+len(g.pairs) > 0 {
				t.Errorf("left over: %d groups, %d addresses, %d pairs of ports", len(g.all), len(g.addrs), len(g.pairs))
			}
		})
	}
}

// What members have asked for goes out, nothing else; the last leaves things as they are.
func TestGroupTargets(t *testing.T) {
	g := newGroups("239.192.7.0/24", PortRange{40_000, 40_999})
	one, err := requestFor("s", 3).take(g)
	if err != nil {
		t.Fatal(err)
	}
	a, b := &player{}, &player{}
	for _, step := range []struct {
		who  *player
		w    wishes
		want string
	}{
		{a, 1 << 1, "[2]"},
		{b, 1<<1 | 1<<2, "[2 4]"},
		{a, 0, "[2 4]"},
		{a, 1, "[0 2 4]"},
		{b, 0, "[0]"},
		{a, 0, "[0]"},
	} {
		if one.members[step.who] = step.w; step.w == 0 {
			delete(one.members, step.who)
		}
		one.target()
		var got []int
		for _, to := range *one.targets.Load() {
			got = append(got, int(to.channel))
			if n := one.numbers(int(to.channel) / 2); int(to.rtp.Port()) != n[0] || int(to.rtcp.Port()) != n[1] || to.rtp.Addr() != one.addr {
				t.Errorf("channel %d goes to %v and %v, want %v of %v", to.channel, to.rtp, to.rtcp, n, one.addr)
			}
		}
		if fmt.Sprint(got) != step.want {
			t.Errorf("%v goes out, want %s", got, step.want)
		}
	}
}

// Who speaks through TLS or HTTP is not told of datagrams.
func TestDirect(t *testing.T) {
	for name, tc := range map[string]struct {
		s    session
		want bool
	}{
		"RTSP":    {session{}, true},
		"RTSPS":   {session{secure: true}, false},
		"by HTTP": {session{conn: protocol.Peer{Conn: new(tunnel.Conn)}}, false},
	} {
		if tc.s.direct() != tc.want {
			t.Error(name)
		}
	}
}
