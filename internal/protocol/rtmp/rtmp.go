package rtmp

import (
	"context"
	"log/slog"
	"net"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/task"
)

// Protocol returns the room.
func Protocol() protocol.Protocol {
	codecs := []av.Codec{
		av.H264, av.H265, av.AV1, av.VP8, av.VP9, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3, av.AC3, av.FLAC,
	}
	return protocol.Protocol{
		Name: "rtmp", Title: "RTMP", Defaults: func() any { return Default() },
		Publish: codecs, Play: codecs, Serve: serve,
	}
}

type server struct {
	env       protocol.Env
	cfg       *Config
	listeners []net.Listener
	setups    protocol.Setups
	audience  protocol.Audience
}

func serve(env protocol.Env, section conf.Section) (protocol.Server, error) {
	s := &server{env: env, cfg: Default()}
	if err := section.Decode(s.cfg); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) listen() error {
	limit := protocol.NewLimiter(s.cfg.Connections, nil)
	if !s.cfg.Listen.Off() {
		l, err := s.env.Net.Listen(context.Background(), "RTMP", s.cfg.Listen.String())
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, limit.Listener(l))
	}
	if !s.cfg.TLS.Listen.Off() {
		if s.env.TLS == nil {
			return conf.Problems{{Key: "rtmp.tls.listen", Message: "needs tls.cert and tls.key"}}
		}
		l, err := s.env.Net.Listen(context.Background(), "RTMPS", s.cfg.TLS.Listen.String())
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, egress.NewTLSListener(limit.Listener(l), s.env.TLS))
	}
	return nil
}

func (s *server) close() {
	for _, l := range s.listeners {
		_ = l.Close() // nothing can be done about it
	}
}

// Run accepts sessions until ctx ends, and returns when the last session has.
func (s *server) Run(ctx context.Context) error {
	sessions := s.env.Sessions("rtmp", s.cfg.Connections)
	g, gctx := task.NewGroup(ctx)
	stop := context.AfterFunc(gctx, s.close)
	defer stop()
	g.Go("rtmp set-up", func(ctx context.Context) error { return s.setups.Run(ctx, s.env.Hub) })
	for _, l := range s.listeners {
		g.Go("rtmp accept", func(ctx context.Context) error { return protocol.Accept(ctx, l, sessions, "rtmp", s.serve) })
	}
	err := g.Wait()
	sessions.Wait()
	return err
}

// serve serves a connection that was accepted.
func (s *server) serve(ctx context.Context, conn net.Conn) { s.newSession(conn).run(ctx) }

// newSession returns a session for an accepted connection, which it will close.
func (s *server) newSession(conn net.Conn) *session {
	id := s.env.NewID()
	n := &session{
		server: s, conn: protocol.Peer{Conn: conn}, id: id, in: newReader(conn), log: s.logger(id),
	}
	n.remote, n.setup = n.conn.Remote(), s.setups.New(n.conn.Cut)
	return n
}

// logger returns a session's log.
func (s *server) logger(id string) *slog.Logger {
	return s.env.Log.With("protocol", "rtmp", "session", id)
}
