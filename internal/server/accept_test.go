package server

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/governor"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

// failing is a listener that gives what it was told to, then waits until it is closed.
type failing struct {
	net.Listener
	mu     sync.Mutex
	script []any // errors and connections
	done   chan struct{}
}

func newFailing(script ...any) *failing { return &failing{script: script, done: make(chan struct{})} }

func (f *failing) Accept() (net.Conn, error) {
	f.mu.Lock()
	if len(f.script) == 0 {
		f.mu.Unlock()
		<-f.done
		return nil, net.ErrClosed
	}
	defer f.mu.Unlock()
	next := f.script[0]
	f.script = f.script[1:]
	if err, ok := next.(error); ok {
		return nil, err
	}
	return next.(net.Conn), nil
}

func (f *failing) Close() error {
	close(f.done)
	return nil
}

// pipe is a connection with an address.
func pipe(t testing.TB, addr string) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return &addressed{Conn: here, remote: a}
}

type addressed struct {
	net.Conn
	remote net.Addr
	closed bool
}

func (a *addressed) RemoteAddr() net.Addr { return a.remote }

func (a *addressed) Close() error {
	a.closed = true
	return a.Conn.Close()
}

// room is a network of doors with a log. descriptors are what the process may have; none but its connections are in use.
func room(l hub.LimitsConfig, descriptorsMost int) (*network, *bytes.Buffer) {
	var out bytes.Buffer
	n := &network{
		log: slog.New(slog.NewTextHandler(&out, nil)), refusals: protocol.NewRefusals(), lobby: newLobby(),
		pressure:  func() governor.Level { return governor.Calm },
		admission: protocol.NewAdmission(protocol.Quotas{Connections: l.Connections, ConnectionsPerAddress: l.ConnectionsPerAddress}),
	}
	n.files = &descriptors{limit: descriptorsMost, connections: n.admission.Open}
	return n, &out
}

func (n *network) door(l net.Listener, b *lobby) *door {
	return n.newDoor(l, "TEST", b)
}

// Accept waits out whatever is passing, ever longer but not for long (card A01).
func TestAcceptPatience(t *testing.T) {
	for _, errno := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, errors.New("unheard of"),
	} {
		synctest.Test(t, func(t *testing.T) {
			n, out := room(hub.LimitsConfig{ConnectionsPerAddress: 1}, 1000)
			err := &net.OpError{Op: "accept", Err: errno}
			l := newFailing(err, err, err, err, err, err, err, err, err, err, pipe(t, "192.0.2.1:1"),
				err, err, pipe(t, "192.0.2.1:2"), err, pipe(t, "192.0.2.2:1"))
			d := n.door(l, nil)
			defer d.Close()
			begin := time.Now()
			accept := func(want time.Duration) {
				t.Helper()
				conn, err := d.Accept()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				if took := time.Since(begin); took != want {
					t.Errorf("%v: accepted after %v, want %v", errno, took, want)
				}
				begin = time.Now()
			}
			accept((5+10+20+40+80+160+320)*time.Millisecond + 3*acceptPauseLongest)
			accept((5 + 10 + 5) * time.Millisecond) // it has begun anew, and does so after one that is refused
			if lines := strings.Count(out.String(), "cannot accept"); lines < 2 || lines > 4 {
				t.Errorf("%d lines about it", lines)
			}
		})
	}
}

// Close ends a pause.
func TestAcceptCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := room(hub.LimitsConfig{}, 1000)
		script := make([]any, 100)
		for i := range script {
			script[i] = syscall.EMFILE
		}
		d := n.door(newFailing(script...), nil)
		var accepted error
		go func() { _, accepted = d.Accept() }()
		time.Sleep(10*time.Second + time.Millisecond)
		begin := time.Now()
		_ = d.Close()
		synctest.Wait()
		if !d.closed() || accepted == nil || time.Since(begin) != 0 {
			t.Errorf("ended with %v after %v", accepted, time.Since(begin))
		}
	})
}

