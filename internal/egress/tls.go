package egress

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// NewTLSListener returns a listener whose connections are those of l with TLS, like tls.NewListener. Shards can serve them.
func NewTLSListener(l net.Listener, cfg *tls.Config) net.Listener {
	cfg = cfg.Clone()
	// Small records at the beginning are for pages of the web. Here they would double the number of records of each join.
	cfg.DynamicRecordSizingDisabled = true
	return &tlsListener{l, cfg}
}

type tlsListener struct {
	net.Listener
	cfg *tls.Config
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&wire{Conn: conn}, l.cfg), nil
}

// wire is what is under a TLS connection: at first the network, and once a shard has it, memory.
type wire struct {
	net.Conn         // nil when it is taken
	taken    bool    // the shard has it
	in       []byte  // ciphertext from the peer
	out      *[]byte // where ciphertext for the peer is put
}

// NetConn returns the connection under it.
func (w *wire) NetConn() net.Conn { return w.Conn }

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	if !w.taken {
		return w.Conn.Read(b)
	}
	if len(w.in) == 0 {
		return 0, errEmpty
	}
	n := copy(b, w.in)
	w.in = w.in[n:]
	return n, nil
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	if !w.taken {
		return w.Conn.Write(b)
	}
	if w.out == nil {
		return 0, io.ErrClosedPipe
	}
	*w.out = append(*w.out, b...)
	return len(b), nil
}

// SetDeadline implements net.Conn. Memory does not wait.
func (w *wire) SetDeadline(t time.Time) error {
	if w.taken {
		return nil
	}
	return w.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(t time.Time) error {
	if w.taken {
		return nil
	}
	return w.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.taken {
		return nil
	}
	return w.Conn.SetWriteDeadline(t)
}

// sealBytes is how much is enciphered at once. What a full socket does not take of it has to be kept for each viewer: a
// record cannot be made again.
const sealBytes = 16 << 10

// unsentMost is how much ciphertext may wait for a full socket: what was enciphered at once, and some answers.
const unsentMost = sealBytes + 4<<10

// tlsSocket is a socket with TLS on it.
type tlsSocket struct {
	under  socket
	conn   *tls.Conn
	wire   *wire
	unsent []byte // ciphertext that the socket did not take
	broken error
}

// flush sends the ciphertext that was left.
func (t *tlsSocket) flush(s *scratch) error {
	if t.broken != nil {
		return t.broken
	}
	n, err := t.under.send(t.unsent, s)
	if t.unsent = t.unsent[n:]; len(t.unsent) == 0 {
		t.unsent = nil
	}
	return err
}

// put sends the ciphertext that write makes, and keeps what the socket does not take. Nothing may be left from before.
func (t *tlsSocket) put(s *scratch, write func() error) error {
	s.out = s.out[:0]
	t.wire.out = &s.out
	err := write()
	t.wire.out = nil
	if err != nil {
		return err
	}
	n, err := t.under.send(s.out, s)
	t.unsent = append(t.unsent, s.out[n:]...)
	return err
}

// send implements socket.
func (t *tlsSocket) send(b []byte, s *scratch) (int, error) {
	if err := t.flush(s); err != nil {
		return 0, err
	}
	for sent := 0; ; {
		piece := b[sent:min(len(b), sent+sealBytes)]
		if len(piece) == 0 {
			return sent, nil
		}
		sent += len(piece)
		if err := t.put(s, func() error { _, err := t.conn.Write(piece); return err }); err != nil {
			return sent, err
		}
	}
}

// recv implements socket.
func (t *tlsSocket) recv(b []byte, s *scratch) (n int, err error) {
	if s.cipher == nil {
		s.cipher = make([]byte, inputBytes)
	}
	var answer []byte // to a request for new keys
	t.wire.out = &answer
	defer func() {
		t.wire.out = nil
		t.wire.in = bytes.Clone(t.wire.in) // not s.cipher, which is the next peer's
		if len(answer) == 0 {
			return
		}
		t.unsent = append(t.unsent, answer...)
		switch ferr := t.flush(s); {
		case len(t.unsent) > unsentMost:
			err = ErrReplies
		case ferr != nil && !errors.Is(ferr, errFull):
			err = ferr
		}
	}()
	for {
		for err = nil; n < len(b) && err == nil; { // record by record
			var got int
			got, err = t.conn.Read(b[n:])
			n += got
		}
		if n > 0 {
			return n, nil
		}
		if err != errEmpty { //nolint:errorlint // it is not wrapped
			return 0, err
		}
		got, err := t.under.recv(s.cipher, s)
		if err != nil {
			return 0, err
		}
		t.wire.in = append(t.wire.in, s.cipher[:got]...)
	}
}

// ready implements socket.
func (t *tlsSocket) ready() (ready, moved bool) {
	if before := len(t.unsent); before > 0 {
		err := t.flush(nil)
		moved = len(t.unsent) < before
		if errors.Is(err, errFull) {
			return false, moved
		}
		t.broken = err
	}
	ready, _ = t.under.ready()
	return t.broken != nil || ready, moved
}

// closeWrite implements socket.
func (t *tlsSocket) closeWrite(s *scratch) error {
	if err := t.flush(s); err != nil {
		return err
	}
	if err := t.put(s, t.conn.CloseWrite); err != nil {
		return err
	}
	return t.under.closeWrite(s)
}

// cut implements socket.
func (t *tlsSocket) cut() { t.under.cut() }

// close implements socket.
func (t *tlsSocket) close(abort bool) { t.under.close(abort) }
