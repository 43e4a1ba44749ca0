package server_test

import (
	"errors"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/protocol/rtmp"
)

// BenchmarkRefusal compares what it costs, client and all, to refuse a connection over its quota; to accept one that begins to
// publish and ends; and, as a measure of what the network takes of both, to connect to a bare listener that closes at once.
func BenchmarkRefusal(b *testing.B) {
	d := net.Dialer{Timeout: 5 * time.Second}
	dial := func(b *testing.B, address string) net.Conn {
		b.Helper()
		conn, err := d.DialContext(b.Context(), "tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		return conn
	}
	knock := func(b *testing.B, address string) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			conn, err := d.DialContext(b.Context(), "tcp", address)
			if errors.Is(err, syscall.ECONNRESET) {
				continue // so fast was it refused
			}
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				b.Fatal("it is greeted")
			}
			_ = conn.Close()
		}
	}
	b.Run("bare", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		}()
		knock(b, l.Addr().String())
	})
	b.Run("refused", func(b *testing.B) {
		s := run(b, "limits.connections_per_address=1")
		address := s.Addr("RTMP").String()
		defer dial(b, address).Close()
		knock(b, address)
	})
	b.Run("accepted", func(b *testing.B) {
		s := run(b)
		u, err := url.Parse("rtmp://" + s.Addr("RTMP").String() + "/live/bench")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			c, err := rtmp.NewClient(b.Context(), dial(b, u.Host), u, false)
			if err != nil {
				b.Fatal(err)
			}
			if err := c.Publish(b.Context()); err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
	})
}
