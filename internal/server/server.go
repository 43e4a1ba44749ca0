package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/auth"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/governor"
	"github.com/vigil-media/vigil/internal/hook"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/log"
	"github.com/vigil-media/vigil/internal/metrics"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/all"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch/bundle"
)

// secretFile is where the API secret is kept, under the data folder.
const secretFile = "api-secret"

// openTime is how long the disk may take at start, before the server gives up.
const openTime = 10 * time.Second

// Options are what a server is made of.
type Options struct {
	Config  *conf.Config
	Version string
	Console io.Writer // the log goes here
	Screen  io.Writer // the start-up screen goes here; nil: none
	Exit    func()    // ends the process at once, when it is out of memory and has not ended in order; nil: nothing does
	Notes   []string  // about the configuration, for the log
	Parent  Parent    // the process that watches over this one; nil: none does
}

// Server is a Vigil that listens. Run it.
type Server struct {
	cfg     config
	opt     Options
	log     *log.Log
	logger  *slog.Logger
	store   *disk.Store
	volume  *disk.Volume
	folders []*folder    // that rooms write to
	trees   []*disk.Tree // that files are read from
	net     *network
	hub     *hub.Hub
	hooks   *hook.Hooks
	auth    *auth.Auth
	events  *api.Events
	memory  *governor.Governor
	egress  *egress.Egress
	http    *httpServer
	sends   func(path string) bool // see httpServer
	newID   func() string          // of sessions
	rooms   []protocol.Server
	watch   *watcher
	book    *alarmBook

	live       *live
	apiSecret  atomic.Pointer[conf.Secret]
	retireOnce sync.Once
	retired    chan struct{} // closed by Retire
	closing    atomic.Bool   // it drains
}

// New builds a server and opens its listeners. A *ListenError says that one cannot be opened, conf.Problems that the
// configuration is wrong.
func New(o Options) (*Server, error) {
	if err := Check(o.Config); err != nil {
		return nil, err
	}
	cfg, err := decode(o.Config)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, opt: o, retired: make(chan struct{}), book: newAlarmBook()}
	s.log = log.New(log.Options{Config: cfg.log, Console: o.Console})
	s.logger = s.log.Logger()
	if o.Parent != nil {
		s.cfg.hub.Probe = o.Parent.Token()
	}
	s.watch = s.newWatcher()
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	if err := s.openData(ctx); err != nil {
		return nil, err
	}
	s.net = newNetwork(s.cfg.hub, s.logger)
	if o.Parent != nil {
		s.net.open = adopted(o.Parent.Listen)
	}
	s.net.requests.board = s.watch.board
	if err := s.build(ctx); err != nil {
		s.net.close()
		if kept := s.live.now.Load().kept; len(kept) > 0 {
			err = fmt.Errorf("%w (%s in the data folder has changed %s)", err, keptFile, strings.Join(slices.Sorted(maps.Keys(kept)), ", "))
		}
		return nil, err
	}
	return s, nil
}

// openData opens the data folder, and reads what it holds of the configuration.
func (s *Server) openData(ctx context.Context) error {
	s.volume = disk.NewVolume(disk.VolumeOptions{Name: "data", Log: s.logger, Board: s.watch.board})
	var err error
	s.store, err = disk.Call(ctx, s.volume, 0, "open", func() (*disk.Store, error) { return disk.Open(s.cfg.data) })
	if err != nil {
		return err
	}
	s.watch.shelf = bundle.NewShelf(s.store)
	if err = s.readKept(ctx); err != nil {
		return err
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return err
	}
	s.apiSecret.Store(&secret)
	return nil
}

// hubConfig is the hub's part of a configuration.
func (s *Server) hubConfig(cfg *config) hub.Config {
	c := cfg.hub // players alone must not use up the descriptors
	c.Limits.Connections = min(c.Limits.Connections, s.net.files.mediaMost())
	c.Decision = cfg.hook.Timeout + decisionSpare
	c.Serves = cfg.serve.Serves()
	return c
}

func (s *Server) build(ctx context.Context) error {
	tlsConfig, err := newTLS(s.cfg.tls, s.logger)
	if err != nil {
		return err
	}
	s.egress = egress.New(s.cfg.egress, s.logger)
	m := metrics.New()
	if s.hooks, err = s.newHooks(ctx); err != nil {
		return err
	}
	s.events = api.NewEvents()
	s.auth = auth.New(s.cfg.auth, s.hooks)
	s.hub = hub.New(s.hubConfig(&s.cfg), s.auth, m, alarms{s.logger, s.net.refusals, s.book}, s.hooks, s.events)
	s.hooks.Serve(s.hub)
	s.hub.SetPressure(s.leastPressure())
	s.hub.Watch(s.watch.board)
	s.egress.Watch(s.watch.board)
	s.log.Watch(s.watch.board)
	s.memory = s.newGovernor()
	s.net.pressure = s.memory.Level
	s.newID = newIDs()
	mux := protocol.NewMux()
	if err = s.windows(mux, m); err != nil {
		return err
	}
	env := protocol.Env{
		Hub: s.hub, Log: s.logger, Net: s.net, HTTP: mux, TLS: tlsConfig, Egress: s.egress, NewID: s.newID,
		Passwords: s.auth, Patience: s.auth.Patience(), Refusals: s.net.refusals, Watch: s.watch.board, Folder: s.folder,
	}
	if s.rooms, err = rooms(env, s.opt.Config); err != nil {
		return err
	}
	if s.http, err = listenHTTP(s.cfg.http, s.net, s.net.listenControl, tlsConfig, mux); err != nil { //nolint:contextcheck // a listener outlives it
		return err
	}
	s.http.sends = s.sends
	return nil
}

