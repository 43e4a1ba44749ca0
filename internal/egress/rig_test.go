package egress

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

// records is a format of records: type, length, body.
type records struct{}

func record(dst []byte, typ byte, body ...byte) []byte {
	dst = append(dst, typ)
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(body))), body...)
}

func (records) Head(dst []byte, _ []*av.Track) []byte { return record(dst, 'H') }

func (records) Config(dst []byte, tracks, _ []*av.Track, _ time.Duration) []byte {
	return record(dst, 'C', byte(tracks[0].Width>>8), byte(tracks[0].Width))
}

func (records) Unit(dst []byte, _ []*av.Track, u *av.AccessUnit) []byte {
	return record(dst, 'U', bytes.Join(u.Data, nil)...)
}

// next reads one record.
func next(r io.Reader) (typ byte, body []byte, err error) {
	var h [5]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(h[1:])
	if n > 64<<20 {
		return 0, nil, fmt.Errorf("record %q of %d bytes: the stream of bytes is broken", h[0], n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return h[0], body, err
}

// session is the protocol of these tests. A peer says bytes: p(ause), r(esume), q(uestion), e(rror), ! (panic). It detects
// calls that it must not get.
type session struct {
	link     *Link
	hear     func(b []byte) error // instead
	farewell func(cause error) []byte
	atEnd    func()

	calls atomic.Int32 // that run
	ended atomic.Pointer[error]
	done  chan struct{} // closed by Ended

	mu    sync.Mutex
	wrong []string
	heard []byte
	asked []error // Farewell
	count byte    // answers
}

var errSession = errors.New("the session has had enough")

func (s *session) enter(call string) (leave func()) {
	if s.calls.Add(1) != 1 {
		s.note(call + " is called while another call runs")
	}
	if s.ended.Load() != nil {
		s.note(call + " is called after Ended")
	}
	return func() { s.calls.Add(-1) }
}

func (s *session) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, text)
}

func (s *session) Hear(b []byte) error {
	defer s.enter("Hear")()
	s.mu.Lock()
	s.heard = append(s.heard, b...)
	s.mu.Unlock()
	if s.hear != nil {
		return s.hear(b)
	}
	for _, c := range b {
		switch c {
		case 'p', 'r':
			s.link.Pause(c == 'p')
			if err := s.link.Reply(record(nil, c)); err != nil {
				return err
			}
		case 'q':
			err := s.link.Reply(record(nil, 'q', s.count))
			if err != nil {
				return err
			}
			s.count++
		case 'e':
			return errSession
		case '!':
			panic("told to")
		}
	}
	return nil
}

func (s *session) Farewell(cause error) []byte {
	defer s.enter("Farewell")()
	s.mu.Lock()
	s.asked = append(s.asked, cause)
	s.mu.Unlock()
	if s.farewell != nil {
		return s.farewell(cause)
	}
	return record(nil, 'F', []byte(cause.Error())...)
}

func (s *session) Ended(cause error) {
	defer s.enter("Ended")()
	if !s.ended.CompareAndSwap(nil, &cause) {
		s.note("Ended is called twice")
		return
	}
	defer close(s.done)
	if s.atEnd != nil {
		s.atEnd()
	}
}

func (s *session) saw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.heard)
}

// peer is the other end of a connection.
type peer interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// halfPipe is a pipe, which has no half-close: it closes.
type halfPipe struct{ net.Conn }

func (p halfPipe) CloseWrite() error { return p.Close() }

// fakeSocket is a socket in memory, with a buffer of limited room.
type fakeSocket struct {
	t    testing.TB
	mu   sync.Mutex
	cond sync.Cond

	room    int    // in the buffer; 0: as much as there is
	most    int    // that a send takes; 0: all
	sink    bool   // count only
	frozen  bool   // takes nothing
	buf     []byte // on its way to the peer
	in      []byte // from the peer
	left    bool   // the peer has closed
	halved  bool   // closeWrite was called
	closed  bool
	sendErr error // instead
	recvErr error

	sends int // calls that took something
	tries int // calls
	total int
	times []time.Time // of sends, if kept
	keep  bool
	onTry func()
}

func newFakeSocket(t testing.TB) *fakeSocket {
	t.Helper()
	f := &fakeSocket{t: t}
	f.cond.L = &f.mu
	return f
}

func (f *fakeSocket) send(b []byte, _ *scratch) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.onTry != nil {
		f.onTry()
	}
	switch {
	case f.closed:
		f.t.Error("send after close")
		return 0, syscall.EBADF
	case f.halved && len(b) > 0:
		f.t.Error("send after closeWrite")
		return 0, syscall.EPIPE
	case f.sendErr != nil:
		return 0, f.sendErr
	case len(b) == 0:
		return 0, nil
	case f.left:
		return 0, syscall.EPIPE
	}
	n := min(len(b), f.space())
	if n > 0 {
		f.sends++
		f.total += n
		if f.keep {
			f.times = append(f.times, time.Now())
		}
		if !f.sink {
			f.buf = append(f.buf, b[:n]...)
			f.cond.Broadcast()
		}
	}
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// space is how much a send takes. Under mu.
func (f *fakeSocket) space() int {
	n := 1 << 30
	if f.frozen {
		return 0
	}
	if f.room > 0 {
		n = max(0, f.room-len(f.buf))
	}
	if f.most > 0 {
		n = min(n, f.most)
	}
	return n
}

