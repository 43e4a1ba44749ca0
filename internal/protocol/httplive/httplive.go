package httplive

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

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
	s.allowOrigin(w.Header())
	switch r.Method {
	case http.MethodOptions:
		s.preflight(w)
	case http.MethodHead, http.MethodGet:
		s.play(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "method", r.Method+" is not possible here")
	}
}

func (s *server) allowOrigin(h http.Header) {
	if s.cfg.CORS != "" {
		h.Set("Access-Control-Allow-Origin", s.cfg.CORS)
		h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range")
	}
}

func (s *server) preflight(w http.ResponseWriter) {
	if s.cfg.CORS != "" {
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		w.Header().Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}

// refusal is the JSON body of an error, and the reason of a WebSocket's close frame.
type refusal struct {
	Code    int    `json:"code"`    // HTTP status
	Error   string `json:"error"`   // a stable word
	Message string `json:"message"` // a sentence
}

// refuseFor answers with what an error of the hub means.
func refuseFor(w http.ResponseWriter, err error) {
	refuse(w, protocol.HTTPStatus(err), hub.Reason(err), err.Error())
}

func refuse(w http.ResponseWriter, status int, word, message string) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(headTimeout)) // where there is none, nothing waits
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refusal{status, word, message}) // the peer may be gone
}