// rooms lets every protocol open its listeners.
func rooms(env protocol.Env, c *conf.Config) ([]protocol.Server, error) {
	var servers []protocol.Server
	for _, p := range all.Protocols() {
		s, err := p.Serve(env, c.Section(p.Name))
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// secret returns the API's secret: the configured one, or the one that the first run made.
func (s *Server) secret(ctx context.Context) (conf.Secret, error) {
	if s.cfg.api.Secret != "" {
		return s.cfg.api.Secret, nil
	}
	b, err := disk.Call(ctx, s.volume, 0, "API secret", func() ([]byte, error) {
		b, _, err := s.store.ReadOrCreate(secretFile, 0o600, newSecret)
		return b, err
	})
	if exposed, ok := errors.AsType[*disk.ExposedError](err); ok {
		s.logger.Warn("others can read the API secret", "cause", exposed)
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("API secret: %w", err)
	}
	return conf.Secret(trimSpace(b)), nil
}

// newSecret makes up a secret.
func newSecret() ([]byte, error) {
	var b [24]byte
	_, err := rand.Read(b[:])
	return []byte(hex.EncodeToString(b[:]) + "\n"), err
}

// newIDs returns a source of session ids: short, and unique in the process. They begin somewhere, so that two runs are not
// mistaken for one another in a log.
func newIDs() func() string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // it does not fail
	var n atomic.Uint64
	n.Store(uint64(b[0])<<8 | uint64(b[1]))
	return func() string { return fmt.Sprintf("%04x", n.Add(1)) }
}

// Run serves until ctx ends, then drains and returns nil. It returns an error when a part of the server failed.
func (s *Server) Run(ctx context.Context) error {
	defer s.store.Close() //nolint:errcheck // it was only read
	logs, _ := task.NewGroup(context.WithoutCancel(ctx))
	logs.Go("log", s.log.Run)
	told, _ := task.NewGroup(context.WithoutCancel(ctx))
	told.Go("hooks", s.hooks.Run)
	control, controlCtx := task.NewGroup(context.WithoutCancel(ctx))
	control.Go("hub", s.hub.Run)
	control.Go("memory", s.memory.Run)
	control.Go("watch", s.watch.run)
	control.Go("patrol", s.patrols)
	control.Go("settings", s.live.inherit)
	control.Go("volume", func(ctx context.Context) error { return s.runVolume(ctx, s.volume) })
	for _, f := range s.folders {
		control.Go("volume", func(ctx context.Context) error { return f.run(ctx, s) })
	}
	for _, t := range s.trees {
		control.Go("volume", func(ctx context.Context) error { return s.runTree(ctx, t) })
	}
	data, dataCtx := task.NewGroup(context.WithoutCancel(ctx))
	data.Go("egress", s.egress.Run)
	data.Go("net", s.net.Run)
	data.Go("http", s.http.Run)
	for _, r := range s.rooms {
		data.Go("protocol", r.Run)
	}
	s.announce(ctx)
	s.ready()

	select {
	case <-ctx.Done():
		s.logger.Info("shutting down", "cause", context.Cause(ctx))
		s.hooks.Close()
		s.drain()
	case <-s.retired:
		s.logger.Info("another worker takes over: the sessions run out")
		s.net.retire()
		s.hooks.Retire()
		s.drain()
	case <-dataCtx.Done(): // a room failed
	case <-controlCtx.Done(): // the hub failed, or there is no memory left
	}
	s.events.Close() // their readers would not end by themselves
	data.Stop(hub.ErrClosing)
	err := data.Wait()
	control.Stop(hub.ErrClosing)
	err = errors.Join(err, control.Wait())
	told.Stop(hub.ErrClosing) // it tells of all that has ended
	err = errors.Join(err, told.Wait())
	if err != nil {
		s.logger.Error("stopped", "cause", err)
	} else {
		s.logger.Info("stopped")
	}
	logs.Stop(nil)
	_ = logs.Wait() // a log that nobody reads has lost lines; the server has not failed
	return err
}

// drain ends the publishers and waits, for a while, until the viewers have run to the end of their streams.
func (s *Server) drain() {
	s.closing.Store(true)
	s.hub.Close()
	limit := time.NewTimer(s.hub.Limit(hub.Draining).Age)
	defer limit.Stop()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		publishers, viewers := s.hub.Sessions()
		if publishers+viewers == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-limit.C:
			s.logger.Warn("closing the sessions that are left", "publishers", publishers, "viewers", viewers)
			return
		}
	}
}
