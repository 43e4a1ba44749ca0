package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// recorder is a muxer whose bytes can be read back: records of a type, a length and a body. It counts its calls.
type recorder struct {
	heads, configs, units atomic.Int64
	tracks                registry
	lacks                 av.Codec // not carried by the format
	panicAt               int64    // unit at which it panics
}

// registry gives tracks numbers, so that a record can name one.
type registry struct{ list atomic.Pointer[[]*av.Track] }

func (r *registry) number(t *av.Track) int {
	for {
		old := r.list.Load()
		var list []*av.Track
		if old != nil {
			list = *old
		}
		if i := slices.Index(list, t); i >= 0 {
			return i
		}
		next := append(slices.Clone(list), t)
		if r.list.CompareAndSwap(old, &next) {
			return len(next) - 1
		}
	}
}

func record(dst []byte, typ byte, body []byte) []byte {
	dst = append(dst, typ)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

func (m *recorder) Head(dst []byte, _ []*av.Track) []byte {
	m.heads.Add(1)
	return record(dst, 'H', nil)
}

func (m *recorder) Config(dst []byte, tracks, prev []*av.Track, _ time.Duration) []byte {
	m.configs.Add(1)
	body := []byte{byte(len(prev))}
	for _, t := range tracks {
		body = append(body, byte(m.tracks.number(t)))
	}
	return record(dst, 'C', body)
}

func (m *recorder) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	if n := m.units.Add(1); n == m.panicAt {
		panic("the muxer is broken")
	}
	if u.Track.Codec == m.lacks {
		return dst
	}
	if !slices.Contains(tracks, u.Track) {
		panic(fmt.Sprintf("unit of track %d, which is not among the tracks", u.Track.ID))
	}
	key := byte(0)
	if u.Key {
		key = 1
	}
	body := []byte{byte(m.tracks.number(u.Track)), key}
	body = binary.BigEndian.AppendUint64(body, uint64(u.DTS))
	body = binary.BigEndian.AppendUint64(body, uint64(u.PTS))
	return record(dst, 'U', append(body, bytes.Join(u.Data, nil)...))
}

// player reads a recorder's bytes and judges them.
type player struct {
	t       testing.TB
	m       *recorder
	check   sim.Checker
	tracks  []*av.Track
	heads   int
	configs int
	units   []*av.AccessUnit
	taken   int // bytes, for who cares
}

// take judges the bytes of one Next: whole records, the head first and once, each unit's track configured before it.
func (p *player) take(b []byte) {
	p.t.Helper()
	if err := p.read(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *player) read(b []byte) error {
	for len(b) > 0 {
		if len(b) < 5 {
			return fmt.Errorf("a record is cut: % x", b)
		}
		typ, n := b[0], int(binary.BigEndian.Uint32(b[1:]))
		if len(b) < 5+n {
			return fmt.Errorf("record %q of %d bytes is cut at %d", typ, n, len(b)-5)
		}
		body := b[5 : 5+n]
		b = b[5+n:]
		if (typ == 'H') != (p.heads == 0) {
			return fmt.Errorf("record %q after %d heads", typ, p.heads)
		}
		switch typ {
		case 'H':
			p.heads++
		case 'C':
			if int(body[0]) != len(p.tracks) {
				return fmt.Errorf("configuration for one that had %d tracks, had %d", body[0], len(p.tracks))
			}
			p.configs++
			p.tracks = nil
			for _, i := range body[1:] {
				p.tracks = append(p.tracks, (*p.m.tracks.list.Load())[i])
			}
		case 'U':
			if err := p.unit(body); err != nil {
				return err
			}
		default:
			return fmt.Errorf("record of type %q", typ)
		}
	}
	return nil
}

func (p *player) unit(b []byte) error {
	u := &av.AccessUnit{
		Track: (*p.m.tracks.list.Load())[b[0]], Key: b[1] == 1,
		DTS: time.Duration(binary.BigEndian.Uint64(b[2:])), PTS: time.Duration(binary.BigEndian.Uint64(b[10:])),
		Data: [][]byte{bytes.Clone(b[18:])},
	}
	if !slices.Contains(p.tracks, u.Track) {
		return fmt.Errorf("unit of a %v track that was not configured, after %d units", u.Track, len(p.units))
	}
	p.units = append(p.units, u)
	return p.check.Unit(u)
}

// drain takes what is there.
func (p *player) drain(v *Viewer) {
	p.t.Helper()
	for {
		b := next(p.t, v)
		if b == nil {
			return
		}
		p.take(b)
	}
}

// toTheEnd takes what is there, and returns why there is no more.
func (p *player) toTheEnd(v *Viewer) error {
	p.t.Helper()
	for {
		b, err := v.send(64 << 10)
		if len(b) == 0 {
			return err
		}
		p.take(b)
	}
}

// send sends the viewer whole what Peek gives.
func (v *Viewer) send(limit int) ([]byte, error) {
	var b Batch
	err := v.Peek(&b, limit)
	v.Advance(&b, len(b.Bytes))
	return b.Bytes, err
}

// Next waits until there is something to send, and sends it.
func (v *Viewer) Next(ctx context.Context, limit int) ([]byte, error) {
	wake := make(waker, 1)
	defer v.Subscribe(wake)()
	for {
		if b, err := v.send(limit); len(b) > 0 || err != nil {
			return b, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

type waker chan struct{}

func (w waker) Wake(time.Time, bool) {
	select {
	case w <- struct{}{}:
	default:
	}
}

// next is a Next that does not wait.
func next(t testing.TB, v *Viewer) []byte {
	t.Helper()
	b, _ := v.send(64 << 10)
	return b
}

func watch(t testing.TB, s *Stream, m *recorder) (*Viewer, *player) {
	t.Helper()
	v, err := s.Watch("recorder", func() Muxer { return m })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v, &player{t: t, m: m}
}
