package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-media/vigil/internal/watch"
)

// Post is a worker's line to its supervisor. Its methods but Beat are safe for concurrent use.
type Post struct {
	hello  hello
	line   *line
	beats  int             // descriptor
	beat   [beatBytes]byte // Beat's own
	out    *os.File
	health atomic.Pointer[Health]
	orders Orders

	mu      sync.Mutex // guards what follows; memory only
	asked   uint64
	answers map[uint64]chan answer // by the number of what was asked
}

// answer is what the supervisor has done.
type answer struct {
	socket *os.File // or nil
	path   string
	err    string
}

// Orders are what a worker does when its supervisor says so. They must return soon.
type Orders struct {
	Retire func()                          // another worker has begun: stop accepting, let the sessions run out, end
	Bundle func(reason string, asked bool) // gather evidence, and Keep it
}

// helloTime is how long the first message may take.
const helloTime = 5 * time.Second

// Attach returns the line to the supervisor, or nil if this process is no worker. Call it once, first of all.
func Attach() (*Post, error) {
	if os.Getenv(workerEnv) == "" {
		return nil, nil //nolint:nilnil // there is nobody
	}
	if err := os.Unsetenv(workerEnv); err != nil {
		return nil, err
	}
	for _, fd := range []int{lineFD, beatFD, consoleFD} {
		unix.CloseOnExec(fd)
	}
	if err := unix.SetNonblock(beatFD, true); err != nil {
		return nil, fmt.Errorf("heartbeats: %w", err)
	}
	l, err := newLine(os.NewFile(lineFD, "line"))
	if err != nil {
		return nil, err
	}
	if err = l.conn.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return nil, err
	}
	m, _, err := l.receive(make([]byte, messageMost))
	if err != nil {
		return nil, fmt.Errorf("the supervisor says nothing: %w", err)
	}
	if m.Hello == nil {
		return nil, errors.New("the supervisor does not say who this is")
	}
	if err := l.conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return &Post{
		hello: *m.Hello, line: l, beats: beatFD, out: os.NewFile(consoleFD, "console"),
		answers: map[uint64]chan answer{},
	}, nil
}

// Number is that of this worker, from 1.
func (p *Post) Number() int { return p.hello.Number }

// Token is the word by which the probe's sessions are known.
func (p *Post) Token() string { return p.hello.Token }

// HealthAddress is where the supervisor listens, or "".
func (p *Post) HealthAddress() string { return p.hello.Health }

// Why is why this worker was started; "" if it is the first.
func (p *Post) Why() string { return p.hello.Why }

// Planned says that the worker before this one was well.
func (p *Post) Planned() bool { return p.hello.Planned }

// Safe says that the worker is to let no media in: too many before it have died.
func (p *Post) Safe() bool { return p.hello.Safe }

// Console is what the supervisor's standard error is.
func (p *Post) Console() *os.File { return p.out }

// Health is what the supervisor last said of the server's state; nil before it has said anything.
func (p *Post) Health() *Health { return p.health.Load() }

