package rtp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// dynamic is the payload type of formats that have none of their own.
const dynamic = 96

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// counting returns a source of numbers that are always the same, near the ends of their ranges.
func counting() func() uint32 {
	n := uint32(0xfffffff0)
	return func() uint32 { n++; return n }
}

// frames takes what a packer wrote apart: RTP by channel, RTCP by channel.
func frames(t testing.TB, b []byte) (rtp, rtcp map[byte][][]byte) {
	t.Helper()
	rtp, rtcp = map[byte][][]byte{}, map[byte][][]byte{}
	for len(b) > 0 {
		if len(b) < 4 || b[0] != '$' {
			t.Fatalf("no frame: % x", b[:min(len(b), 8)])
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			t.Fatalf("frame of %d bytes in %d", n, len(b)-4)
		}
		where := rtp
		if b[1]&1 != 0 {
			where = rtcp
		}
		where[b[1]] = append(where[b[1]], b[4:4+n])
		b = b[4+n:]
	}
	return rtp, rtcp
}

// lanesOf describes tracks as a server does, video on channel 0.
func lanesOf(t testing.TB, tracks []*av.Track) []Lane {
	t.Helper()
	var lanes []Lane
	for i, tr := range tracks {
		f, err := FormatOf(tr, uint8(dynamic+i))
		if err != nil {
			t.Fatal(err)
		}
		lanes = append(lanes, Lane{Format: f, Track: tr, RTP: byte(2 * i), RTCP: byte(2*i + 1)})
	}
	return lanes
}

// packetsOf packs the units of one track.
func packetsOf(t testing.TB, tr *av.Track, units []*av.AccessUnit) (*Format, [][]byte) {
	t.Helper()
	lanes := lanesOf(t, []*av.Track{tr})
	p := NewPacker(lanes, PackerOptions{Random: counting()})
	var all [][]byte
	for _, u := range units {
		rtp, _ := frames(t, p.Unit(nil, []*av.Track{u.Track}, u))
		all = append(all, rtp[0]...)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return reread(t, lanes[0].Format), all
}

// reread is a format after its way through a description.
func reread(t testing.TB, f *Format) *Format {
	t.Helper()
	d, err := ParseSDP(AppendSDP(nil, "test", []Media{{Format: f}}))
	if err != nil {
		t.Fatal(err)
	}
	if d.Medias[0].Err != nil {
		t.Fatal(d.Medias[0].Err)
	}
	return d.Medias[0].Format
}

// collector keeps the units that come out.
type collector struct{ units []*av.AccessUnit }

func (c *collector) emit(u *av.AccessUnit) error {
	c.units = append(c.units, u)
	return nil
}

// feed gives packets to a receiver, one each 5 ms, from memory that is overwritten after the call.
func feed(t testing.TB, r *Receiver, packets [][]byte) []*av.AccessUnit {
	t.Helper()
	var c collector
	for i, b := range packets {
		lent := bytes.Clone(b)
		if err := r.Packet(lent, time.Duration(i)*5*time.Millisecond, c.emit); err != nil {
			t.Logf("packet %d: %v", i, err)
		}
		for j := range lent {
			lent[j] = 0xdd
		}
	}
	return c.units
}

// sameData says whether two units have the same elements, parameter sets of video aside.
func sameData(a, b *av.AccessUnit) bool {
	if len(a.Data) != len(b.Data) || a.Key != b.Key || a.Track.Codec != b.Track.Codec {
		return false
	}
	for i := range a.Data {
		if !bytes.Equal(a.Data[i], b.Data[i]) {
			return false
		}
	}
	return true
}

// isPartOf checks that units come out of want in order and whole. It returns how many.
func isPartOf(t testing.TB, got, want []*av.AccessUnit) int {
	t.Helper()
	at := 0
	for i, u := range got {
		for at < len(want) && !sameData(u, want[at]) {
			at++
		}
		if at == len(want) {
			t.Fatalf("unit %d of %d (%v, %d bytes) is none of those that were sent, or out of order", i, len(got), u.PTS, u.Size())
		}
		at++
	}
	return len(got)
}

// video makes n units of a stream of pictures.
func video(c av.Codec, n int, o sim.Options) (*av.Track, []*av.AccessUnit) {
	o.Video = c
	e := sim.New(o)
	return e.Tracks()[0], e.Take(n)
}

func shuffled(n int, seed uint64, within int) []int {
	rng := rand.New(rand.NewPCG(seed, 1))
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for at := 0; at < n; at += within {
		part := order[at:min(at+within, n)]
		rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
	return order
}
