package rtmp

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/sim"
)

// script is a connection that gives what a client would send, again and again, and takes what the server says.
type script struct {
	net.Conn // nil: what is not overridden is not called
	b        []byte
	at       int
	left     int // bytes
}

func (c *script) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	if c.at == len(c.b) {
		c.at = 0
	}
	n := copy(p, c.b[c.at:])
	c.at += n
	c.left -= n
	return n, nil
}

func (c *script) Write(p []byte) (int, error)      { return len(p), nil }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }
func (c *script) Close() error                     { return nil }

// gop is the chunks of some seconds of media, which may be repeated, and the number of their messages.
func gop(chunkSize int) (b []byte, messages int) {
	enc := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 50, KeySize: 60_000, Size: 10_000}) // 2 Mbit/s
	p := &publication{sent: map[int]*av.Track{}}
	b = chunk.AppendSetChunkSize(nil, uint32(chunkSize))
	add := func(t flv.Tag) {
		b = chunk.AppendMessage(b, message(t.Type, t.Time, t.Body), chunkSize)
		messages++
	}
	for range 400 {
		u := enc.Next()
		ms, kind := flv.Milliseconds(u.DTS), flv.TypeFor(u.Track.Kind())
		if p.sent[u.Track.ID] != u.Track {
			p.sent[u.Track.ID] = u.Track
			add(flv.Tag{Type: kind, Time: ms, Body: p.form.AppendConfig(nil, u.Track)})
		}
		add(flv.Tag{Type: kind, Time: ms, Body: p.form.AppendUnit(nil, u)})
	}
	return b, messages
}

func benchSession(conn net.Conn) (*session, *hub.Hub) {
	h := hub.New(hub.DefaultConfig(), nil)
	log := slog.New(slog.DiscardHandler)
	srv := &server{env: protocol.Env{Hub: h, Log: log}, cfg: Default()}
	return &session{server: srv, conn: protocol.Peer{Conn: conn}, log: log, id: "bench", in: newReader(conn), setup: srv.setups.New(func() {})}, h
}

// BenchmarkPublish is a session from socket to ring, without the socket: one operation is one message.
func BenchmarkPublish(b *testing.B) {
	for name, chunkSize := range map[string]int{"chunks of 60000": 60_000, "chunks of 4096": 4096, "chunks of 128": 128} {
		b.Run(name, func(b *testing.B) {
			data, messages := gop(chunkSize)
			conn := &script{b: data, left: int(float64(b.N) / float64(messages) * float64(len(data)))}
			s, _ := benchSession(conn)
			b.SetBytes(int64(len(data) / messages))
			b.ReportAllocs()
			b.ResetTimer()
			if err := s.publish(b.Context(), "live/x", ""); err != errPeer { //nolint:errorlint // it is bare
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkMux is what a share costs for each unit, however many players it has.
func BenchmarkMux(b *testing.B) {
	enc := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 50, KeySize: 60_000, Size: 10_000})
	units, size := enc.Take(400), 0
	for _, u := range units {
		size += u.Size()
	}
	m, tracks := newMuxer(flv.Enhanced, 60_000), enc.Tracks()
	var dst []byte
	b.SetBytes(int64(size / len(units)))
	b.ReportAllocs()
	for i := range b.N {
		dst = m.Unit(dst[:0], tracks, units[i%len(units)])
	}
}
