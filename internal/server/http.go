package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/task"
)

// Limits of HTTP that are no settings. Live bodies take their connection over, out of these limits' reach.
const (
	httpAnswerTimeout = 5 * time.Second  // for a peer to take its answer
	httpWaitTimeout   = 90 * time.Second // the same, where the answer waits for a stream: covers the longest wait
	httpIdleTimeout   = time.Minute
	httpBodyTimeout   = time.Second            // for the rest of a body that was refused
	httpEndTimeout    = 250 * time.Millisecond // for the answers that are under way when the server ends
	httpHeaderBytes   = 32 << 10
)

// httpServer is the shared HTTP listener, plain and over TLS.
type httpServer struct {
	handler   *protocol.Mux
	log       *slog.Logger
	network   *network
	limit     *protocol.Limiter
	mediaMost int // connections beyond which media are refused
	listeners []net.Listener
	sends     func(path string) bool // whether the answer to a request of the control plane goes on, with deadlines of its own; nil: none does
	handlers  crew                   // of requests, those that have taken their connection over included
}

// listenFunc is protocol.Net's Listen, or one like it.
type listenFunc func(ctx context.Context, name, address string) (net.Listener, error)

// listenHTTP opens the HTTP listeners.
func listenHTTP(cfg httpConfig, n *network, listen listenFunc, t *tls.Config, h *protocol.Mux) (*httpServer, error) {
	s := &httpServer{handler: h, log: n.log, network: n}
	s.limit, s.mediaMost = protocol.NewLimiter(cfg.Connections+controlSpare, n.lobby.makeRoom), cfg.Connections
	open := func(name, address string) (net.Listener, error) {
		l, err := listen(context.Background(), name, address)
		if err != nil {
			return nil, err
		}
		return s.limit.Listener(l), nil
	}
	if !cfg.Listen.Off() {
		l, err := open("HTTP", cfg.Listen.String())
		if err != nil {
			return nil, err
		}
		s.listeners = append(s.listeners, l)
	}
	if !cfg.TLS.Listen.Off() {
		if t == nil {
			return nil, conf.Problems{{Key: "http.tls.listen", Message: "needs tls.cert and tls.key"}}
		}
		l, err := open("HTTPS", cfg.TLS.Listen.String())
		if err != nil {
			return nil, err
		}
		s.listeners = append(s.listeners, egress.NewTLSListener(l, t))
	}
	return s, nil
}

// Run serves until ctx ends, and returns when the last request has been answered.
func (s *httpServer) Run(ctx context.Context) error {
	control := s.network.requests.handler(s.handler)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.handlers.join() {
				return // the connection is about to be closed
			}
			defer s.handlers.leave()
			r = inLetters(r)
			if r.ContentLength != 0 {
				if !takesBody(r) {
					s.refuseBody(w)
					return
				}
				r = readBody(w, r)
			}
			if s.sends != nil && s.sends(r.URL.Path) {
				s.leaveAlone(r)
				s.handler.ServeHTTP(w, r)
				return
			}
			if isControl(r.URL.Path) && s.handler.Named(r) { // else it would be a file or a stream, which is not to be kept in memory until it is whole
				control.ServeHTTP(w, r)
				return
			}
			if cause := s.mediaRefused(); cause != "" {
				s.refuseMedia(w, r, cause)
				return
			}
			if s.handler.Live(r) {
				s.mayWait(w, r)
			}
			s.handler.ServeHTTP(w, r)
		}),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		ReadHeaderTimeout: s.network.unheard,
		ConnState:         s.network.lobby.note,
		WriteTimeout:      httpAnswerTimeout,
		IdleTimeout:       httpIdleTimeout,
		MaxHeaderBytes:    httpHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.With("protocol", "http").Handler(), slog.LevelDebug),
	}
	g, gctx := task.NewGroup(ctx)
	ended := make(chan struct{})
	stop := context.AfterFunc(gctx, func() {
		defer close(ended)
		s.end(context.WithoutCancel(gctx), srv)
	})
	for _, l := range s.listeners {
		g.Go("http accept", func(ctx context.Context) error {
			if err := srv.Serve(l); ctx.Err() == nil {
				return err
			}
			return nil
		})
	}
	err := g.Wait()
	if !stop() {
		<-ended
	}
	s.handlers.wait()
	return err
}

// end lets the answers that are under way out, for a while, and those to requests that have been sent by now. Then all connections are closed.
func (s *httpServer) end(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, httpEndTimeout)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close() // the error is of listeners, which are closed
	}
}

// connKey is of the value of a request's context that is its connection.
type connKey struct{}

// leaveAlone has a connection stay though its answer takes time, when others need room.
func (s *httpServer) leaveAlone(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		s.network.lobby.forget(conn)
	}
}

// mayWait gives the answer to a request the time that a stream may take to come.
func (s *httpServer) mayWait(w http.ResponseWriter, r *http.Request) {
	s.leaveAlone(r)
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(httpWaitTimeout)); err != nil {
		s.log.Debug("cannot give an answer its time", "protocol", "http", "cause", err)
	}
}

// refuseBody answers a request that has a body, which nothing here takes. Without a deadline the HTTP server would wait for
// the body for ever.
func (s *httpServer) refuseBody(w http.ResponseWriter) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(httpBodyTimeout)); err != nil {
		s.log.Debug("cannot limit a request's body", "protocol", "http", "cause", err)
	}
	w.Header().Set("Connection", "close")
	http.Error(w, "a body is not wanted here", http.StatusRequestEntityTooLarge)
}

// mediaRefused says why requests for media are refused, or nothing.
func (s *httpServer) mediaRefused() protocol.Cause {
	if s.limit.Open() > s.mediaMost {
		return protocol.CauseListener
	}
	return s.network.mediaRefused()
}

// isControl says whether a path is of the control plane, which is served whatever else is refused.
func isControl(path string) bool {
	switch path {
	case "/livez", "/readyz", "/startupz", "/overload", "/metrics":
		return true
	}
	return strings.HasPrefix(path, "/api/") || inDialect(path)
}

// httpRetryAfter is when a viewer who was refused may come again, in seconds.
const httpRetryAfter = "5"

// refuseMedia answers a request for media that there is no room for. Its connection is given up.
func (s *httpServer) refuseMedia(w http.ResponseWriter, r *http.Request, cause protocol.Cause) {
	n := s.network
	n.admission.Refused(cause)
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address stands for one that is no IP address
	n.refusals.Logger(s.log, "media "+string(cause), remote.Addr()).Info("refused a request for media", "protocol", "http",
		"remote", remote, "cause", cause)
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Retry-After", httpRetryAfter)
	http.Error(w, "too many connections", http.StatusServiceUnavailable)
}
