package mpegts

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// split cuts a stream into its packets.
func split(b []byte) (packets [][]byte) {
	for ; len(b) > 0; b = b[PacketSize:] {
		packets = append(packets, bytes.Clone(b[:PacketSize]))
	}
	return packets
}

// judge holds what came out of a damaged stream against the rules of a reader: whole units in order, and a key picture after each gap.
func judge(t *testing.T, units []*av.AccessUnit) *sim.Checker {
	t.Helper()
	c := &sim.Checker{PerTrack: true}
	for _, u := range units {
		if err := c.Unit(u); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestLoss: of packets that are missing or marked as damaged no unit comes out that lacks something; duplicates do no harm.
func TestLoss(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264, Audio: av.AAC, Slices: 3, Size: 1500, BFrames: 1}, 1000)
	packets := split(mux(new(Muxer), tracks, units))
	for _, tc := range []struct {
		name string
		harm func(r *rand.Rand, p []byte) [][]byte
		lost bool
	}{
		{"dropped", func(*rand.Rand, []byte) [][]byte { return nil }, true},
		{"doubled", func(_ *rand.Rand, p []byte) [][]byte { return [][]byte{p, p} }, false},
		{"marked", func(_ *rand.Rand, p []byte) [][]byte { p[1] |= flagError; return [][]byte{p} }, true},
		{"scrambled", func(_ *rand.Rand, p []byte) [][]byte { p[3] |= flagScrambled; return [][]byte{p} }, true},
		{"no sync byte", func(_ *rand.Rand, p []byte) [][]byte { p[0] = 0x46; return [][]byte{p} }, true},
		{"wrong counter", func(r *rand.Rand, p []byte) [][]byte { p[3] ^= byte(1 + r.IntN(15)); return [][]byte{p} }, true},
		{"field too long", func(_ *rand.Rand, p []byte) [][]byte { p[3] |= flagField; p[4] = 184; return [][]byte{p} }, true},
		{"late duplicate", func(_ *rand.Rand, p []byte) [][]byte {
			return [][]byte{p, {syncByte, p[1] &^ flagStart, p[2], flagField | p[3]&15, 183, 187: 0xff}, p}
		}, false},
		{"rubbish before", func(r *rand.Rand, p []byte) [][]byte { return [][]byte{make([]byte, r.IntN(400)), p} }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(20) {
				r := rand.New(rand.NewPCG(seed, 1))
				var b []byte
				harmed, last := 0, 15
				for i, p := range packets {
					if i-last <= syncs || r.IntN(100) > 0 { // between two there are enough to be found
						b = append(b, p...)
						continue
					}
					harmed, last = harmed+1, i
					for _, p := range tc.harm(r, bytes.Clone(p)) {
						b = append(b, p...)
					}
				}
				got, errs := demux(t, new(Demuxer), b, 1+r.IntN(3000))
				c := judge(t, got)
				if tc.lost && (c.Missing < harmed/4 || len(errs) == 0) || !tc.lost && c.Missing > 0 || c.Units < 200 {
					t.Fatalf("seed %d: %d packets harmed: %d units, %d missing in %d gaps, %d errors",
						seed, harmed, c.Units, c.Missing, c.Gaps, len(errs))
				}
				if got := len(got) + c.Missing; tc.name == "doubled" && got != len(units) {
					t.Fatalf("seed %d: %d units", seed, got)
				}
			}
		})
	}
}

// TestCut: bytes are missing anywhere. No more than a unit is damaged by a cut, and the stream goes on.
func TestCut(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H265, Audio: av.AAC}, 1000)
	whole := mux(new(Muxer), tracks, units)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		var b []byte
		cuts := 0
		for rest := whole; len(rest) > 0; {
			n := min(20_000+r.IntN(20_000), len(rest))
			b = append(b, rest[:n]...)
			rest = rest[min(n+1+r.IntN(500), len(rest)):]
			cuts++
		}
		got, errs := demux(t, new(Demuxer), b, 1316)
		bad := 0
		for _, u := range got {
			if _, err := sim.Read(u); err != nil {
				bad++
			}
		}
		if bad > cuts || len(got) < 500 || len(errs) < cuts/2 {
			t.Fatalf("seed %d: %d units, %d bad, %d cuts, errors %v", seed, len(got), bad, cuts, errs)
		}
	}
}

// TestFlips: bits that are wrong anywhere end nothing.
func TestFlips(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264, Audio: av.AC3}, 1000)
	whole := mux(new(Muxer), tracks, units)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := bytes.Clone(whole)
		for range 100 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		if got, _ := demux(t, new(Demuxer), b, 1316); len(got) < 300 {
			t.Fatalf("seed %d: %d units", seed, len(got))
		}
	}
}

