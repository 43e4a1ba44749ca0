package server

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

// short is a listener whose Accept fails for want of descriptors until it is allowed.
type short struct {
	*net.TCPListener
	now chan struct{}
}

func (s short) Accept() (net.Conn, error) {
	select {
	case <-s.now:
		return s.TCPListener.Accept()
	default:
		return nil, syscall.EMFILE
	}
}

// Who waits while there are no descriptors is refused by means of the spare one, which is taken again (card A01).
func TestSpareDescriptor(t *testing.T) {
	n, _ := room(hub.LimitsConfig{}, 1000)
	n.files.spare.take()
	defer n.files.spare.drop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := short{l.(*net.TCPListener), make(chan struct{})}
	d := n.door(s, nil)
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := d.Accept(); err == nil {
			accepted <- c
		}
	}()
	for range 3 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if errors.Is(err, syscall.ECONNRESET) {
			continue // so fast was it refused
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err = conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("one that waits is told %v", err)
		}
		_ = conn.Close()
	}
	limit := time.Now().Add(5 * time.Second)
	for n.admission.Refusals()[protocol.CauseDescriptors] < 3 { // the count follows the refusal
		if time.Now().After(limit) {
			t.Fatalf("%d refusals were counted", n.admission.Refusals()[protocol.CauseDescriptors])
		}
		runtime.Gosched()
	}
	close(s.now)
	for served := false; !served; {
		if time.Now().After(limit) {
			t.Fatal("not accepted when there are descriptors again")
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			continue // the last that is refused
		}
		select {
		case c := <-accepted:
			_ = c.Close()
			served = true
		case <-time.After(700 * time.Millisecond): // longer than any pause
		}
		_ = conn.Close()
	}
	if n.files.spare.fd.Load() == 0 {
		t.Error("the spare descriptor was not taken again")
	}
	_ = d.Close()
}
