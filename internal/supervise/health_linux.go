package supervise

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// healthServer is what listens on watch.listen.
type healthServer struct {
	l   net.Listener
	srv *http.Server
}

const (
	answerTime  = 2 * time.Second
	commandTime = 45 * time.Second // startMost and a little
	headerBytes = 16 << 10
	askEvery    = time.Second     // for the configuration's secret
	staleTime   = 2 * time.Second // after which the loop is taken not to run
)

// listenHealth opens the supervisor's own port. It returns nil if there is none, or if the usual one is taken.
func listenHealth(ctx context.Context, s *Supervisor) (*healthServer, error) {
	if s.opt.Health == "" {
		return nil, nil //nolint:nilnil // it is switched off
	}
	var lc net.ListenConfig //nolint:forbidigo // the supervisor holds the sockets
	l, err := lc.Listen(ctx, "tcp", s.opt.Health)
	if err != nil && !s.opt.HealthMust {
		s.log.Warn("health is answered on http.listen only", "address", s.opt.Health, "cause", listenError(err))
		return nil, nil //nolint:nilnil // the same
	}
	if err != nil {
		return nil, &ExitError{3, fmt.Sprintf("watch cannot listen on %s: %s", s.opt.Health, listenError(err))}
	}
	mux := http.NewServeMux()
	s.healthPaths(mux)
	s.commandPaths(mux)
	b := bound(l)
	return &healthServer{l: b, srv: &http.Server{
		Handler: b.handler(mux), ConnContext: placedContext,
		ReadHeaderTimeout: answerTime, ReadTimeout: answerTime, WriteTimeout: commandTime + answerTime, IdleTimeout: answerTime,
		MaxHeaderBytes: headerBytes, ErrorLog: log.New(io.Discard, "", 0),
	}}, nil
}

// listenError is why an address cannot be listened on, without the address.
func listenError(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return "address already in use"
	}
	return err.Error()
}

func (h *healthServer) address() string { return h.l.Addr().String() }

// run answers until ctx ends.
func (h *healthServer) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = h.srv.Close() })
	defer stop()
	if err := h.srv.Serve(h.l); ctx.Err() == nil {
		return err
	}
	return nil
}

// Health is the present state. It never waits: if the loop hangs, that is what it says.
func (s *Supervisor) Health() *Health {
	h := s.state.Load()
	if late := time.Since(h.made); late > staleTime {
		c := *h
		c.Live = wrong(fmt.Sprintf("the supervisor has been stuck for %v", late.Round(time.Second)))
		return &c
	}
	return h
}

// healthPaths adds the health paths, which are everybody's.
func (s *Supervisor) healthPaths(mux *http.ServeMux) {
	for path, pick := range HealthPaths() {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			a := pick(s.Health())
			status := http.StatusOK
			if !a.OK {
				status = http.StatusServiceUnavailable
			}
			answerJSON(w, status, struct {
				Status string `json:"status"`
			}{a.Status})
		})
	}
}

// HealthPaths are the paths, and what they answer.
func HealthPaths() map[string]func(*Health) Answer {
	return map[string]func(*Health) Answer{
		"/livez":    func(h *Health) Answer { return h.Live },
		"/readyz":   func(h *Health) Answer { return h.Ready },
		"/startupz": func(h *Health) Answer { return h.Started },
		"/overload": func(h *Health) Answer { return h.Overload },
	}
}

// commandPaths adds what needs the API's secret.
func (s *Supervisor) commandPaths(mux *http.ServeMux) {
	mux.HandleFunc("GET /status", s.secretly(s.knows, func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, s.Health())
	}))
	mux.HandleFunc("POST /reload", s.secretly(s.willKnow, s.reload))
	mux.HandleFunc("POST /bundle", s.secretly(s.knows, s.bundle))
}

// bundle has the worker gather evidence.
func (s *Supervisor) bundle(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	asked := make(chan bool, 1)
	s.do(ctx, func() { asked <- s.askEvidence("asked by vigil bundle") })
	select {
	case ok := <-asked:
		if ok {
			answerJSON(w, http.StatusAccepted, map[string]string{"status": "evidence is being gathered; the log says where it is kept"})
			return
		}
	case <-ctx.Done():
	}
	answerError(w, http.StatusServiceUnavailable, "no worker takes the request")
}

// reload replaces the worker as planned.
func (s *Supervisor) reload(w http.ResponseWriter, r *http.Request) {
	if s.opt.Check != nil {
		if err := s.opt.Check(); err != nil {
			answerError(w, http.StatusUnprocessableEntity, "nothing was changed: "+err.Error())
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), commandTime)
	defer cancel()
	reply := make(chan error, 1)
	s.do(ctx, func() { s.plan(s.runCtx, "vigil reload", reply) })
	select {
	case err := <-reply:
		if err != nil {
			answerError(w, http.StatusConflict, err.Error())
			return
		}
		answerJSON(w, http.StatusOK, s.Health())
	case <-ctx.Done():
		answerError(w, http.StatusServiceUnavailable, "it takes longer: see the log")
	}
}

// secretly lets only those through whose secret is the right one.
func (s *Supervisor) secretly(right func(hash []byte) bool, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if got := sha256.Sum256([]byte(given)); !right(got[:]) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			answerError(w, http.StatusUnauthorized, "this path needs the secret (see api.secret)")
			return
		}
		h(w, r)
	}
}

// knows says whether a hash is that of the API's secret, as the newest worker has told it.
func (s *Supervisor) knows(hash []byte) bool {
	want := s.secret.Load()
	return want != nil && subtle.ConstantTimeCompare(*want, hash) == 1
}

// willKnow is knows, or says that it is the secret of the configuration as it is by now, which the next worker takes up: who has changed
// the secret knows only the new one. It reads files, and so is done by one at a time, and not often.
func (s *Supervisor) willKnow(hash []byte) bool {
	if s.knows(hash) {
		return true
	}
	if s.opt.Secret == nil || !s.asking.CompareAndSwap(false, true) {
		return false
	}
	defer s.asking.Store(false)
	if !s.asked.IsZero() && time.Since(s.asked) < askEvery {
		return false
	}
	s.asked = time.Now()
	want, err := s.opt.Secret()
	return err == nil && subtle.ConstantTimeCompare(want, hash) == 1
}

func answerError(w http.ResponseWriter, status int, message string) {
	answerJSON(w, status, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{status, message})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // the peer may be gone
}