// TestStrides: packets with something between them, and a beginning anywhere.
func TestStrides(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264, Audio: av.AAC}, 100)
	packets := split(mux(new(Muxer), tracks, units))
	for _, stride := range strides {
		for _, front := range []int{0, 4, 100} {
			var b []byte
			b = append(b, make([]byte, front)...)
			for _, p := range packets {
				b = append(append(b, p...), make([]byte, stride-PacketSize)...)
			}
			for _, size := range []int{1, 150, 1 << 20} {
				compare(t, must(t, b, size), units)
			}
		}
	}
	short := packets[:3] // too few to be sure, until the end
	if got := must(t, slices.Concat(short...), 1000); len(got) != 0 {
		t.Errorf("%d units", len(got))
	}
	one := []*av.AccessUnit{{Track: sim.NewTrack(2, av.PCMA, 0), Key: true, Data: [][]byte{{1, 2, 3}}}}
	compare(t, must(t, new(Muxer).Unit(nil, []*av.Track{one[0].Track}, one[0]), 1000), one)
}

// TestSection puts sections together however they lie in packets.
func TestSection(t *testing.T) {
	long := newSection(tablePMT, 1, 0, bytes.Repeat([]byte{0x55}, 600))
	short := newSection(tablePAT, 1, 0, []byte{0, 1, 0xf0, 0})
	head := func(cc byte, start bool) *packet { return &packet{cc: cc, start: start} }
	var s section
	var got [][]byte
	feed := func(p *packet, payload ...[]byte) {
		p.payload = slices.Concat(payload...)
		s.packet(p, func(b []byte) { got = append(got, bytes.Clone(b)) })
	}
	want := func(name string, all ...[]byte) {
		t.Helper()
		if !slices.EqualFunc(got, all, bytes.Equal) {
			t.Errorf("%s: %d sections, want %d", name, len(got), len(all))
		}
		got = nil
	}
	feed(head(0, true), []byte{0}, long[:183])
	feed(head(1, false), long[183:367])
	feed(head(1, false), long[183:367]) // a duplicate
	feed(head(2, false), long[367:551])
	feed(head(3, true), []byte{byte(len(long) - 551)}, long[551:], short, []byte{0xff, 0xff})
	want("two of them", long, short)
	feed(head(4, true), []byte{0}, short)
	want("the same")
	feed(head(5, true), []byte{0}, long[:183])
	feed(head(7, false), long[367:])
	feed(head(8, false), long[:184])
	want("lost")
	feed(head(9, true), []byte{0}, long[:1])
	feed(head(10, false), long[1:2])
	feed(head(11, false), long[2:])
	want("in small pieces", long)
	feed(head(12, true), []byte{200}, short)
	feed(head(13, true), []byte{0, 0, 0xbf, 0xff})
	want("impossible")
	feed(head(14, true), []byte{0}, short)
	want("after that", short)
}

