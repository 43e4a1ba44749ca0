package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

// feeder turns the packets of one publishing into units. Packets by UDP come on goroutines of their own, one at a time: mu is held for
// each, in which nothing waits.
type feeder struct {
	*session
	lease    *hub.Lease
	channels [256]place // where what comes interleaved goes
	udp      bool
	cell     *watch.Cell   // of the goroutine that takes RTP by UDP
	foreign  atomic.Uint64 // datagrams of others

	mu        sync.Mutex // guards what follows
	medias    []*media
	start     time.Time
	reported  time.Time
	noted     time.Duration   // since start, when the hub was last told how packets fare
	announced bool            // the tracks have been logged
	bad       int             // bad packets in a row
	seen      map[string]bool // causes that have been logged
	deaf      bool            // the peer does not take what is said to it; of the session's goroutine
}

// media is one media that is published.
type media struct {
	*rtp.Receiver
	format  *rtp.Format
	control byte              // the channel of RTCP
	from    [2]netip.AddrPort // where its RTP and RTCP come from, by UDP

	source netip.AddrPort // where RTP came from last; of the goroutine that reads it
	heard  time.Time      // when that was
}

// moveAfter is how long nothing has to come from one port until another is listened to.
const moveAfter = time.Second

// moves says whether RTP from a port that was not agreed on is the media's. Others may have the same address, or write it on what they send.
func (m *media) moves(from netip.AddrPort, now time.Time) bool {
	if m.source != from && now.Sub(m.heard) < moveAfter {
		return false
	}
	m.source, m.heard = from, now
	return true
}

// place is a media's channel.
type place struct {
	receiver *media
	control  bool // RTCP
}

func newFeeder(s *session, lease *hub.Lease) *feeder {
	f := &feeder{session: s, lease: lease, udp: s.record.pair[0] != nil, start: time.Now(), seen: map[string]bool{}}
	f.reported = f.start
	clock := new(rtp.Clock)
	for i := range s.record.medias {
		r := &s.record.medias[i]
		if r.Err != nil { // not when it is announced: that costs the peer nothing, and may be said again and again
			s.log.Warn("left out a media that cannot be read", "stream", lease.Key(), "cause", r.Err)
		}
		if !r.usable() || r.transport == nil {
			continue
		}
		m := &media{format: r.Format}
		if t := r.transport; t.TCP {
			m.Receiver = rtp.NewReceiver(r.id, r.Format, clock, rtp.Options{})
			m.control = byte(t.Channels[1]) //nolint:gosec // wire has checked that they are bytes
			f.channels[t.Channels[0]] = place{m, false}
			f.channels[t.Channels[1]] = place{m, true}
		} else {
			m.Receiver = rtp.NewReceiver(r.id, r.Format, clock, rtp.Options{Window: reorderWindow, Hold: s.cfg.ReorderTime})
			for j, port := range t.Ports {
				m.from[j] = netip.AddrPortFrom(s.remote.Addr(), uint16(port)) //nolint:gosec // the same for ports
			}
		}
		f.medias = append(f.medias, m)
	}
	s.declare(lease)
	return f
}

// reorderWindow is how many packets by UDP wait for one that is late: 2 Mbit/s are 180 a second, a key picture comes at once.
const reorderWindow = 512

// packet takes one packet. A bad one is logged, each cause once, and skipped.
func (f *feeder) packet(m *media, b []byte, control bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Since(f.start)
	var err error
	if control {
		_, err = m.Control(b, at) // a goodbye is not the word for the end: TEARDOWN is
	} else {
		err = m.Packet(b, at, f.unit)
	}
	if at-f.noted >= noteEvery {
		f.noted = at
		f.note()
	}
	return f.judge(err)
}

// note tells the hub how packets fare. Under mu.
func (f *feeder) note() {
	t := hub.Transit{Foreign: f.foreign.Load()}
	for _, m := range f.medias {
		s := m.Stats()
		t.Packets += uint64(s.Packets) //nolint:gosec // counters are not negative
		t.Lost += uint64(s.Lost)       //nolint:gosec // the same
		t.Late += uint64(s.Late)       //nolint:gosec // the same
		t.Foreign += uint64(s.Foreign) //nolint:gosec // the same
		t.Dropped += uint64(s.Dropped) //nolint:gosec // the same
		t.Jitter = max(t.Jitter, s.Jitter)
	}
	f.lease.SetTransit(t)
}

// expire has packets go on that wait for others that are late.
func (f *feeder) expire() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Since(f.start)
	for _, m := range f.medias {
		if err := f.judge(m.Expire(at, f.unit)); err != nil {
			return err
		}
	}
	return nil
}

// writeError is what the hub said of a unit: unlike a bad packet, it is the end.
type writeError struct{ error }

// Unwrap returns what it said.
func (e *writeError) Unwrap() error { return e.error }

// unit writes a unit.
func (f *feeder) unit(u *av.AccessUnit) error {
	if err := f.lease.Write(u); err != nil {
		return &writeError{err}
	}
	f.bad = 0
	if s := f.lease.Stream(); !f.announced && s != nil && s.Ready() {
		f.announced = true
		f.log.Info("publishing", "stream", f.lease.Key(), "tracks", protocol.Describe(s.Tracks()))
	}
	return nil
}

