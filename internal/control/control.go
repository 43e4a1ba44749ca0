package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// ErrWatched is why a stream is not ended that somebody watches.
var ErrWatched = errors.New("somebody watches the stream")

// Options are what a control has to do with.
type Options struct {
	Hub      *hub.Hub
	Settings Settings
	Version  Version
	ServerID func() string // by which platforms know this server

	Shards  func() []Load // of the goroutines that write to viewers
	Workers func() []Load // of what works in the background: disks, hooks
	Objects func() Objects
	Restart func() error // has another process take over; nil: there is nobody who could
}

// Version says what program this is.
type Version struct {
	Name   string // the tag or revision that it was built from
	Commit string
	Built  time.Time
}

// Load is how busy a part of the server is.
type Load struct {
	Name    string
	Busy    float64       // share of its time, 0 to 1
	Holds   int           // connections of a shard, jobs of a worker
	Delay   time.Duration // that what comes now has to wait, as far as is known
	Stalled bool          // it does not get on
}

// Objects are how many there are of what a server is made of.
type Objects struct {
	Streams     int
	Rings       int // formats that are being made of streams, and the streams themselves
	Listeners   int
	Connections int
	Publishers  int
	Viewers     int
}

// Control answers and does what the API is asked. Its methods are safe for concurrent use.
type Control struct{ opt Options }

// New returns a control.
func New(o Options) *Control { return &Control{o} }

// Selection is which streams are meant. What is "" is of no account.
type Selection struct{ VHost, App, Name string }

// has says whether a key is one of them.
func (s *Selection) has(k hub.Key) bool {
	return (s.VHost == "" || s.VHost == k.VHost) && (s.App == "" || s.App == k.App) && (s.Name == "" || s.Name == k.Name)
}

// exact is the only key that can be meant, if all of it is given.
func (s *Selection) exact() (hub.Key, bool) {
	return hub.Key{VHost: s.VHost, App: s.App, Name: s.Name}, s.VHost != "" && s.App != "" && s.Name != ""
}

// Streams returns the streams that are meant, in the order of their names, and as of when. They are shared: do not change them.
func (c *Control) Streams(s Selection) ([]*hub.StreamInfo, time.Time) {
	if k, ok := s.exact(); ok {
		info, at, found := c.Stream(k)
		if !found {
			return nil, at
		}
		return []*hub.StreamInfo{&info}, at
	}
	snapshot := c.opt.Hub.Snapshot()
	var out []*hub.StreamInfo
	for i := range snapshot.Streams {
		if s.has(snapshot.Streams[i].Key) {
			out = append(out, &snapshot.Streams[i])
		}
	}
	return out, snapshot.At
}

// Stream returns one stream.
func (c *Control) Stream(k hub.Key) (info hub.StreamInfo, at time.Time, ok bool) {
	return c.opt.Hub.Describe(k)
}

// EndStream ends a stream, publisher and viewers: hub.ErrNotFound if there is none, ErrWatched if somebody watches and force is not said. It
// waits until they are gone, as long as ctx lives.
func (c *Control) EndStream(ctx context.Context, k hub.Key, force bool) error {
	if force {
		return c.opt.Hub.End(ctx, k)
	}
	info, _, ok := c.Stream(k)
	switch {
	case !ok:
		return fmt.Errorf("%w: %v", hub.ErrNotFound, k)
	case len(info.Viewers) > 0:
		return ErrWatched
	case info.Publisher == nil:
		return c.opt.Hub.End(ctx, k)
	case !c.opt.Hub.EndUnwatched(k, info.Epoch):
		return ErrWatched // since then, or it is another publisher's by now
	}
	return nil
}

// Peers is which sessions are meant. What is zero is of no account.
type Peers struct {
	LocalPort uint16
	Addr      netip.Addr
}

func (p *Peers) has(local, remote netip.AddrPort) bool {
	return (p.LocalPort == 0 || p.LocalPort == local.Port()) && (!p.Addr.IsValid() || p.Addr == remote.Addr())
}

// Sessions returns the publishers and viewers that are meant, those included that stand by or wait.
func (c *Control) Sessions(p Peers) []*hub.SessionInfo {
	snapshot := c.opt.Hub.Snapshot()
	var out []*hub.SessionInfo
	add := func(s *hub.SessionInfo) {
		if s != nil && p.has(s.Local, s.Remote) {
			out = append(out, s)
		}
	}
	for i := range snapshot.Streams {
		info := &snapshot.Streams[i]
		add(info.Publisher)
		add(info.Standby)
		for j := range info.Viewers {
			add(&info.Viewers[j])
		}
	}
	for i := range snapshot.Waiting {
		add(&snapshot.Waiting[i])
	}
	return out
}

// Kick ends a session: hub.ErrNotFound if there is none with this id. It waits until it is gone, as long as ctx lives.
func (c *Control) Kick(ctx context.Context, id string) error { return c.opt.Hub.Kick(ctx, id) }

// KickAll ends the sessions that are meant, and returns how many they were. It waits as Kick does; what has not ended by then is told to.
func (c *Control) KickAll(ctx context.Context, p Peers) (hit int, err error) {
	return c.opt.Hub.KickAll(ctx, func(q hub.Request) bool { return p.has(q.Local, q.Remote) })
}

// Shards returns the loads of the goroutines that write to viewers.
func (c *Control) Shards() []Load { return c.opt.Shards() }

// Workers returns the loads of what works in the background.
func (c *Control) Workers() []Load { return c.opt.Workers() }

// Objects counts what the server is made of.
func (c *Control) Objects() Objects { return c.opt.Objects() }

// Version says what program this is.
func (c *Control) Version() Version { return c.opt.Version }

// ServerID is by what platforms know this server.
func (c *Control) ServerID() string { return c.opt.ServerID() }

// Settings are the configuration as it holds.
func (c *Control) Settings() Settings { return c.opt.Settings }

// ErrNoSupervisor is why the server cannot be restarted from within.
var ErrNoSupervisor = errors.New("nobody watches over this process who could replace it")

// Restart has another process take the server over, as vigil reload --worker does.
func (c *Control) Restart() error {
	if c.opt.Restart == nil {
		return ErrNoSupervisor
	}
	return c.opt.Restart()
}
