package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/hub"
)

// reader is the connection of somebody who reads events. It implements http.ResponseWriter, and has a write deadline.
type reader struct {
	header http.Header
	got    chan string // a write each; nobody who receives: writes wait

	mu       sync.Mutex
	status   int
	deadline time.Time
}

func newReader(room int) *reader {
	return &reader{header: http.Header{}, got: make(chan string, room)}
}

func (r *reader) Header() http.Header { return r.header }

func (r *reader) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *reader) SetWriteDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return nil
}

func (r *reader) FlushError() error { return nil }

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	left := time.Until(r.deadline)
	r.mu.Unlock()
	select {
	case r.got <- string(p):
		return len(p), nil
	case <-time.After(left):
		return 0, context.DeadlineExceeded
	}
}

// text is all that has been written and not been read yet.
func (r *reader) text() string {
	var b strings.Builder
	for {
		synctest.Wait()
		select {
		case s := <-r.got:
			b.WriteString(s)
		default:
			return b.String()
		}
	}
}

// read has somebody read events, until the function that it returns is called, or they are ended. done is closed then.
func read(t *testing.T, e *api.Events, query, last string, w http.ResponseWriter) (stop func(), done <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/events"+query, nil)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.ServeHTTP(w, r)
	}()
	t.Cleanup(cancel)
	synctest.Wait()
	return cancel, ended
}

// observe tells of something that happened to the stream live/n.
func observe(e *api.Events, kind hub.EventKind, n int) {
	key := hub.Key{VHost: hub.DefaultVHost, App: "live", Name: strconv.Itoa(n)}
	e.Observe(hub.Event{Kind: kind, Session: hub.SessionInfo{ID: "00a1", Key: key, Query: "token=hidden", Agent: "hidden"}, Epoch: 3})
}

// peer is a session with all that is known of it.
func peer(id, path string) hub.SessionInfo {
	q := request(id, "p", path)
	return hub.SessionInfo{ID: id, Protocol: q.Protocol, Key: q.Key, Remote: q.Remote, Query: q.Query, Agent: "hidden"}
}

// sent is one event as it was sent.
type sent struct {
	ID, Kind string
	Data     struct {
		Kind, Stream, Session, Reason, Remote, Protocol string
		Time                                            time.Time
		Epoch, Events                                   uint64
		Restarted                                       bool
	}
}

// parse reads what was sent, as browsers do.
func parse(t *testing.T, text string) (events []sent, last string) {
	t.Helper()
	var s sent
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			t.Fatalf("ends in the midst of a line: %q", text)
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			s.ID, last = value, value
		case "event":
			s.Kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), &s.Data); err != nil {
				t.Fatal(err)
			}
		case "":
			if s.Kind != "" {
				events = append(events, s)
			}
			s = sent{}
		case "retry":
		default:
			t.Errorf("line %q", line)
		}
	}
	return events, last
}

// names are events in short.
func names(events []sent) (short []string) {
	for _, e := range events {
		short = append(short, e.Kind+" "+e.Data.Stream)
	}
	return short
}
