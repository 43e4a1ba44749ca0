package mpegts

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// mux writes units as a share does, whose first viewer gets all.
func mux(m *Muxer, tracks []*av.Track, units []*av.AccessUnit) []byte {
	b := m.Head(nil, tracks)
	if len(units) > 0 {
		b = m.Config(b, tracks, nil, units[0].DTS)
	}
	for _, u := range units {
		b = m.Unit(b, tracks, u)
	}
	return b
}

// demux pushes b in pieces of size bytes, and ends.
func demux(t testing.TB, d *Demuxer, b []byte, size int) (units []*av.AccessUnit, errs []error) {
	t.Helper()
	emit := func(u *av.AccessUnit) error {
		units = append(units, u)
		return nil
	}
	note := func(err error) {
		if _, ok := errors.AsType[*PacketError](err); err != nil && !ok {
			t.Fatalf("%v is no PacketError", err)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	for len(b) > 0 {
		n := min(size, len(b))
		note(d.Push(b[:n], emit))
		b = b[n:]
	}
	note(d.End(emit))
	return units, errs
}

// must demuxes what has no fault.
func must(t testing.TB, b []byte, size int) []*av.AccessUnit {
	t.Helper()
	units, errs := demux(t, new(Demuxer), b, size)
	if len(errs) > 0 {
		t.Fatalf("errors: %v", errs)
	}
	return units
}

// report is what check saw.
type report struct {
	packets, tables, pcrs int
	versions              []byte // of the PMT, each that is another than the one before
	random, splices       int
	pcrGap                int64 // the greatest
}

// check holds what a muxer wrote against the rules of 2.4.3: sync bytes, counters, PCR.
func check(t testing.TB, b []byte) (r report) {
	t.Helper()
	if len(b)%PacketSize != 0 {
		t.Fatalf("%d bytes are no packets", len(b))
	}
	next := map[uint16]byte{}
	pcr := int64(-1)
	for at := 0; at < len(b); at += PacketSize {
		raw := b[at : at+PacketSize]
		p, err := parsePacket(raw)
		if err != nil || raw[0] != syncByte || raw[3]&flagScrambled != 0 {
			t.Fatalf("packet %d: % x: %v", at/PacketSize, raw[:8], err)
		}
		r.packets++
		if want, ok := next[p.pid]; ok && p.payload != nil && p.cc != want {
			t.Fatalf("packet %d, PID %#x: counter %d, want %d", at/PacketSize, p.pid, p.cc, want)
		} else if ok && p.payload == nil && p.cc != (want-1)&15 {
			t.Fatalf("packet %d, PID %#x: counter %d without payload, want %d", at/PacketSize, p.pid, p.cc, want-1)
		}
		if p.payload != nil {
			next[p.pid] = (p.cc + 1) & 15
		}
		if raw[3]&flagField != 0 && raw[4] > 0 {
			if p.discontinuity {
				r.splices++
				pcr = -1
			}
			if raw[5]&fieldRandom != 0 {
				r.random++
			}
			if raw[5]&fieldPCR != 0 {
				v := int64(raw[6])<<25 | int64(raw[7])<<17 | int64(raw[8])<<9 | int64(raw[9])<<1 | int64(raw[10])>>7
				if pcr >= 0 {
					gap := av.Unwrap(pcr, uint64(v), stampBits) - pcr
					if gap < 0 {
						t.Fatalf("packet %d: PCR %d after %d", at/PacketSize, v, pcr)
					}
					r.pcrGap = max(r.pcrGap, gap)
				}
				pcr = v
				r.pcrs++
			}
		}
		if p.start && p.pid == patPID {
			r.tables++
		}
		if p.start && p.pid == pmtPID {
			if v := p.payload[6] >> 1 & 31; len(r.versions) == 0 || r.versions[len(r.versions)-1] != v {
				r.versions = append(r.versions, v)
			}
		}
		if p.start && p.pid != patPID && p.pid != pmtPID {
			var d Demuxer
			if _, s, err := d.header(p.payload); err != nil || !s.ok || pcr >= 0 && av.Unwrap(pcr, uint64(s.dts), stampBits) < pcr {
				t.Fatalf("packet %d: DTS %d, PCR %d: %v", at/PacketSize, s.dts, pcr, err)
			}
		}
	}
	return r
}

// same compares what came out with what went in, to a tick. shift is the difference of the times.
func same(got, want *av.AccessUnit) error {
	const tick = time.Second / Rate
	shift := av.Duration(Origin, Rate)
	if d := got.DTS - shift - want.DTS; d < -tick || d > tick {
		return fmt.Errorf("DTS %v, want %v", got.DTS-shift, want.DTS)
	}
	if d := got.PTS - shift - want.PTS; d < -tick || d > tick {
		return fmt.Errorf("PTS %v, want %v", got.PTS-shift, want.PTS)
	}
	if got.Key != want.Key || got.Track.Codec != want.Track.Codec || len(got.Data) != len(want.Data) {
		return fmt.Errorf("key %v, %v, %d elements; want %v, %v, %d", got.Key, got.Track, len(got.Data), want.Key, want.Track, len(want.Data))
	}
	for i := range got.Data {
		if string(got.Data[i]) != string(want.Data[i]) {
			return fmt.Errorf("element %d: %d bytes, want %d", i, len(got.Data[i]), len(want.Data[i]))
		}
	}
	return nil
}

// perTrack sorts units by the IDs of their tracks.
func perTrack(units []*av.AccessUnit) map[int][]*av.AccessUnit {
	m := map[int][]*av.AccessUnit{}
	for _, u := range units {
		m[u.Track.ID] = append(m[u.Track.ID], u)
	}
	return m
}

// compare holds all units against those that went in, track by track.
func compare(t testing.TB, got, want []*av.AccessUnit) {
	t.Helper()
	g, w := perTrack(got), perTrack(want)
	if len(g) != len(w) {
		t.Fatalf("%d tracks, want %d", len(g), len(w))
	}
	for id, units := range w {
		if len(g[id]) != len(units) {
			t.Fatalf("track %d: %d units, want %d", id, len(g[id]), len(units))
		}
		for i, u := range units {
			if err := same(g[id][i], u); err != nil {
				t.Fatalf("track %d, unit %d: %v", id, i, err)
			}
		}
	}
}

// klv is a unit of metadata.
func klv(at time.Duration, size int) *av.AccessUnit {
	return &av.AccessUnit{Track: av.NewKLV(33), Key: true, DTS: at, PTS: at, Data: [][]byte{make([]byte, size)}}
}

// later moves units on by d.
func later(units []*av.AccessUnit, d time.Duration) {
	for _, u := range units {
		u.DTS += d
		u.PTS += d
	}
}

func take(o sim.Options, n int) (tracks []*av.Track, units []*av.AccessUnit) {
	e := sim.New(o)
	return e.Tracks(), e.Take(n)
}
