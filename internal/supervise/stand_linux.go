package supervise

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/vigil-media/vigil/internal/task"
)

// stands answer on HTTP while no worker does, so that nobody waits for nothing. Connections of other protocols wait in the queues of
// their sockets. The loop owns them.
type stands []net.Listener

// lent is a listening socket that stays open: closed, it accepts no more.
type lent struct{ *net.TCPListener }

// Close implements net.Listener.
func (l lent) Close() error { return l.SetDeadline(time.Unix(1, 0)) }

const standTimeout = 2 * time.Second // for a request, and for its answer to be taken

// begin answers on the sockets of plain HTTP, unless that is being done already.
func (t *stands) begin(g *task.Group, all []*socket, h http.Handler) {
	if len(*t) > 0 {
		return
	}
	for _, so := range all {
		if so.name != "HTTP" {
			continue
		}
		_ = so.l.SetDeadline(time.Time{}) // of the one before
		st := bound(lent{so.l})
		*t = append(*t, st)
		srv := &http.Server{
			Handler: st.handler(h), ConnContext: placedContext,
			ReadHeaderTimeout: standTimeout, ReadTimeout: standTimeout, WriteTimeout: standTimeout, IdleTimeout: standTimeout,
			MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
		}
		srv.SetKeepAlivesEnabled(false)
		g.Go("stand-in", func(context.Context) error {
			_ = srv.Serve(st) // it ends when a worker takes over
			return nil
		})
	}
}

// close ends the answering. Who has been accepted still gets an answer.
func (t *stands) close() {
	for _, st := range *t {
		_ = st.Close() // it does not fail
	}
	*t = nil
}

// standIn answers the health paths, and everything else with 503.
func (s *Supervisor) standIn() http.Handler {
	mux := http.NewServeMux()
	s.healthPaths(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the server is being restarted", http.StatusServiceUnavailable)
	})
	return mux
}