// Run hears the supervisor until ctx ends; then it returns nil. It returns ErrGone when the supervisor does not live any more.
func (p *Post) Run(ctx context.Context, o Orders) error {
	p.orders = o
	stop := context.AfterFunc(ctx, func() { _ = p.line.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, messageMost)
	for {
		m, f, err := p.line.receive(buf)
		if ctx.Err() != nil {
			closeFile(f)
			return nil
		}
		if err != nil {
			return ErrGone
		}
		p.hear(m, f)
	}
}

// hear obeys a message.
func (p *Post) hear(m *message, f *os.File) {
	switch {
	case m.Listen != nil:
		p.answered(m.Listen.ID, answer{socket: f, err: m.Listen.Error})
		return
	case m.Health != nil:
		m.Health.heard = time.Now()
		p.health.Store(m.Health)
	case m.Retire && p.orders.Retire != nil:
		p.orders.Retire()
	case m.Bundle != nil && m.Bundle.ID != 0:
		p.answered(m.Bundle.ID, answer{path: m.Bundle.Path, err: m.Bundle.Error})
	case m.Bundle != nil && p.orders.Bundle != nil:
		p.orders.Bundle(m.Bundle.Reason, m.Bundle.Asked)
	}
	closeFile(f)
}

// ask notes that an answer will come; forget takes the note back.
func (p *Post) ask() (id uint64, ch <-chan answer) {
	room := make(chan answer, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	p.answers[p.asked] = room
	return p.asked, room
}

// answered hands an answer to who has asked.
func (p *Post) answered(id uint64, a answer) {
	p.mu.Lock()
	ch := p.answers[id]
	delete(p.answers, id)
	p.mu.Unlock()
	if ch == nil {
		closeFile(a.socket) // nobody waits any more
		return
	}
	ch <- a // it has room for one
}

// forget says that nobody waits for an answer any more.
func (p *Post) forget(id uint64, ch <-chan answer) {
	p.mu.Lock()
	_, pending := p.answers[id]
	delete(p.answers, id)
	p.mu.Unlock()
	if !pending { // it has come, or is coming this moment
		closeFile((<-ch).socket)
	}
}

// Listen asks the supervisor for a listening socket. Run must hear the answer.
func (p *Post) Listen(ctx context.Context, name, address string) (net.Listener, error) {
	id, ch := p.ask()
	if err := p.line.send(&message{Listen: &listen{ID: id, Name: name, Address: address}}, -1); err != nil {
		p.forget(id, ch)
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	ctx, cancel := context.WithTimeout(ctx, openTime+2*time.Second)
	defer cancel()
	select {
	case a := <-ch:
		if a.err != "" {
			return nil, errors.New(a.err)
		}
		if a.socket == nil {
			return nil, errors.New("the supervisor sent no socket")
		}
		defer closeFile(a.socket)
		return net.FileListener(a.socket)
	case <-ctx.Done():
		p.forget(id, ch)
		return nil, fmt.Errorf("the supervisor opens no socket: %w", ctx.Err())
	}
}

// Ready says that the worker accepts. secret is the SHA-256 of the API's secret, by which the supervisor knows its masters.
func (p *Post) Ready(secret []byte) error {
	return p.line.send(&message{Ready: &ready{Secret: secret}}, -1)
}

// Replace asks to have another worker take over. It does not wait for it.
func (p *Post) Replace() error { return p.line.send(&message{Replace: true}, -1) }

// Failed says why the worker cannot start, and the exit code that it will end with.
func (p *Post) Failed(err error, code int) error {
	return p.line.send(&message{Said: &said{Failed: err.Error(), Code: code}}, -1)
}

// Beat sends a heartbeat. It neither waits nor allocates: one that the pipe has no room for is lost. One goroutine calls it.
func (p *Post) Beat(pulse *watch.Pulse, v Vitals) {
	encodeBeat(&p.beat, pulse, v)
	_, _ = unix.Write(p.beats, p.beat[:]) // the next one will tell
}

// keepTime is how long the supervisor may take to keep evidence.
const keepTime = 5 * time.Second

// Keep hands evidence to the supervisor, which keeps it, and returns its path. asked says that a person wants it.
func (p *Post) Keep(ctx context.Context, reason string, asked bool, data []byte) (string, error) {
	f, err := memory("evidence")
	if err != nil {
		return "", err
	}
	defer closeFile(f)
	if _, err := f.WriteAt(data, 0); err != nil {
		return "", err
	}
	id, ch := p.ask()
	if err := p.line.send(&message{Bundle: &bundle{ID: id, Reason: reason, Asked: asked}}, int(f.Fd())); err != nil {
		p.forget(id, ch)
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	select {
	case a := <-ch:
		if a.err != "" {
			return "", errors.New(a.err)
		}
		return a.path, nil
	case <-ctx.Done():
		p.forget(id, ch)
		return "", fmt.Errorf("the supervisor has not kept it: %w", ctx.Err())
	}
}
