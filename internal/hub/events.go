package hub

import (
	"context"
	"sync"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// EventKind says what happened.
type EventKind string

// The events. Unpublished follows Published of the same session, Stopped follows Played. Of one key, each Published is
// followed by its Unpublished before the next Published, and the epochs rise.
const (
	Published   EventKind = "published"
	Unpublished EventKind = "unpublished"
	Played      EventKind = "played"
	Stopped     EventKind = "stopped"
)

// More events, which stand by themselves.
const (
	Opened    EventKind = "opened"    // a stream can be watched: its tracks are known. Once for each stream, whoever goes on with it
	Closed    EventKind = "closed"    // a stream that was opened has ended; before the next of its key is opened
	Lapsed    EventKind = "lapsed"    // a publisher was lost, and its viewers wait for another
	Resumed   EventKind = "resumed"   // another has come
	Wanted    EventKind = "wanted"    // a viewer begins to wait for a stream that nobody publishes
	Unwatched EventKind = "unwatched" // a publisher's stream has had no viewer for the idle delay; once for each time
	Duel      EventKind = "duel"      // two publishers take a key from each other; the owner is held
	Ghost     EventKind = "ghost"     // a publisher is refused because of an owner that makes no progress; of a key, once a second
	Stuck     EventKind = "stuck"     // a unit of a publisher does not get through its stream, which was given up
	Mute      EventKind = "mute"      // a track has stopped while others of its stream go on; once for each time
)

// Event tells observers of a change. It is a copy.
type Event struct {
	Kind    EventKind
	Session SessionInfo
	Epoch   uint64      // of the lease of the session, or, for Duel and Ghost, of its rival
	Cause   error       // of Unpublished, Stopped and Stuck
	Rival   SessionInfo // the owner, for Duel and Ghost
	Track   *av.Track   // for Mute
	Viewers int         // that wait, for Lapsed and Resumed; that have lost the stream, for Stuck

	Terms   Terms       // of the stream when it was opened, for Opened and Closed
	Dismiss func(error) // of Wanted: ends the wait, with this cause; later it does nothing. It does not wait
}

// Observer is told of events, in order, by one goroutine of the hub. It must return soon: events that come while eventsMax
// wait are dropped and counted.
type Observer interface{ Observe(e Event) }

// eventsMax bounds the events that wait for the observers.
const eventsMax = 4096

type eventQueue struct {
	observers []Observer
	wake      chan struct{}
	board     *watch.Board
	cell      *watch.Cell // of run

	mu      sync.Mutex
	waiting []Event
	dropped uint64
}

func newEventQueue(observers []Observer) *eventQueue {
	return &eventQueue{observers: observers, wake: make(chan struct{}, 1)}
}

// put queues an event and wakes who delivers. It never waits.
func (q *eventQueue) put(e Event) {
	q.add(e)
	q.poke()
}

// add queues an event. It touches memory only: the order of a key's events is made under the hub's lock.
func (q *eventQueue) add(e Event) {
	if len(q.observers) == 0 || e.Session.Key.ofProbe() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) < eventsMax {
		q.waiting = append(q.waiting, e)
	} else {
		q.dropped++
	}
}

// poke wakes who delivers what was added. It never waits.
func (q *eventQueue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run delivers events until ctx ends, and then what still waits.
func (q *eventQueue) run(ctx context.Context) error {
	q.cell = q.board.Claim(watch.Label{Class: watch.Timer, Name: "hub events"})
	defer q.cell.Free()
	for {
		select {
		case <-ctx.Done():
			q.deliver()
			return nil
		case <-q.wake:
			q.deliver()
		}
	}
}

// deliver hands what waits to the observers.
func (q *eventQueue) deliver() {
	q.mu.Lock()
	events := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	for _, e := range events {
		q.cell.Begin()
		for _, o := range q.observers {
			if task.Guard("observer", func() error { o.Observe(e); return nil }) != nil {
				q.drop()
			}
		}
		q.cell.End()
	}
}

// drop counts an event that an observer broke down over.
func (q *eventQueue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
}

func (q *eventQueue) drops() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
