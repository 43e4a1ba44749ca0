package rtsp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/tunnel"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// Limits of tunnels that wait for their other half.
const (
	tunnelsMax = 1000
	tunnelTime = 10 * time.Second
)

// errLent is the end of a connection that was one half of a tunnel: the other half's session has it.
var errLent = errors.New("it was half of a tunnel")

// enterTunnel finds out whether the peer speaks RTSP through HTTP. If so, its connection becomes the session's half of a tunnel, or, if it
// is the other half, is lent to the session that has the first, until that has ended: then the error is errLent.
func (s *session) enterTunnel(ctx context.Context) error {
	var first [5]byte
	n := 0
	for {
		isHTTP, enough := tunnel.Sniff(first[:n])
		if enough && !isHTTP {
			s.in = wire.Resume(s.conn, wire.NewParser(setupLimits()), append([]byte(nil), first[:n]...), setupLimits(), playBuffer)
			return nil
		}
		if enough {
			break
		}
		m, err := s.conn.Read(first[n:])
		if n += m; err != nil && m == 0 {
			return err
		}
	}
	head, rest, err := tunnel.ReadHead(s.conn, first[:n])
	switch {
	case errors.Is(err, tunnel.ErrCookie):
		return s.noTunnel(http.StatusNotFound, "this port is for RTSP", err)
	case errors.Is(err, tunnel.ErrHead):
		return s.noTunnel(http.StatusBadRequest, "not understood", err)
	case err != nil:
		return err
	case head.Post:
		return s.lend(ctx, head, rest)
	}
	c, err := s.tunnels.Get(head.Cookie, s.conn.Conn)
	if err != nil {
		return s.noTunnel(http.StatusServiceUnavailable, "not now", err)
	}
	s.release()
	s.conn = protocol.Peer{Conn: c}
	s.release = context.AfterFunc(ctx, s.conn.Cut)
	s.in = wire.NewReader(c, setupLimits(), playBuffer)
	s.setup.Leave()
	s.setup = s.setups.New(s.conn.Cut)
	if err = s.enterSetup(); err != nil { // the deadline was the GET's only
		return err
	}
	_, err = c.Write(tunnel.AppendAnswer(nil))
	return err
}

// lend gives the connection to the session of the other half, which is the one that judges the peer from here on.
func (s *session) lend(ctx context.Context, head tunnel.Head, rest []byte) error {
	if err := s.conn.Limit(0); err != nil {
		return err
	}
	s.setup.Leave()
	err := s.tunnels.Post(ctx, head.Cookie, s.conn.Conn, rest)
	if errors.Is(err, tunnel.ErrNoGet) || errors.Is(err, tunnel.ErrMany) || errors.Is(err, tunnel.ErrTaken) {
		return s.noTunnel(http.StatusNotFound, "no such tunnel", err)
	}
	if err == nil {
		err = errLent
	}
	return err
}

// noTunnel answers a request of HTTP that is for no tunnel.
func (s *session) noTunnel(status int, words string, cause error) error {
	if err := s.conn.Limit(writeTimeout); err != nil {
		return err
	}
	if _, err := s.conn.Write(tunnel.AppendRefusal(nil, status, words)); err != nil {
		return err
	}
	s.setupLog().Info("no tunnel", "cause", cause, "remote", s.remote)
	return errRefused
}
