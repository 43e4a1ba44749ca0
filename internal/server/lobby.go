package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	lobbyGrace   = 10 * time.Millisecond  // for a newcomer to send its request, before it has to go for another
	lobbyUnheard = 250 * time.Millisecond // a newcomer that has sent none for so long goes before one that has been answered
	lobbyUnread  = time.Second            // one that has not taken its answer for so long goes when there is no other
)

// lobby knows the HTTP connections that do not wait for media, so that there is always one that can be spared: when there is no room for
// a newcomer, the one goes that has been silent for the longest time, or has not taken its answer. So connections that are silent or do
// not read, however many, do not keep a request from being answered. All methods may be called from any goroutine.
type lobby struct {
	mu    sync.Mutex // guards what follows; memory only
	fresh list.List  // of guests that have not sent a request yet; the longest there first
	idle  list.List  // of guests that have been answered, the same
	busy  list.List  // of guests that are being answered, the same
	at    map[net.Conn]seat
}

// guest is one connection.
type guest struct {
	conn  net.Conn // as the HTTP server knows it
	under net.Conn // what is closed
	since time.Time
}

// seat is where a guest is.
type seat struct {
	in *list.List
	at *list.Element
}

func newLobby() *lobby { return &lobby{at: map[net.Conn]seat{}} }

// note is a http.Server's ConnState.
func (b *lobby) note(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(conn)
	switch state {
	case http.StateNew:
		b.at[conn] = seat{&b.fresh, b.fresh.PushBack(guest{conn, under(conn), time.Now()})}
	case http.StateIdle:
		b.at[conn] = seat{&b.idle, b.idle.PushBack(guest{conn, under(conn), time.Now()})}
	case http.StateActive:
		b.at[conn] = seat{&b.busy, b.busy.PushBack(guest{conn, under(conn), time.Now()})}
	case http.StateHijacked, http.StateClosed:
	}
}

// forget leaves a connection alone until its state changes: its request may wait for media.
func (b *lobby) forget(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(conn)
}

// size is the number of connections that do not wait for media.
func (b *lobby) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.at)
}

// remove forgets a connection. Under mu.
func (b *lobby) remove(conn net.Conn) {
	if s, ok := b.at[conn]; ok {
		s.in.Remove(s.at)
		delete(b.at, conn)
	}
}

// makeRoom closes the connection that can best be spared. It may wait for a moment, so that those who have just come can send their
// request. It returns false if every connection is being answered, or waits for media.
func (b *lobby) makeRoom() bool {
	for {
		conn, wait := b.spare(time.Now())
		switch {
		case wait > 0:
			<-time.After(wait) // up to lobbyGrace
		case conn == nil:
			return false
		default:
			_ = conn.Close() // nothing can be done about it
			return true
		}
	}
}

// spare takes the connection that can best be spared out of the lobby, or says how long to wait for it.
func (b *lobby) spare(now time.Time) (conn net.Conn, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, i := b.fresh.Front(), b.idle.Front()
	if f == nil && i == nil {
		if f = b.busy.Front(); f == nil || now.Sub(since(f)) < lobbyUnread {
			return nil, 0
		}
		return b.take(f), 0
	}
	if f == nil || i != nil && now.Sub(since(f)) < lobbyUnheard {
		f = i
	} else if wait = lobbyGrace - now.Sub(since(f)); wait > 0 {
		return nil, wait
	}
	return b.take(f), 0
}

// take takes a guest out and returns what is to be closed. Under mu.
func (b *lobby) take(e *list.Element) net.Conn {
	g := e.Value.(guest) //nolint:forcetypeassert // the lists hold nothing else
	b.remove(g.conn)
	return g.under
}

// expire closes the connections that have not sent a request for limit: the handshake of TLS and the header share it.
func (b *lobby) expire(limit time.Duration) { b.closeOverdue(&b.fresh, limit) }

// clear closes the connections on which no request is being answered, and none was for limit: they may hold a part of one.
func (b *lobby) clear(limit time.Duration) {
	b.closeOverdue(&b.fresh, limit)
	b.closeOverdue(&b.idle, limit)
}

func (b *lobby) closeOverdue(l *list.List, limit time.Duration) {
	for _, conn := range b.overdue(l, time.Now().Add(-limit)) {
		_ = conn.Close() // nothing can be done about it
	}
}

func (b *lobby) overdue(l *list.List, before time.Time) (conns []net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for f := l.Front(); f != nil && since(f).Before(before); f = l.Front() {
		conns = append(conns, b.take(f))
	}
	return conns
}

func since(e *list.Element) time.Time {
	return e.Value.(guest).since //nolint:forcetypeassert // the lists hold nothing else
}

// under is the connection under TLS, which has a farewell that would wait for the peer. It is asked for while the HTTP server has the
// connection for sure.
func under(conn net.Conn) net.Conn {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return conn
	}
	conn = t.NetConn()
	if w, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = w.NetConn()
	}
	return conn
}
