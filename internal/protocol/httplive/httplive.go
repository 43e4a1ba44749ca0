package httplive

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

const suffixFLV = ".live.flv"

// Protocol returns the room.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "httplive", Title: "HTTP-FLV, WebSocket-FLV",
		Defaults: func() any { return Default() },
		Play: []av.Codec{
			av.H264, av.H265, av.AV1, av.VP8, av.VP9, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3, av.AC3, av.FLAC,
		},
		Serve: serve,
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
	if cfg.Enabled {
		env.HTTP.HandleSuffix(suffixFLV, s)
	}
	return s, nil
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
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.cfg.CORS.Allow(w.Header())
	switch r.Method {
	case http.MethodOptions:
		s.cfg.CORS.Preflight(w)
	case http.MethodHead, http.MethodGet:
		s.play(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		protocol.Refusal{Code: http.StatusMethodNotAllowed, Error: "method", Message: r.Method + " is not possible here"}.Answer(w)
	}
}
