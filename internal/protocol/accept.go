package protocol

import (
	"context"
	"net"

	"github.com/vigil-media/vigil/internal/task"
)

// Sessions returns the pool for the sessions of a room, of which there are most at a time. The panic of a session is logged: it costs that
// session and nothing else.
func (e Env) Sessions(name string, most int) *task.Pool {
	return task.NewPool(most, func(p *task.PanicError) { e.Panicked(name, p) })
}

// Panicked logs the panic of a session.
func (e Env) Panicked(name string, p *task.PanicError) {
	e.Log.Error("a session panicked", "protocol", name, "cause", p, "stack", string(p.Stack))
}

// Accept has each connection that comes to l served by a session of its own, until ctx ends and l is closed. Passing troubles do not come
// here: the listener waits them out.
func Accept(ctx context.Context, l net.Listener, sessions *task.Pool, name string, serve func(ctx context.Context, conn net.Conn)) error {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		err = sessions.Go(ctx, name+" session", func(ctx context.Context) { serve(ctx, conn) })
		if err != nil { // not to be expected: the listeners have the same limit
			_ = conn.Close()
		}
	}
}
