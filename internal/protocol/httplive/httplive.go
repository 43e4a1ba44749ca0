package httplive

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

// Protocol returns the room.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "httplive", Title: "HTTP-FLV, HTTP-TS, HTTP-fMP4, WebSocket",
		Defaults: func() any { return Default() },
		Play:     codecs(),
		Serve:    serve,
	}
}

type server struct {
	env  protocol.Env
	cfg  *Config
	done context.Context //nolint:containedctx // the server's life, which requests and viewings end with
	stop context.CancelCauseFunc
}

func serve(env protocol.Env, section conf.Section) (protocol.Server, error) {
	cfg := Default()
	if err := section.Decode(cfg); err != nil {
		return nil, err
	}
	s := &server{env: env, cfg: cfg}
	s.done, s.stop = context.WithCancelCause(context.Background())
	if !cfg.Enabled {
		return s, nil
	}
	for _, f := range formats(cfg.Form) {
		env.HTTP.HandleSuffix(f.suffix, &endpoint{server: s, format: f})
	}
	return s, nil
}

// endpoint answers what is asked for on the addresses of one format. It implements http.Handler.
type endpoint struct {
	*server
	*format
}

// Run waits for ctx: requests run on the goroutines of the HTTP listener, which waits for them, and who plays is the egress's.
func (s *server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.stop(hub.ErrClosing)
	return nil
}

// logger returns the log of one session. It is made when there is something to say: nothing is kept for it.
func (s *server) logger(name, session string, k hub.Key) *slog.Logger {
	return protocol.SessionLog(s.env.Log.With("protocol", name, "session", session), s.env.Hub, k)
}

// ServeHTTP implements http.Handler.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.cfg.CORS.Asks(w, r) {
		e.play(w, r)
	}
}
