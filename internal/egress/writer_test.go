package egress

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

// records is a format of records: type, length, body.
type records struct{}

func record(dst []byte, typ byte, body []byte) []byte {
	dst = append(dst, typ)
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(body))), body...)
}

func (records) Head(dst []byte, _ []*av.Track) []byte { return record(dst, 'H', nil) }

func (records) Config(dst []byte, tracks, _ []*av.Track, _ time.Duration) []byte {
	return record(dst, 'C', []byte{byte(tracks[0].Width >> 8), byte(tracks[0].Width)})
}

func (records) Unit(dst []byte, _ []*av.Track, u *av.AccessUnit) []byte {
	return record(dst, 'U', bytes.Join(u.Data, nil))
}

// next reads one record.
func next(r io.Reader) (typ byte, body []byte, err error) {
	var h [5]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(h[1:]))
	_, err = io.ReadFull(r, body)
	return h[0], body, err
}

// bench is a stream, its viewer's writer, and the peer's end of the connection.
type bench struct {
	t      *testing.T
	s      *stream.Stream
	p      *stream.Publisher
	e      *sim.Encoder
	w      *Writer
	viewer *stream.Viewer
	peer   net.Conn
	cancel context.CancelCauseFunc
	ended  chan error
}

func newBench(t *testing.T, near, far net.Conn, o Options) *bench {
	t.Helper()
	s := stream.New(stream.Options{Keep: time.Hour})
	b := &bench{
		t: t, s: s, p: s.Publish(), e: sim.New(sim.Options{Video: av.H264, GOP: 10}),
		peer: far, ended: make(chan error, 1),
	}
	v, err := s.Watch("records", func() stream.Muxer { return records{} })
	if err != nil {
		t.Fatal(err)
	}
	b.viewer, b.w = v, NewWriter(near, v, o)
	ctx, cancel := context.WithCancelCause(t.Context())
	b.cancel = cancel
	t.Cleanup(func() {
		cancel(nil)
		_, _ = near.Close(), far.Close()
		v.Close()
	})
	go func() { b.ended <- b.w.Run(ctx) }()
	return b
}

func pipe(t *testing.T, o Options) *bench {
	t.Helper()
	near, far := net.Pipe()
	return newBench(t, near, far, o)
}

func loopback(t *testing.T, o Options) *bench {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return newBench(t, near, far, o)
}

func (b *bench) write(n int) (units []*av.AccessUnit) {
	b.t.Helper()
	for _, u := range b.e.Take(n) {
		if err := b.p.Write(u); err != nil {
			b.t.Fatal(err)
		}
		units = append(units, u)
	}
	return units
}

// want reads records and compares their types, and the bodies of units.
func (b *bench) want(types string, units ...*av.AccessUnit) {
	b.t.Helper()
	for i, want := range []byte(types) {
		typ, body, err := next(b.peer)
		if err != nil || typ != want {
			b.t.Fatalf("record %d: %q, %v, want %q", i, typ, err, want)
		}
		if typ != 'U' {
			continue
		}
		if !bytes.Equal(body, bytes.Join(units[0].Data, nil)) {
			b.t.Fatalf("record %d is another unit", i)
		}
		units = units[1:]
	}
	if len(units) > 0 {
		b.t.Fatalf("%d units are missing in %q", len(units), types)
	}
}

func types(head string, n int) string { return head + string(bytes.Repeat([]byte{'U'}, n)) }

func TestBytesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		units := b.write(1)
		b.want("HCU", units...)
		for range 20 {
			units = b.write(30)
			b.want(types("", 30), units...)
		}
		b.e.ChangeVideo()
		units = b.write(10)
		b.want("UUUUUUUUU", units[:9]...)
		b.want("CU", units[9])
		b.s.End(io.EOF)
		if err := <-b.ended; !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

