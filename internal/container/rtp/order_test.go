package rtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// The packets' parts, to be changed.
func seqOf(b []byte) uint16        { return binary.BigEndian.Uint16(b[2:]) }
func setSeq(b []byte, v uint16)    { binary.BigEndian.PutUint16(b[2:], v) }
func timeOf(b []byte) uint32       { return binary.BigEndian.Uint32(b[4:]) }
func setTime(b []byte, v uint32)   { binary.BigEndian.PutUint32(b[4:], v) }
func setSource(b []byte, v uint32) { binary.BigEndian.PutUint32(b[8:], v) }

func clones(packets [][]byte) [][]byte {
	all := make([][]byte, len(packets))
	for i, b := range packets {
		all[i] = bytes.Clone(b)
	}
	return all
}

// TestAnyOrderWithinTheWindow: whatever the order, the same units come out, at the same times.
func TestAnyOrderWithinTheWindow(t *testing.T) {
	for _, c := range []av.Codec{av.H264, av.H265, av.VP8} {
		tr, units := video(c, 60, sim.Options{KeySize: 9000, Size: 3000, GOP: 10})
		f, packets := packetsOf(t, tr, units)
		want := feed(t, NewReceiver(1, f, new(Clock), Options{}), packets)
		rapid.Check(t, func(t *rapid.T) {
			within := rapid.IntRange(2, 60).Draw(t, "within")
			window := 2*within + rapid.IntRange(0, 50).Draw(t, "more")
			order := shuffled(len(packets)-1, rapid.Uint64().Draw(t, "seed"), within)
			r := NewReceiver(1, f, new(Clock), Options{Window: window, Hold: time.Second})
			var got collector
			err := r.Packet(packets[0], 0, got.emit) // a receiver counts from the first that it gets
			for i, at := range order {
				err = errors.Join(err, r.Packet(packets[at+1], time.Duration(i)*time.Millisecond, got.emit))
				if rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
					err = errors.Join(err, r.Packet(packets[at+1], time.Duration(i)*time.Millisecond, got.emit))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.units) != len(want) {
				t.Fatalf("%d units, want %d: %+v", len(got.units), len(want), r.Stats())
			}
			for i, u := range got.units {
				if !sameData(u, want[i]) || u.PTS-got.units[0].PTS != want[i].PTS-want[0].PTS {
					t.Fatalf("unit %d differs", i)
				}
			}
			if s := r.Stats(); s.Lost+s.Late+s.Dropped+s.Bad > 0 {
				t.Fatalf("%+v", s)
			}
		})
	}
}

// TestLoss: what came out is whole, in order, and after a gap the first picture is a key.
func TestLoss(t *testing.T) {
	for _, c := range []av.Codec{av.H264, av.H265, av.AV1, av.VP8, av.VP9} {
		for _, window := range []int{0, 32} {
			t.Run(fmt.Sprint(c, " ", window), func(t *testing.T) {
				tr, units := video(c, 500, sim.Options{KeySize: 9000, Size: 3000, GOP: 10, Slices: 3})
				if c == av.AV1 {
					withSequenceHeader(units)
				}
				f, packets := packetsOf(t, tr, units)
				rng := rand.New(rand.NewPCG(3, uint64(c)))
				for percent := 1; percent <= 30; percent *= 3 {
					var some [][]byte
					for _, b := range packets {
						if rng.IntN(100) >= percent {
							some = append(some, b)
						}
					}
					r := NewReceiver(1, f, new(Clock), Options{Window: window, Hold: 100 * time.Millisecond})
					got := feed(t, r, some)
					n := isPartOf(t, got, units)
					decodable(t, got, units)
					if s := r.Stats(); percent < 9 && (n < 50 || s.Lost == 0 || s.Dropped == 0) {
						t.Errorf("%d %%: %d of %d units: %+v", percent, n, len(units), s)
					}
				}
			})
		}
	}
}