// TestTablesRead: wrong CRCs, versions, programs, and what cannot be carried.
func TestTablesRead(t *testing.T) {
	pat := func(programs ...byte) []byte {
		var body []byte
		for _, p := range programs {
			body = append(body, 0, p, 0xf0, p)
		}
		return newSection(tablePAT, 1, 0, body)
	}
	pmt := func(number uint16, version byte, streams string) []byte {
		return newSection(tablePMT, number, version, append([]byte{0xe1, 0, 0xf0, 0}, unhex(streams)...))
	}
	var d Demuxer
	cc := byte(0)
	push := func(pid uint16, section []byte) error {
		b := appendSectionPackets(nil, pid, section)
		b[3] |= cc & 15
		cc++
		d.err = nil
		return d.outcome(d.packet(b))
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	ids := func(want ...int) {
		t.Helper()
		var got []int
		for _, e := range d.streams {
			got = append(got, e.id)
		}
		if !slices.Equal(got, want) || d.Streams() != len(want) {
			t.Errorf("streams %v, want %v", got, want)
		}
	}
	ok(push(0, pat(0, 5, 6)))
	ok(push(0x1006, pmt(6, 0, "0fe200f000")))
	ids()
	broken := pmt(5, 0, "1be100f000")
	broken[9] ^= 1
	if err := push(0x1005, broken); !errors.Is(err, errCRC) {
		t.Errorf("error %v", err)
	}
	ok(push(0x1005, pmt(5, 0, "1be100f000 0fe101f000 1be102f000 06e103f00a 05044f707573 7f028006 06e104f006 05044b4c5641")))
	ids(1, 2, 3, 4, 33)
	if d.streams[3].codec != av.Opus || d.streams[3].detail != 6 {
		t.Errorf("%+v", d.streams[3])
	}
	ok(push(0x1005, pmt(5, 1, "0fe101f000 24e107f000 1be102f000"))) // the second and third stay, another video comes
	ids(2, 1, 3)
	var u *UnsupportedError
	if err := push(0x1005, pmt(5, 2, "02e100f000 81e108f000 06e109f003 6a0100")); !errors.As(err, &u) {
		t.Errorf("error %v", err)
	}
	ids(2, 4)
	ok(push(0, pat(6))) // the program is gone
	ok(push(0x1006, pmt(6, 0, "1be100f000")))
	ids(1)
	d = Demuxer{Program: 6}
	ok(push(0, pat(5, 6)))
	ok(push(0x1005, pmt(5, 0, "1be100f000")))
	ok(push(0x1006, pmt(6, 0, "0fe100f000")))
	ids(2)
}

// TestFrames: frames of sound lie in PES packets as they like; the stamp is that of the first that begins there.
func TestFrames(t *testing.T) {
	frames := func(c av.Codec) (all []byte, units []*av.AccessUnit) {
		_, units = take(sim.Options{Audio: c}, 40)
		head, _ := adtsOf(units[0].Track.Config)
		for _, u := range units {
			if n := adtsHead + u.Size(); c == av.AAC {
				all = append(all, head[0], head[1], head[2], head[3]|byte(n>>11), byte(n>>3), byte(n<<5)|0x1f, 0xfc)
			}
			all = append(all, u.Data[0]...)
		}
		return all, units
	}
	for _, c := range []av.Codec{av.AAC, av.MP3, av.AC3} {
		for _, size := range []int{50, 300, 1000, 5000} {
			all, units := frames(c)
			each := len(all) / len(units)
			duration := av.Duration(int64(map[av.Codec]int{av.AAC: 1024, av.MP3: 1152, av.AC3: 1536}[c]), int64(units[0].Track.SampleRate))
			var got []*av.AccessUnit
			d := Demuxer{emit: func(u *av.AccessUnit) error { got = append(got, u); return nil }}
			e := &elementary{codec: c, id: 2}
			for at := 0; at < len(all); at += size {
				first := (at + each - 1) / each // the frame that begins here or later
				s := stamps{pts: av.Ticks(time.Duration(first)*duration, Rate), ok: first*each < min(at+size, len(all))}
				if err := d.frames(e, all[at:min(at+size, len(all))], s); err != nil || d.err != nil {
					t.Fatal(err, d.err)
				}
			}
			if len(got) != len(units) {
				t.Fatalf("%v in pieces of %d: %d units, want %d", c, size, len(got), len(units))
			}
			for i, u := range got {
				if want := time.Duration(i) * duration; !bytes.Equal(u.Data[0], units[i].Data[0]) || (u.PTS-want).Abs() > time.Second/Rate+time.Microsecond {
					t.Fatalf("%v in pieces of %d: unit %d at %v, want %v", c, size, i, u.PTS, want)
				}
			}
		}
	}
}

// TestOpusPackets: several in a PES packet, with all that a control header may have.
func TestOpusPackets(t *testing.T) {
	var got []*av.AccessUnit
	d := Demuxer{emit: func(u *av.AccessUnit) error { got = append(got, u); return nil }}
	e := &elementary{codec: av.Opus, id: 2, detail: 2}
	b := unhex("7fe002 fc01 7ff802 0001 0002 fc02 7fe4 02 03aabbcc fc03 7fe0ff05")
	b = append(b, bytes.Repeat([]byte{0xfc}, 260)...)
	if err := d.units(e, b, stamps{ok: true}); err != nil || len(got) != 4 || got[3].PTS != 60*time.Millisecond || got[2].Data[0][1] != 3 ||
		got[3].Size() != 260 {
		t.Errorf("%v: %v", err, got)
	}
	for _, bad := range []string{"7fe0", "7fe003fc", "00e001fc", "7fe0ffff", "7fe40100", "7fe405fc"} {
		if err := d.units(e, unhex(bad), stamps{}); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// TestLimits: PES packets without an end, and more NAL units than a picture may have.
func TestLimits(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264}, 2)
	begin := mux(new(Muxer), tracks, units[:1])
	var d Demuxer
	var got int
	emit := func(*av.AccessUnit) error { got++; return nil }
	if err := d.Push(begin, emit); err != nil || got != 1 {
		t.Fatal(err, got)
	}
	l := lane{pid: firstPID, cc: d.streams[0].cc + 1, form: form{stream: idVideo}}
	big := l.packets(nil, nil, [][]byte{unhex("000001e0 0000 808005 2100010001 00000001 65"), make([]byte, unitMax)}, unitMax+19)
	err := d.Push(big, emit)
	if !errors.Is(err, errTooLarge) || got != 1 || d.total != 0 || cap(d.streams[0].buf) > scratchMax {
		t.Errorf("%v, %d units, %d bytes", err, got, d.total)
	}
	many := append(unhex("000001e0 0000 808005 2100010001"), bytes.Repeat([]byte{0, 0, 1, 0x65, 0x88}, elementsMax+1)...)
	err = errors.Join(d.Push(l.packets(nil, nil, [][]byte{many}, len(many)), emit), d.End(emit))
	if !errors.Is(err, errTooMany) || got != 1 {
		t.Errorf("%v, %d units", err, got)
	}
	stop := errors.New("stop")
	b := mux(&Muxer{}, tracks, units)
	if err := new(Demuxer).Push(b, func(*av.AccessUnit) error { return stop }); err != stop { //nolint:errorlint // as it is
		t.Errorf("error %v", err)
	}
}