func TestLoopback(t *testing.T) {
	b := loopback(t, Options{})
	first := b.write(1)
	b.want("HCU", first...)
	var all []*av.AccessUnit
	for range 10 {
		all = append(all, b.write(50)...)
	}
	cause := errors.New("over")
	b.s.End(cause)
	b.want(types("", len(all)), all...)
	if err := <-b.ended; !errors.Is(err, cause) {
		t.Errorf("%v, want the cause", err)
	}
	want := uint64(5 + 5 + 2) // head and configuration
	for _, u := range append(first, all...) {
		want += uint64(5 + u.Size())
	}
	if got := b.viewer.Sent(); got != want {
		t.Errorf("%d bytes counted, want %d", got, want)
	}
}

// The ring's rest is written before the cause is returned, however long the peer takes within its time.
func TestEndDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{StallTimeout: 2 * time.Second})
		cause := errors.New("over")
		units := b.write(1)
		b.want("HCU", units...)
		units = b.write(29)
		b.s.End(cause)
		for _, u := range units {
			time.Sleep(40 * time.Millisecond) // within MaxLag
			b.want("U", u)
		}
		if err := <-b.ended; !errors.Is(err, cause) {
			t.Errorf("%v, want the cause", err)
		}
	})
}

func TestRepliesBetweenPackets(t *testing.T) {
	b := loopback(t, Options{})
	const replies = 300
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range replies {
			for b.w.Reply(record(nil, 'R', []byte{byte(i)})) != nil {
				runtime.Gosched()
			}
		}
	})
	wg.Go(func() {
		for range 1000 {
			if err := b.p.Write(b.e.Next()); err != nil {
				t.Error(err)
			}
		}
	})
	units, got := uint64(0), 0
	for got < replies || units < 999 {
		typ, body, err := next(b.peer)
		if err != nil {
			t.Fatal(err)
		}
		switch typ {
		case 'R':
			if body[0] != byte(got) {
				t.Fatalf("reply %d, want %d", body[0], got)
			}
			got++
		case 'U':
			u := &av.AccessUnit{Track: b.e.Tracks()[0], Key: body[0] == 0x65, Data: [][]byte{body}}
			tag, err := sim.Read(u)
			if err != nil {
				t.Fatal(err)
			}
			units = tag.Seq
		case 'H', 'C':
		default:
			t.Fatalf("record %q: something was put into a packet", typ)
		}
	}
	wg.Wait()
}

// Replies go out although no media comes, and while the media are paused.
func TestRepliesWithoutMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		for range 3 {
			if err := b.w.Reply(record(nil, 'R', nil)); err != nil {
				t.Fatal(err)
			}
			b.want("R")
		}
		b.w.Pause(true)
		synctest.Wait()
		b.write(5)
		_ = b.w.Reply(record(nil, 'R', nil))
		b.want("R")
	})
}

func TestTooManyReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		var err error
		for n := 0; err == nil; n++ {
			if err = b.w.Reply(make([]byte, 100)); n > 100 {
				t.Fatal("no limit")
			}
			synctest.Wait()
		}
		if !errors.Is(err, ErrReplies) {
			t.Errorf("%v, want ErrReplies", err)
		}
	})
}

func TestPauseResumesAtKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		units := b.write(1)
		b.want("HCU", units...)
		b.w.Pause(true)
		synctest.Wait()
		b.write(13)
		synctest.Wait()
		units = b.write(11) // 14 to 24
		synctest.Wait()
		b.w.Pause(false)
		b.want("UUUUU", units[6:]...) // from 20
		units = b.write(3)
		b.want("UUU", units...)
	})
}

// One that was paused before its first packet gets head and configuration when it goes on.
func TestPausedFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		b.w.Pause(true)
		synctest.Wait()
		b.write(1)
		synctest.Wait()
		units := b.write(15)
		synctest.Wait()
		b.w.Pause(false)
		b.want(types("HC", 6), units[9:]...)
	})
}

// What changed during the pause is told after it.
func TestTracksChangeInPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		units := b.write(1)
		b.want("HCU", units...)
		b.w.Pause(true)
		synctest.Wait()
		b.e.ChangeVideo()
		for range 25 {
			b.write(1)
			synctest.Wait()
		}
		b.write(1) // 26
		synctest.Wait()
		b.w.Pause(false)
		typ, body, err := next(b.peer)
		if err != nil || typ != 'C' || !slices.Equal(body, []byte{1280 >> 8, 1280 & 255}) {
			t.Fatalf("%q % x, %v: want the new configuration", typ, body, err)
		}
	})
}