// Media stop where the reserve begins, the control plane where the house's own begins; who is refused is closed, counted and named
// in the log once (cards A01, Q03).
func TestDoors(t *testing.T) {
	for name, tc := range map[string]struct {
		limits  hub.LimitsConfig
		files   int
		control bool
		come    int
		let     int
		cause   protocol.Cause
	}{
		"descriptors, media":       {hub.LimitsConfig{}, 100, false, 100, 85, protocol.CauseDescriptors},
		"descriptors, control":     {hub.LimitsConfig{}, 100, true, 100, 88, protocol.CauseDescriptors},
		"connections, media":       {hub.LimitsConfig{Connections: 10}, 1000, false, 80, 10, protocol.CauseConnections},
		"connections, control":     {hub.LimitsConfig{Connections: 10}, 1000, true, 80, 10 + controlSpare, protocol.CauseConnections},
		"of one address":           {hub.LimitsConfig{ConnectionsPerAddress: 3}, 1000, false, 5, 3, protocol.CauseConnectionsPerAddress},
		"of one address, control":  {hub.LimitsConfig{ConnectionsPerAddress: 3}, 1000, true, 5, 3, protocol.CauseConnectionsPerAddress},
		"there is room for no one": {hub.LimitsConfig{}, 0, false, 5, 0, protocol.CauseDescriptors},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, out := room(tc.limits, tc.files)
				var conns []net.Conn
				var script []any
				for range tc.come {
					c := pipe(t, "192.0.2.1:1")
					conns, script = append(conns, c), append(script, c)
				}
				var b *lobby
				if tc.control {
					b = n.lobby
				}
				d := n.door(newFailing(script...), b)
				var accepted []net.Conn
				go func() {
					for c, err := d.Accept(); err == nil; c, err = d.Accept() {
						accepted = append(accepted, c)
					}
				}()
				synctest.Wait()
				if len(accepted) != tc.let {
					t.Errorf("%d of %d were let in, want %d", len(accepted), tc.come, tc.let)
				}
				for i, c := range conns {
					if refused := i >= tc.let; c.(*addressed).closed != refused {
						t.Errorf("connection %d: closed %v", i, !refused)
					}
				}
				if got := n.admission.Refusals()[tc.cause]; got != uint64(tc.come-tc.let) {
					t.Errorf("%d refusals were counted: %v", got, n.admission.Refusals())
				}
				if lines := strings.Count(out.String(), "refused a connection"); lines != 1 {
					t.Errorf("%d lines about it", lines)
				}
				if media := n.mediaRefused(); (media == "") == (tc.control && yields(tc.cause)) {
					t.Errorf("requests for media are refused for %q", media)
				}
				for _, c := range accepted {
					_ = c.Close()
				}
				if n.admission.Open() != 0 {
					t.Errorf("%d places are not given back", n.admission.Open())
				}
				_ = d.Close()
			})
		})
	}
}

// When memory is short nobody new is let in for media, and of those who play nothing over HTTP a few stay; all are again once there is
// memory.
func TestDoorsWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := room(hub.LimitsConfig{}, 1000)
		level := governor.Refuse
		n.pressure = func() governor.Level { return level }
		media, control := n.door(newFailing(), nil), n.door(newFailing(), n.lobby)
		if c := media.admit(pipe(t, "192.0.2.1:1")); c != nil {
			t.Error("media are let in")
		}
		let := func() bool {
			c := control.admit(pipe(t, "192.0.2.1:1"))
			if c != nil {
				n.lobby.note(c, http.StateNew)
				n.lobby.note(c, http.StateActive)
			}
			return c != nil
		}
		for i := range controlSpare {
			if !let() {
				t.Fatalf("connection %d of HTTP is refused", i)
			}
		}
		if let() {
			t.Error("more of HTTP are let in than the reserve")
		}
		if got := n.admission.Refusals()[protocol.CauseMemory]; got != 2 {
			t.Errorf("%d refusals were counted", got)
		}
		time.Sleep(lobbyUnread) // that is how long they do not take their answers
		if !let() {
			t.Error("those who do not read keep others out")
		}
		level = governor.Shed
		if c := media.admit(pipe(t, "192.0.2.1:1")); c == nil || !let() {
			t.Error("nobody is let in though there is memory")
		}
	})
}

// The sharing out of descriptors holds for small limits too.
func TestDescriptors(t *testing.T) {
	for limit, want := range map[int][2]int{
		256: {217, 244}, 1024: {870, 994}, 100_000: {85_000, 97_000}, 20: {17, 18}, unlimitedMost: {912_680_550, 1_041_529_570},
	} {
		d := descriptors{limit: limit}
		if got := [2]int{d.mediaMost(), d.controlMost()}; got != want {
			t.Errorf("%d: %v, want %v", limit, got, want)
		}
	}
}

// Descriptors that are no connections are measured.
func TestDescriptorsMeasured(t *testing.T) {
	known := 0
	d := newDescriptors(func() int { return known })
	defer d.spare.drop()
	before := d.used()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	d.measure()
	if got := d.used() - before; got < 18 || got > 24 { // others come and go
		t.Errorf("20 listeners are %d descriptors", got)
	}
	known = 15 // of them, let us say, are connections
	d.measure()
	if got := d.used() - before; got < 18 || got > 24 {
		t.Errorf("of which 15 are connections: %d", got)
	}
}
