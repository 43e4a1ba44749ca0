package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	eventsTogether  = 64               // that are sent with one write
	eventWriteTime  = 5 * time.Second  // for a reader to take them
	eventsKeepAlive = 15 * time.Second // after which something is sent, if it is only a comment
)

// events adds the stream of events.
func (a *API) events(h huma.API) {
	schemas := h.OpenAPI().Components.Schemas
	one := schemas.Schema(reflect.TypeFor[event](), true, "")
	lost := schemas.Schema(reflect.TypeFor[loss](), true, "")
	op := operation("read-events", http.MethodGet, eventsPath, tagEvents, "What happens, as server-sent events",
		http.StatusBadRequest, http.StatusServiceUnavailable)
	op.Description = fmt.Sprintf("An answer that goes on (text/event-stream). Each event has an id, a kind as its name, and an Event as JSON in its data. "+
		"The newest %d are kept. A reader that is too slow gets an event named lost with a Loss as its data, and goes on with the oldest that is left. "+
		"There are comments as signs of life, every %v. At most %d may read at a time.", eventsKept, eventsKeepAlive, subscribersMost)
	op.Parameters = []*huma.Param{
		{Name: "kind", In: "query", Description: "Only these, with commas between them: " + kinds, Schema: &huma.Schema{Type: huma.TypeString}},
		{Name: "stream", In: "query", Description: "Only those of this stream: app/name", Schema: &huma.Schema{Type: huma.TypeString}},
		{
			Name: "Last-Event-ID", In: "header", Description: "Id of the last event that was read: those that came since then are sent first",
			Schema: &huma.Schema{Type: huma.TypeString},
		},
	}
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Server-sent events, whose data are these",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{AnyOf: []*huma.Schema{one, lost}}}},
	}}
	raw(h, &op, a.opt.Events.ServeHTTP)
}

// ServeHTTP implements http.Handler. It returns when the reader has left or is too slow for a write, or with Close.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wanted, err := readSelection(query.Get("kind"), query.Get("stream"))
	if f, wrong := errors.AsType[*failure](err); wrong {
		write(w, f.Code, f)
		return
	}
	if e.isClosed() || !e.join() {
		w.Header().Set("Retry-After", "5")
		writeError(w, http.StatusServiceUnavailable, "limit", fmt.Sprintf("the server ends, or %d read events already", subscribersMost))
		return
	}
	defer e.leave()
	s := subscriber{events: e, w: w, control: http.NewResponseController(w), wanted: wanted}
	if s.control.SetWriteDeadline(time.Now().Add(eventWriteTime)) != nil {
		writeError(w, http.StatusInternalServerError, wordOf(http.StatusInternalServerError), "events cannot be sent here: a write could last for ever")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies are to pass it on as it comes
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	s.run(r.Context(), r.Header.Get("Last-Event-ID"))
}

func (e *Events) isClosed() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// subscriber is one that reads events.
type subscriber struct {
	events  *Events
	w       http.ResponseWriter
	control *http.ResponseController
	wanted  selection

	next  uint64 // number of the event that it has not read
	text  []byte // that is to be written
	batch [eventsTogether]entry
}

// run writes events until ctx ends, nobody takes them, or there are to be no more.
func (s *subscriber) run(ctx context.Context, id string) {
	var known bool
	s.next, known = s.events.from(id)
	s.text = append(s.text, "retry: 1000\n"...)
	if known {
		s.mark()
	} else {
		s.lose(loss{Restarted: true})
	}
	alive := time.NewTimer(eventsKeepAlive)
	defer alive.Stop()
	for {
		more := s.gather()
		if len(s.text) > 0 {
			if s.flush() != nil {
				return
			}
			alive.Reset(eventsKeepAlive)
		}
		if more == nil { // there are some already
			if ctx.Err() != nil || s.events.isClosed() {
				return
			}
			continue
		}
		select {
		case <-more:
		case <-alive.C:
			s.text = append(s.text, ": still here\n"...)
			s.mark()
		case <-ctx.Done():
			return
		case <-s.events.closed:
			return
		}
	}
}

// gather makes text of what has come, a batch at the most; if nothing has, more is closed when something does.
func (s *subscriber) gather() (more <-chan struct{}) {
	batch, next, lost, more := s.events.read(s.next, s.batch[:0])
	if s.next = next; lost > 0 {
		s.next -= uint64(len(batch))
		s.lose(loss{Events: lost})
		s.next = next
	}
	for i := range batch {
		if e := &batch[i]; s.wanted.has(e) {
			s.text = fmt.Appendf(s.text, "id: %s\nevent: %s\ndata: %s\n\n", s.events.id(e.number), e.kind, e.data)
		}
	}
	return more
}

// mark tells how far it has read, so that one that comes back is sent what it has not been asked about.
func (s *subscriber) mark() {
	s.text = fmt.Appendf(s.text, "id: %s\n\n", s.events.id(s.next-1))
}

// lose tells that there were events before the next.
func (s *subscriber) lose(l loss) {
	data, _ := json.Marshal(l) // two numbers
	s.text = fmt.Appendf(s.text, "id: %s\nevent: lost\ndata: %s\n\n", s.events.id(s.next-1), data)
}

// flush writes what was gathered, with a deadline.
func (s *subscriber) flush() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(eventWriteTime)); err != nil {
		return err
	}
	if _, err := s.w.Write(s.text); err != nil {
		return err
	}
	s.text = s.text[:0]
	return s.control.Flush()
}