// A short pause within a GOP neither repeats nor loses anything.
func TestShortPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		units := b.write(3)
		b.want("HCUUU", units...)
		b.w.Pause(true)
		synctest.Wait()
		units = b.write(2)
		synctest.Wait()
		b.w.Pause(false)
		b.want("UU", units...)
	})
}

func TestStalledPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{StallTimeout: 3 * time.Second})
		b.write(1)
		begin := time.Now()
		err := <-b.ended
		if took := time.Since(begin); !errors.Is(err, ErrStalled) || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestStalledPeerTCP(t *testing.T) {
	b := loopback(t, Options{StallTimeout: 200 * time.Millisecond})
	u := b.e.Next()
	u.Data[0] = append(u.Data[0], bytes.Repeat([]byte{0xff}, 12<<20)...) // more than the kernel takes
	if err := b.p.Write(u); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := <-b.ended; !errors.Is(err, ErrStalled) || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

func TestCancelInterruptsWrite(t *testing.T) {
	cause := errors.New("enough")
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{StallTimeout: time.Hour})
		b.write(1)
		synctest.Wait() // the write is blocked
		begin := time.Now()
		b.cancel(cause)
		if err := <-b.ended; !errors.Is(err, cause) || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		synctest.Wait() // waits for media
		b.cancel(cause)
		if err := <-b.ended; !errors.Is(err, cause) {
			t.Error(err)
		}
	})
}

// A cancellation at any moment ends the writer at once, whatever deadline it is about to set.
func TestCancelAtAnyMoment(t *testing.T) {
	cause := errors.New("enough")
	for i := range 300 {
		near, far := net.Pipe()
		b := newBench(t, near, far, Options{StallTimeout: time.Hour})
		b.write(1)
		go func() { _, _ = io.CopyN(io.Discard, far, int64(i*20)) }()
		b.cancel(cause)
		select {
		case err := <-b.ended:
			if !errors.Is(err, cause) {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("does not end")
		}
		_ = far.Close()
	}
}

// When Run has returned, nothing of it touches the connection any more.
func TestDeadlineAfterRun(t *testing.T) {
	for range 200 {
		near, far := net.Pipe()
		rec := &deadlines{Conn: near}
		b := newBench(t, rec, far, Options{})
		b.cancel(errors.New("enough"))
		<-b.ended //nolint:errcheck // how it ended is another test's question
		rec.mu.Lock()
		rec.over = true
		rec.mu.Unlock()
		runtime.Gosched()
		if rec.late() {
			t.Fatal("the write deadline was set after Run had returned")
		}
	}
}

type deadlines struct {
	net.Conn
	mu     sync.Mutex
	over   bool
	tooBad bool
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.mu.Lock()
	d.tooBad = d.tooBad || d.over
	d.mu.Unlock()
	return d.Conn.SetWriteDeadline(at)
}

func (d *deadlines) late() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tooBad
}

func TestConnectionError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipe(t, Options{})
		units := b.write(1)
		b.want("HCU", units...)
		_ = b.peer.Close()
		b.write(1)
		if err := <-b.ended; err == nil || errors.Is(err, ErrStalled) {
			t.Errorf("%v, want the connection's error", err)
		}
	})
}

func TestTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stream.New(stream.Options{Units: 16, MaxSkips: 2})
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		v, err := s.Watch("records", func() stream.Muxer { return records{} })
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		p, e := s.Publish(), sim.New(sim.Options{Video: av.H264, GOP: 5})
		ended := make(chan error, 1)
		go func() { ended <- NewWriter(near, v, Options{}).Run(t.Context()) }()
		for range 60 {
			for range 100 {
				if err := p.Write(e.Next()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			_ = far.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, _ = io.ReadFull(far, make([]byte, 10_000))
			select {
			case err := <-ended:
				if !errors.Is(err, stream.ErrTooSlow) || v.Skips() != 3 {
					t.Errorf("%v after %d jumps", err, v.Skips())
				}
				return
			default:
			}
		}
		t.Error("a viewer that is lapped each time goes on")
	})
}
