package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

const (
	eventsKept      = 1024 // the newest, for those that read them and those that come back
	subscribersMost = 64
)

// Events keeps the newest events of the hub for those that read them at GET /api/v1/events. It implements hub.Observer, and http.Handler for
// that path (see subscribe.go). A reader is a position: what it has not read in time is gone, and it is told how much that was. Make one with
// NewEvents.
type Events struct {
	run    string        // of ids: tells those of this process from those of another
	closed chan struct{} // by Close
	once   sync.Once

	mu          sync.Mutex // a leaf: guards memory only
	ring        [eventsKept]entry
	next        uint64        // number of the next event; that of the first is 1
	more        chan struct{} // is closed when there is another event; nil: nobody waits for it
	subscribers int
}

// entry is an event that is kept. It is immutable.
type entry struct {
	number uint64
	kind   hub.EventKind
	stream string
	data   []byte // JSON, in one line
}

// event is what readers are told. Nothing in it is secret: queries of URLs are not, and what peers say of themselves neither.
type event struct {
	Kind     string    `json:"kind" doc:"What happened: the name of the event too" example:"published"`
	Time     time.Time `json:"time" doc:"When it was told of"`
	Stream   string    `json:"stream" doc:"Key of the stream: app/name" example:"live/cam1"`
	Session  string    `json:"session,omitempty" doc:"Id of the publisher or viewer"`
	Protocol string    `json:"protocol,omitempty" doc:"Of the session"`
	Remote   string    `json:"remote,omitempty" doc:"The session's peer"`
	Epoch    uint64    `json:"epoch,omitempty" doc:"Which publisher of the stream it is: grows with every one"`
	Reason   string    `json:"reason,omitempty" doc:"Of what has ended: why, in a stable word; done: it was over" example:"kicked"`
	Rival    string    `json:"rival,omitempty" doc:"Of duel and ghost: id of the owner"`
	Viewers  int       `json:"viewers,omitempty" doc:"Of lapsed and resumed: how many wait; of stuck: how many have lost the stream"`
	Track    string    `json:"track,omitempty" doc:"Of mute: the track, for people"`
}

// loss is what a reader is told that was too slow, or comes from another process, as the event "lost".
type loss struct {
	Events    uint64 `json:"events" doc:"How many it has missed, of all kinds and streams"`
	Restarted bool   `json:"restarted,omitempty" doc:"The server is another than before: nobody knows how many. What follows is all that it has kept"`
}

// NewEvents returns the events of a hub that has yet to be made. Tell the hub of it.
func NewEvents() *Events {
	return &Events{run: strconv.FormatInt(time.Now().UnixNano(), 36), closed: make(chan struct{}), next: 1}
}

// Observe implements hub.Observer. It never waits.
func (e *Events) Observe(h hub.Event) {
	stream := h.Session.Key.String()
	data, err := json.Marshal(eventOf(h, stream))
	if err != nil {
		return // an event has nothing that cannot be written
	}
	e.mu.Lock()
	e.ring[e.next%eventsKept] = entry{e.next, h.Kind, stream, data}
	e.next++
	more := e.more
	e.more = nil
	e.mu.Unlock()
	if more != nil {
		close(more)
	}
}

func eventOf(h hub.Event, stream string) event {
	s := &h.Session
	v := event{
		Kind: string(h.Kind), Time: time.Now(), Stream: stream, Session: s.ID, Protocol: s.Protocol, Epoch: h.Epoch, Rival: h.Rival.ID,
		Viewers: h.Viewers,
	}
	if s.Remote.IsValid() {
		v.Remote = s.Remote.String()
	}
	if h.Cause != nil || h.Kind == hub.Unpublished || h.Kind == hub.Stopped {
		v.Reason = hub.Reason(h.Cause)
	}
	if h.Track != nil {
		v.Track = h.Track.String()
	}
	return v
}

// Close ends all that read, and lets nobody in any more. It does not wait for them.
func (e *Events) Close() { e.once.Do(func() { close(e.closed) }) }

// read appends to batch what was kept from a number on, as far as there is room, and says which number is next, and how many are gone. Where
// there is nothing yet, more is closed when there is.
func (e *Events) read(from uint64, batch []entry) (out []entry, next, lost uint64, more <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if oldest := e.oldest(); from < oldest {
		from, lost = oldest, oldest-from
	}
	if from == e.next && e.more == nil {
		e.more = make(chan struct{})
	}
	if from == e.next {
		return batch, from, lost, e.more
	}
	for ; from < e.next && len(batch) < cap(batch); from++ {
		batch = append(batch, e.ring[from%eventsKept])
	}
	return batch, from, lost, nil
}

// oldest is the number of the oldest event that is kept. Under mu.
func (e *Events) oldest() uint64 { return max(1, e.next-min(e.next, eventsKept)) }

// from is where somebody goes on who has read up to an id: "" stands for the newest. known is false for an id of another process.
func (e *Events) from(id string) (number uint64, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id == "" {
		return e.next, true
	}
	run, text, _ := strings.Cut(id, "-")
	read, err := strconv.ParseUint(text, 10, 64)
	if err != nil || run != e.run || read >= e.next {
		return e.oldest(), false
	}
	return read + 1, true
}

// id is what readers know an event by.
func (e *Events) id(number uint64) string { return e.run + "-" + strconv.FormatUint(number, 10) }

// join lets a reader in, if there is room. It is to leave.
func (e *Events) join() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.subscribers >= subscribersMost {
		return false
	}
	e.subscribers++
	return true
}

func (e *Events) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subscribers--
}

// selection is which events somebody wants to read. What is empty is of no account.
type selection struct {
	kinds  map[hub.EventKind]bool
	stream string
}

// kinds are all that there are.
const kinds = "published unpublished played stopped opened closed lapsed resumed wanted unwatched duel ghost stuck mute"

// readSelection reads the arguments; the error is for the caller of the API.
func readSelection(kind, stream string) (s selection, err error) {
	if kind != "" {
		s.kinds = map[hub.EventKind]bool{}
		for word := range strings.SplitSeq(kind, ",") {
			if !strings.Contains(" "+kinds+" ", " "+word+" ") || word == "" {
				return s, failed(http.StatusBadRequest, "bad-request", fmt.Sprintf("%.64q is no kind of event: there are %s", word, kinds))
			}
			s.kinds[hub.EventKind(word)] = true
		}
	}
	if stream != "" {
		key, err := parseKey(stream)
		if err != nil {
			return s, err
		}
		s.stream = key.String()
	}
	return s, nil
}

func (s *selection) has(e *entry) bool {
	return (s.kinds == nil || s.kinds[e.kind]) && cmp.Or(s.stream, e.stream) == e.stream
}