// judge says whether an error is the end.
func (f *feeder) judge(err error) error {
	if err == nil {
		return nil
	}
	if end, ok := errors.AsType[*writeError](err); ok {
		return end.error
	}
	if f.bad++; f.bad > badPacketsMax {
		return fmt.Errorf("%d bad packets in a row, the last: %w", f.bad, err)
	}
	const causesMax = 16
	cause := err.Error()
	if inner := errors.Unwrap(err); inner != nil {
		cause = inner.Error() // without the place, so that the same cause is the same text
	}
	if !f.seen[cause] && len(f.seen) < causesMax {
		f.seen[cause] = true
		f.log.Warn("skipped a bad packet", "stream", f.lease.Key(), "cause", err)
	}
	return nil
}

// due says whether it is time for receiver reports, and notes that they are made.
func (f *feeder) due() bool {
	now := time.Now()
	if now.Sub(f.reported) < reportEvery {
		return false
	}
	f.reported = now
	return true
}

// reportBySelf sends receiver reports on the connection.
func (f *feeder) reportBySelf() {
	var b []byte
	for _, m := range f.medias {
		b = wire.AppendFrame(b, m.control, m.report(f))
	}
	f.tell(b)
}

func (m *media) report(f *feeder) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return m.AppendReport(nil, time.Since(f.start))
}

// hearDatagrams takes what comes by UDP until the function that it returns is called, or ctx ends. What ends it otherwise is told to stop.
func (f *feeder) hearDatagrams(ctx context.Context, stop context.CancelCauseFunc) (wait func()) {
	g, _ := task.NewGroup(ctx)
	pair := f.record.pair
	for i, name := range []string{"rtsp RTP", "rtsp RTCP"} {
		g.Go(name, func(context.Context) error {
			err := task.Guard(name, func() error { return f.hear(pair[i], i) })
			if p, ok := errors.AsType[*task.PanicError](err); ok {
				f.env.Panicked("rtsp", p)
			}
			if !errors.Is(err, net.ErrClosed) {
				stop(err)
			}
			return nil
		})
	}
	record := f.record // the session may have let go of it when ctx ends
	stopped := context.AfterFunc(ctx, record.shut)
	return func() {
		stopped()
		record.shut()
		if err := g.Wait(); err != nil { // a panic
			stop(err)
		}
	}
}

// settle waits until nothing more comes by UDP, of a publisher that says on its connection that it is done: that word overtakes the last
// of its media.
func (f *feeder) settle(ctx context.Context) {
	const step, most = 20 * time.Millisecond, 10
	tick := time.NewTicker(step)
	defer tick.Stop()
	before := f.heard()
	for range most {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := f.heard()
		if now == before {
			return
		}
		before = now
	}
}

// heard is how many packets have come.
func (f *feeder) heard() (n int64) {
	for _, m := range f.medias {
		n += m.Stats().Packets
	}
	return n
}

// shut closes the sockets, which ends those who read them.
func (r *recording) shut() {
	for _, c := range r.pair {
		_ = c.Close() // it may be closed already
	}
}

// hear reads one of the two sockets.
func (f *feeder) hear(conn *net.UDPConn, kind int) error {
	b := make([]byte, datagramMax)
	wait, failed := max(f.cfg.ReorderTime/2, 20*time.Millisecond), 0
	if kind == 1 {
		wait = reportEvery / 5 // nothing but a report may be due
	}
	for {
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if kind == 0 {
			f.cell.Begin()
		}
		switch {
		case err == nil:
			failed = 0
			err = f.datagram(b[:n], unmapped(from), kind)
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = nil
		case !errors.Is(err, net.ErrClosed) && failed < failuresMax:
			failed++
			err = nil // what the network says of a report that was not delivered
		}
		if err == nil && kind == 0 {
			err = f.expire()
		}
		if kind == 0 {
			f.cell.End()
		}
		if err == nil && kind == 1 {
			f.reportByUDP(conn)
		}
		if err != nil {
			return err
		}
	}
}

// datagram finds out whose a datagram is. Only the address of the publisher's connection is heard; where ports were changed on the way,
// the payload type tells, as long as nothing comes from the right ones.
func (f *feeder) datagram(b []byte, from netip.AddrPort, kind int) error {
	if from.Addr() != f.remote.Addr().Unmap() {
		f.foreign.Add(1)
		return nil
	}
	now, known := time.Now(), false
	for _, m := range f.medias {
		if m.from[kind] != from {
			continue
		}
		if kind == 0 {
			m.source, m.heard = from, now
		}
		return f.packet(m, b, kind == 1)
	}
	if kind == 1 || len(b) < 2 {
		return nil
	}
	for _, m := range f.medias {
		if m.format.PayloadType() != b[1]&0x7f {
			continue
		}
		if known = true; m.moves(from, now) {
			return f.packet(m, b, false)
		}
	}
	if known {
		f.foreign.Add(1)
	}
	return nil
}

// reportByUDP sends receiver reports when it is time.
func (f *feeder) reportByUDP(conn *net.UDPConn) {
	if !f.due() {
		return
	}
	for _, m := range f.medias {
		_, _ = conn.WriteToUDPAddrPort(m.report(f), m.from[1]) // the next may arrive
	}
}