func (f *fakeSocket) recv(b []byte, _ *scratch) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		f.t.Error("recv after close")
		return 0, syscall.EBADF
	case len(f.in) > 0:
		n := copy(b, f.in)
		f.in = f.in[n:]
		return n, nil
	case f.recvErr != nil:
		return 0, f.recvErr
	case f.left:
		return 0, io.EOF
	}
	return 0, errEmpty
}

func (f *fakeSocket) ready() (ready, moved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed || f.left || f.sendErr != nil || f.space() > 0, false
}

func (f *fakeSocket) closeWrite(*scratch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.halved {
		f.t.Error("closeWrite after close or closeWrite")
	}
	f.halved = true
	f.cond.Broadcast()
	return nil
}

func (f *fakeSocket) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		f.t.Error("cut after close")
	}
	f.left = true
	f.cond.Broadcast()
}

func (f *fakeSocket) close(bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		f.t.Error("close after close")
	}
	f.closed = true
	f.cond.Broadcast()
}

func (f *fakeSocket) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeSocket) state() (halved, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.halved, f.closed
}

func (f *fakeSocket) counts() (sends, total int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sends, f.total
}

// fakePeer is the other end of a fakeSocket.
type fakePeer struct{ f *fakeSocket }

func (p fakePeer) Read(b []byte) (int, error) {
	f := p.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.buf) == 0 {
		if f.left {
			return 0, net.ErrClosed
		}
		if f.halved || f.closed {
			return 0, io.EOF
		}
		f.cond.Wait()
	}
	n := copy(b, f.buf)
	f.buf = f.buf[n:]
	return n, nil
}

func (p fakePeer) Write(b []byte) (int, error) {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if p.f.closed {
		return 0, syscall.EPIPE
	}
	p.f.in = append(p.f.in, b...)
	return len(b), nil
}

func (p fakePeer) Close() error {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	p.f.left = true
	p.f.cond.Broadcast()
	return nil
}

func (p fakePeer) CloseWrite() error { return p.Close() }

// stubConn stands for the connection whose socket was taken. It counts how often it is closed.
type stubConn struct {
	net.Conn
	closes atomic.Int32
}

func (c *stubConn) Close() error { c.closes.Add(1); return nil }

// rig is a stream and an Egress that runs.
type rig struct {
	t    testing.TB
	e    *Egress
	s    *stream.Stream
	p    *stream.Publisher
	enc  *sim.Encoder
	log  *logBook
	ctx  context.Context   // Run's
	stop func(cause error) // ends Run
	ran  chan struct{}     // closed when Run has returned
	err  error             // of Run

	pauses atomic.Uint64 // of the process, if it is watched

	clients []*client
}

// logBook keeps what is logged.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var errStop = errors.New("the test is over")

// pictures are video only, with short groups.
func pictures() *sim.Encoder { return sim.New(sim.Options{Video: av.H264, GOP: 10}) }

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	return newRigOf(t, o, stream.Options{Keep: time.Hour, MaxLag: time.Hour}, pictures(), 0)
}

// newRigOf returns a rig with at most so many shards; 0: as usual. What is given besides is done before Run.
func newRigOf(t testing.TB, o Options, so stream.Options, enc *sim.Encoder, shards int, before ...func(*Egress)) *rig {
	t.Helper()
	r := &rig{t: t, s: stream.New(so), enc: enc, log: &logBook{}, ran: make(chan struct{})}
	r.p = r.s.Publish()
	if o != (Options{}) && o.StallTimeout == 0 {
		o.StallTimeout = 10 * time.Second
	}
	r.e = New(o, slog.New(slog.NewTextHandler(r.log, nil)))
	if shards > 0 {
		r.e.shards = r.e.shards[:min(shards, len(r.e.shards))]
	}
	ctx, cancel := context.WithCancelCause(context.Background()) //nolint:usetesting // the clean-up ends it
	r.ctx, r.stop = ctx, cancel
	for _, do := range before {
		do(r.e)
	}
	go func() {
		defer close(r.ran)
		r.err = r.e.Run(ctx)
	}()
	limit := time.AfterFunc(10*time.Minute, func() { panic(t.Name() + " hangs") })
	t.Cleanup(func() {
		r.settle()
		limit.Stop()
		cancel(errStop)
		if <-r.ran; r.err != nil {
			t.Errorf("Run: %v", r.err)
		}
	})
	return r
}

// settle ends all clients and judges what their sessions have seen.
func (r *rig) settle() {
	for _, c := range r.clients {
		c.cancel(errStop)
		_ = c.peer.Close()
	}
	for _, c := range r.clients {
		<-c.done
		c.viewer.Close()
		c.mu.Lock()
		if len(c.wrong) > 0 {
			r.t.Errorf("session: %v", c.wrong)
		}
		if len(c.asked) > 1 {
			r.t.Errorf("Farewell was asked for %d times", len(c.asked))
		}
		c.mu.Unlock()
	}
}