// decodable wants a key unit after each gap.
func decodable(t testing.TB, got, sent []*av.AccessUnit) {
	t.Helper()
	at := 0
	for i, u := range got {
		start := at
		for !sameData(u, sent[at]) {
			at++
		}
		if at > start && !u.Key {
			t.Fatalf("unit %d comes after a gap of %d and is no key", i, at-start)
		}
		at++
	}
}

// TestLossOfSound costs just what was in the packet.
func TestLossOfSound(t *testing.T) {
	for _, c := range []av.Codec{av.AAC, av.Opus, av.MP3, av.AC3, av.PCMA} {
		e := sim.New(sim.Options{Audio: c})
		units := e.Take(100)
		f, packets := packetsOf(t, e.Tracks()[0], units)
		r := NewReceiver(2, f, new(Clock), Options{})
		got := feed(t, r, append(clones(packets[:50]), packets[51:]...))
		if isPartOf(t, got, units) != 99 || r.Stats().Lost != 1 || r.Stats().Dropped != 0 {
			t.Errorf("%v: %d units, %+v", c, len(got), r.Stats())
		}
		if d := got[50].PTS - got[49].PTS; d < 30*time.Millisecond {
			t.Errorf("%v: the gap is %v", c, d)
		}
	}
}

// TestExpire: after Options.Hold a receiver waits no longer, and the late packet is dropped when it comes.
func TestExpire(t *testing.T) {
	e := sim.New(sim.Options{Audio: av.Opus})
	units := e.Take(10)
	f, packets := packetsOf(t, e.Tracks()[0], units)
	r := NewReceiver(2, f, new(Clock), Options{Window: 16, Hold: 200 * time.Millisecond})
	var got collector
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, step := range []struct {
		packet int // -1: only Expire
		at     int // ms
		units  int // that are out then
	}{{0, 0, 1}, {2, 20, 1}, {3, 40, 1}, {-1, 219, 1}, {-1, 220, 3}, {1, 230, 3}, {4, 240, 4}, {7, 250, 4}, {6, 300, 4}, {-1, 449, 4}, {-1, 450, 6}, {9, 460, 6}, {8, 470, 8}} {
		var err error
		if step.packet >= 0 {
			err = r.Packet(packets[step.packet], ms(step.at), got.emit)
		} else {
			err = r.Expire(ms(step.at), got.emit)
		}
		if err != nil || len(got.units) != step.units {
			t.Fatalf("at %d ms: %d units, want %d, %v", step.at, len(got.units), step.units, err)
		}
	}
	if s := r.Stats(); s.Lost != 2 || s.Late != 1 || s.Reordered != 2 {
		t.Errorf("%+v", s)
	}
}