// client is one viewer's session, link and peer.
type client struct {
	*session
	r      *rig
	viewer *stream.Viewer
	peer   peer
	sock   *fakeSocket // if it has one
	conn   *stubConn
	cancel context.CancelCauseFunc
	ctx    context.Context
	events []byte // types of records that were answers
}

// join makes a viewer with a connection; play hands it over.
func (r *rig) join(near net.Conn, far peer) *client {
	r.t.Helper()
	return r.joinAs("records", func() stream.Muxer { return records{} }, near, far)
}

func (r *rig) joinAs(key any, mux func() stream.Muxer, near net.Conn, far peer) *client {
	r.t.Helper()
	v, err := r.s.Watch(key, mux)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client{session: &session{done: make(chan struct{})}, r: r, viewer: v, peer: far}
	c.link = r.e.Link(near, c.session)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	r.clients = append(r.clients, c)
	return c
}

// fake makes a viewer over a fake socket.
func (r *rig) fake() *client {
	r.t.Helper()
	return r.fakeAs("records", func() stream.Muxer { return records{} })
}

func (r *rig) fakeAs(key any, mux func() stream.Muxer) *client {
	r.t.Helper()
	sock, conn := newFakeSocket(r.t), &stubConn{}
	c := r.joinAs(key, mux, conn, fakePeer{sock})
	c.sock, c.conn, c.link.sock, c.link.shell = sock, conn, sock, conn
	return c
}

func (c *client) play() *client {
	c.link.Play(c.ctx, c.viewer)
	return c
}

// end waits for Ended and returns its cause.
func (c *client) end() error {
	<-c.done
	return *c.ended.Load()
}

func (c *client) isOver() bool { return c.ended.Load() != nil }

func (c *client) say(text string) {
	c.r.t.Helper()
	if _, err := c.peer.Write([]byte(text)); err != nil {
		c.r.t.Fatal(err)
	}
}

// write publishes n units.
func (r *rig) write(n int) (units []*av.AccessUnit) {
	r.t.Helper()
	for _, u := range r.enc.Take(n) {
		r.put(u)
		units = append(units, u)
	}
	return units
}

func (r *rig) put(u *av.AccessUnit) {
	r.t.Helper()
	if err := r.p.Write(u); err != nil {
		r.t.Fatal(err)
	}
}

// big returns a unit of about size bytes more than usual.
func (r *rig) big(size int) *av.AccessUnit {
	u := r.enc.Next()
	u.Data[0] = append(slices.Clone(u.Data[0]), bytes.Repeat([]byte{0xff}, size)...)
	return u
}

// next reads a record that is no answer; answers are noted.
func (c *client) next() (byte, []byte, error) {
	for {
		typ, body, err := next(c.peer)
		if err != nil || strings.IndexByte("prq", typ) < 0 {
			return typ, body, err
		}
		c.events = append(c.events, typ)
	}
}

// answer reads records up to an answer, and returns the units before it.
func (c *client) answer(typ byte) (units int) {
	c.r.t.Helper()
	for {
		got, body, err := next(c.peer)
		if err != nil {
			c.r.t.Fatalf("no answer %q: %v", typ, err)
		}
		switch got {
		case typ:
			return units
		case 'U':
			units++
		case 'H', 'C':
		default:
			c.r.t.Fatalf("record %q of %d bytes before the answer %q", got, len(body), typ)
		}
	}
}

// pause pauses, and returns when that has been noticed: an answer that was asked for after it has been given.
func (c *client) pause() {
	c.r.t.Helper()
	c.say("p")
	c.answer('p')
	c.say("q")
	c.answer('q')
}

// want reads records and compares their types, and the bodies of units.
func (c *client) want(types string, units ...*av.AccessUnit) {
	c.r.t.Helper()
	for i, want := range []byte(types) {
		typ, body, err := c.next()
		if err != nil || typ != want {
			c.r.t.Fatalf("record %d of %q: %q, %v, want %q", i, types, typ, err, want)
		}
		if typ != 'U' {
			continue
		}
		if !bytes.Equal(body, bytes.Join(units[0].Data, nil)) {
			c.r.t.Fatalf("record %d is another unit", i)
		}
		units = units[1:]
	}
	if len(units) > 0 {
		c.r.t.Fatalf("%d units are missing in %q", len(units), types)
	}
}

// over reads the farewell and the end of the connection.
func (c *client) over(cause error) {
	c.r.t.Helper()
	typ, body, err := c.next()
	if err != nil || typ != 'F' || string(body) != cause.Error() {
		c.r.t.Errorf("%q %q, %v: want the farewell %q", typ, body, err, cause)
		return
	}
	if typ, _, err = c.next(); !errors.Is(err, io.EOF) {
		c.r.t.Errorf("%q, %v: want the connection's end", typ, err)
	}
}

func types(head string, n int) string { return head + strings.Repeat("U", n) }

// silent is a handler for logs that nobody reads.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