// TestDisturbances are those of incident card N05, and more: pictures flow again within a second, which is two groups of pictures.
func TestDisturbances(t *testing.T) {
	const gop, before, after = 10, 600, 600
	tr, units := video(av.H264, before+after, sim.Options{KeySize: 6000, Size: 1500, GOP: gop})
	f, all := packetsOf(t, tr, units)
	cut := 0
	for i, b := range all { // the first packet of the second half
		if seen := timeOf(b) - timeOf(all[0]); seen >= before*3600 {
			cut = i
			break
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tc := range []struct {
		name  string
		pause time.Duration
		spoil func(tail [][]byte) [][]byte // of the second half
		least int                          // units of the second half
	}{
		{"nothing", 0, func(b [][]byte) [][]byte { return b }, after},
		{"sequence reset to 0", 0, renumber(0), after - gop},
		{"sequence reset just behind", 0, renumber(seqOf(all[cut]) - 100), after - gop},
		{"sequence jump of 30000", 0, renumber(seqOf(all[cut]) + 30_000), after - gop},
		{"sequence jump of 2900", 0, renumber(seqOf(all[cut]) + 2900), after - 2*gop},
		{"source changes", 0, func(b [][]byte) [][]byte {
			for i := range b {
				setSource(b[i], 77)
				setTime(b[i], timeOf(b[i])+1<<31)
			}
			return renumber(5)(b)
		}, after - 3*gop},
		{"constant timestamp and loss", 0, func(b [][]byte) [][]byte {
			var some [][]byte
			for i := range b {
				setTime(b[i], timeOf(b[0]))
				if rng.IntN(50) != 0 {
					some = append(some, b[i])
				}
			}
			return some
		}, after / 3},
		{"ten of each", 0, func(b [][]byte) [][]byte {
			var more [][]byte
			for _, p := range b {
				for range 10 {
					more = append(more, p)
				}
			}
			return more
		}, after},
		{"rows of ten, ten times", 0, func(b [][]byte) [][]byte {
			var more [][]byte
			for at := 0; at < len(b); at += 10 {
				for range 10 {
					more = append(more, b[at:min(at+10, len(b))]...)
				}
			}
			return more
		}, after},
		{"silence of 30 s", 30 * time.Second, func(b [][]byte) [][]byte { return b }, after},
		{"timestamps jump", 0, func(b [][]byte) [][]byte {
			for i := range b {
				setTime(b[i], timeOf(b[i])+1<<30)
			}
			return b
		}, after},
	} {
		for _, window := range []int{0, 128} {
			tail := tc.spoil(clones(all[cut:]))
			r := NewReceiver(1, f, new(Clock), Options{Window: window, Hold: 200 * time.Millisecond})
			var got collector
			now := time.Duration(0)
			give := func(packets [][]byte, span time.Duration) {
				step := span / time.Duration(len(packets))
				for _, b := range packets {
					now += step
					if err := r.Packet(b, now, got.emit); err != nil {
						t.Logf("%s: %v", tc.name, err)
					}
				}
			}
			give(all[:cut], before*40*time.Millisecond)
			if len(got.units) != before {
				t.Fatalf("%s: %d units before", tc.name, len(got.units))
			}
			now += tc.pause
			give(tail, after*40*time.Millisecond)
			isPartOf(t, got.units, units)
			if n := len(got.units) - before; n < tc.least {
				t.Errorf("%s, window %d: %d units after, want %d: %+v", tc.name, window, n, tc.least, r.Stats())
			}
			for i, u := range got.units {
				if u.PTS < u.DTS {
					t.Fatalf("%s: unit %d: PTS %v, DTS %v", tc.name, i, u.PTS, u.DTS)
				}
			}
		}
	}
}

// renumber gives packets consecutive numbers from first on.
func renumber(first uint16) func([][]byte) [][]byte {
	return func(b [][]byte) [][]byte {
		for i := range b {
			setSeq(b[i], first+uint16(i))
		}
		return b
	}
}

// TestReorderBeyondTheWindow is the last of N05: packets of half a second come in any order, then in theirs again.
func TestReorderBeyondTheWindow(t *testing.T) {
	tr, units := video(av.H264, 1500, sim.Options{KeySize: 6000, Size: 1500, GOP: 10})
	f, all := packetsOf(t, tr, units)
	for _, window := range []int{0, 64, 1024} {
		packets := clones(all)
		for i, at := range shuffled(1000, 9, 500) {
			packets[500+i] = all[500+at]
		}
		r := NewReceiver(1, f, new(Clock), Options{Window: window, Hold: 3 * time.Second})
		got := feed(t, r, packets)
		isPartOfAnyOrder(t, got, units)
		last := got[len(got)-1]
		if !sameData(last, units[len(units)-1]) {
			t.Errorf("window %d: the last unit is not the last", window)
		}
		from := 0 // of those that come in order again
		for i, u := range units {
			if timeOf(all[0])+uint32(i)*3600 == timeOf(all[1500]) {
				from = i
			}
			_ = u
		}
		missing := 0
		for _, u := range units[from+25:] {
			if !contains(got, u) {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("window %d: %d units are missing although their packets came in order: %+v", window, missing, r.Stats())
		}
		if window == 1024 && len(got) != len(units) {
			t.Errorf("%d units, want %d: %+v", len(got), len(units), r.Stats())
		}
	}
}

func contains(units []*av.AccessUnit, u *av.AccessUnit) bool {
	for _, o := range units {
		if sameData(o, u) {
			return true
		}
	}
	return false
}

func isPartOfAnyOrder(t *testing.T, got, sent []*av.AccessUnit) {
	t.Helper()
	for i, u := range got {
		if !contains(sent, u) {
			t.Fatalf("unit %d was not sent", i)
		}
	}
}

// TestForeignPackets: another source among the packets does not get the media.
func TestForeignPackets(t *testing.T) {
	tr, units := video(av.H264, 200, sim.Options{})
	f, packets := packetsOf(t, tr, units)
	foreign := clones(packets)
	for i := range foreign {
		setSource(foreign[i], 9)
	}
	r := NewReceiver(1, f, new(Clock), Options{Window: 16, Hold: time.Second})
	var got collector
	for i, b := range packets {
		for _, p := range [][]byte{b, foreign[i], foreign[(i+7)%len(foreign)]} {
			if err := r.Packet(p, time.Duration(i)*time.Millisecond, got.emit); err != nil {
				t.Fatal(err)
			}
		}
	}
	compare(t, got.units, units, 90_000)
	if s := r.Stats(); s.Foreign != int64(2*len(packets)) {
		t.Errorf("%+v", s)
	}
}

// TestSameNumberTwice: of two packets that wait with one number the first stays.
func TestSameNumberTwice(t *testing.T) {
	e := sim.New(sim.Options{Audio: av.Opus})
	units := e.Take(4)
	f, packets := packetsOf(t, e.Tracks()[0], units)
	other := bytes.Clone(packets[2])
	setTime(other, timeOf(other)+960)
	r := NewReceiver(2, f, new(Clock), Options{Window: 8, Hold: time.Second})
	got := feed(t, r, [][]byte{packets[0], packets[2], other, packets[1], packets[3]})
	compare(t, got, units, 48_000)
	if s := r.Stats(); s.Duplicates != 1 || r.order.count != 0 || r.order.size != 0 {
		t.Errorf("%+v, %d wait", s, r.order.count)
	}
}

// TestWraps: numbers and timestamps go over their ends.
func TestWraps(t *testing.T) {
	e := sim.New(sim.Options{Audio: av.PCMA})
	units := e.Take(70_000)
	f, packets := packetsOf(t, e.Tracks()[0], units) // both begin near their ends
	if first := packets[0]; seqOf(first) < 65_000 || timeOf(first) < 1<<32-1000 {
		t.Fatalf("begins with %d, %d", seqOf(first), timeOf(first))
	}
	compare(t, feed(t, NewReceiver(2, f, new(Clock), Options{Window: 8}), packets), units, 8000)
}

// TestEmitFails: the error of the caller's function comes back as it is, and the stream can go on.
func TestEmitFails(t *testing.T) {
	tr, units := video(av.H264, 20, sim.Options{GOP: 5})
	f, packets := packetsOf(t, tr, units)
	r := NewReceiver(1, f, new(Clock), Options{})
	full := errors.New("full")
	var got collector
	fails := 0
	for i, b := range packets {
		err := r.Packet(b, 0, func(u *av.AccessUnit) error {
			if i < 5 {
				return fmt.Errorf("write: %w", full)
			}
			return got.emit(u)
		})
		if bad, ok := errors.AsType[*PacketError](err); ok {
			t.Fatal(bad)
		}
		if errors.Is(err, full) {
			fails++
		}
	}
	if fails == 0 || len(got.units) == 0 {
		t.Errorf("%d failures, %d units", fails, len(got.units))
	}
}
