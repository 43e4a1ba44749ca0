package flv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
)

// nals lays NAL units out behind the header of a coded frame.
func nals(head string, units ...[]byte) []byte {
	b := unhex(head)
	for _, n := range units {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(n))), n...)
	}
	return b
}

// golomb appends numbers and a tail of bits, as exp-Golomb codes, to whole bytes.
func golomb(b []byte, tail byte, values ...int) []byte {
	var s strings.Builder
	for _, v := range values {
		n := bits.Len(uint(v + 1))
		fmt.Fprintf(&s, "%0*b", 2*n-1, v+1)
	}
	digits := s.String() + fmt.Sprintf("1%07b", tail&0x7f)
	digits += strings.Repeat("0", -len(digits)&7)
	for i := 0; i < len(digits); i += 8 {
		var v byte
		_, _ = fmt.Sscanf(digits[i:i+8], "%b", &v)
		b = append(b, v)
	}
	return b
}

// hevcSPS is hexSPS265 with another number and something at its end that a reader does not get to.
func hevcSPS(id int, tail byte) []byte {
	sps := unhex(hexSPS265)
	at := bytes.Index(sps, []byte{0xa0, 0x20}) // the number, 0: one bit
	var rest strings.Builder
	fmt.Fprintf(&rest, "%0*b", 2*bits.Len(uint(id+1))-1, id+1)
	for i, v := range sps[at:] {
		digits := fmt.Sprintf("%08b", v)
		if i == 0 {
			digits = digits[1:]
		}
		rest.WriteString(digits)
	}
	digits := rest.String() + strings.Repeat("0", -rest.Len()&7)
	b := slices.Clone(sps[:at])
	for i := 0; i < len(digits); i += 8 {
		var v byte
		_, _ = fmt.Sscanf(digits[i:i+8], "%b", &v)
		b = append(b, v)
	}
	return append(b, tail|0x80)
}

// TestHeld: a unit says what memory it keeps alive. What it needs little of is copied, so that it keeps no more than
// about the double of its data.
func TestHeld(t *testing.T) {
	const mega = 1 << 20
	slice := append([]byte{0x41}, make([]byte, 5000)...)
	empties := nals("27 01 000000", []byte{0x41, 0x9a})
	empties = append(empties, make([]byte, mega)...)
	tiny := make([][]byte, 4000)
	for i := range tiny {
		tiny[i] = []byte{0x41}
	}
	roomy := make([]byte, 0, mega)
	for name, tc := range map[string]struct {
		tag    Tag
		copied bool
		atMost int
	}{
		"ordinary":               {Tag{Type: VideoTag, Body: nals("27 01 000000", slice)}, false, 5700},
		"small":                  {Tag{Type: VideoTag, Body: nals("27 01 000000", []byte{0x41, 0x9a})}, false, 300},
		"zero-length NAL units":  {Tag{Type: VideoTag, Body: empties}, true, 300},
		"tiny NAL units":         {Tag{Type: VideoTag, Body: nals("27 01 000000", tiny...)}, true, 110_000},
		"capacity behind":        {Tag{Type: VideoTag, Body: append(roomy, nals("27 01 000000", slice)...)}, true, 5700},
		"small part of a whole":  {Tag{Type: VideoTag, Body: nals("27 01 000000", slice), Held: mega}, true, 5700},
		"large part of a whole":  {Tag{Type: VideoTag, Body: nals("27 01 000000", slice), Held: 9000}, false, 9300},
		"small part of little":   {Tag{Type: VideoTag, Body: nals("27 01 000000", []byte{0x41}), Held: 4096}, false, 4400},
		"part that understates":  {Tag{Type: VideoTag, Body: nals("27 01 000000", slice), Held: 1}, false, 5700},
		"audio in a large whole": {Tag{Type: AudioTag, Body: unhex("af 01 2111"), Held: mega}, true, 300},
	} {
		var d Demuxer
		set(t, &d, VideoTag, hexSeqAVC)
		set(t, &d, AudioTag, hexSeqAAC)
		_, _ = feed(&d, VideoTag, 0, "27 01 000000 00000002 419a") // these answer for the tracks
		_, _ = feed(&d, AudioTag, 0, "af 01 2111")
		units, err := d.Demux(tc.tag)
		if err != nil || len(units) != 1 {
			t.Errorf("%s: %d units, error %v", name, len(units), err)
			continue
		}
		u := units[0]
		before := bytes.Join(u.Data, nil)
		clear(tc.tag.Body)
		if copied := bytes.Equal(before, bytes.Join(u.Data, nil)); copied != tc.copied {
			t.Errorf("%s: copied %v", name, copied)
		}
		if least := u.Size() + elementSize*len(u.Data) + unitOverhead; u.Held < least || u.Held > tc.atMost {
			t.Errorf("%s: %d bytes held, want %d to %d", name, u.Held, least, tc.atMost)
		}
		if !tc.copied && u.Held < tc.tag.Held {
			t.Errorf("%s: %d bytes held of %d", name, u.Held, tc.tag.Held)
		}
		for _, b := range u.Data {
			if cap(b) != len(b) {
				t.Errorf("%s: appending to an element would overwrite the next", name)
			}
		}
	}
}

// TestHeldHeap: what units say that they hold is what the heap has for them, whatever their messages were.
func TestHeldHeap(t *testing.T) {
	const count, junk = 64, 1 << 20
	var d Demuxer
	set(t, &d, AudioTag, "95 10"+fourMP4A+"00 000005"+hexASC+"01 000005"+hexASC)
	var kept []*av.AccessUnit
	held := 0
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range count { // two tracks of interest, and one that is refused
		body := unhex("95 21" + fourMP4A + "00 000002 2110" + fourMP4A + "01 000003 211122" + "00000000 02")
		body = append(body, byte(junk>>16), byte(junk>>8&0xff), byte(junk&0xff))
		units, _ := d.Demux(Tag{Type: AudioTag, Body: append(body, make([]byte, junk)...)})
		kept = append(kept, units...)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for _, u := range kept {
		held += u.Held
	}
	if len(kept) != 2*count || held > len(kept)*300+1000 {
		t.Errorf("%d units hold %d bytes", len(kept), held)
	}
	if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > int64(held)+junk {
		t.Errorf("%d bytes of heap for units that say %d", n, held)
	}
	runtime.KeepAlive(kept)
}

// TestHeldTrack: the first unit of a track holds the track as well; of one that changes with each unit, every one does.
func TestHeldTrack(t *testing.T) {
	d, _ := hevcMany(t)
	least := elementSize * av.MaxSets
	for _, s := range d.Tracks()[0].Sets {
		least += len(s)
	}
	for round := range byte(3) {
		pps := golomb(unhex("4401"), round+1, 3, 0)
		for i, first := range []bool{true, false} {
			units, err := d.Demux(Tag{Type: VideoTag, Body: nals("1c 01 000000", pps, unhex("2801af1d"))})
			if err != nil || len(units) != 1 || units[0].Held >= least != first {
				t.Errorf("round %d, unit %d: %v, error %v; the track has %d", round, i, units[0].Held, err, least)
			}
		}
	}
}

// TestConfigSize: a configuration is a few bytes. What claims to be more is refused, and a track keeps nothing of the
// message that brought its configuration.
func TestConfigSize(t *testing.T) {
	junk := strings.Repeat("00", av.MaxConfig)
	for _, tc := range []struct {
		name     string
		typ      TagType
		good     string
		tooLarge string
	}{
		{"AAC", AudioTag, hexSeqAAC, hexSeqAAC + junk},
		{"Opus", AudioTag, "90" + fourOpus + hexOpus, "90" + fourOpus + hexOpus + junk},
		{"FLAC", AudioTag, "90" + fourFLAC + hexFLAC, "90" + fourFLAC + "664c6143 80000022" + hexFLAC + junk},
		{"AV1", VideoTag, hexSeqAV1, hexSeqAV1 + junk},
		{"VP9", VideoTag, "90" + fourVP09 + "0000820202020000", "90" + fourVP09 + "0000820202020000" + junk},
	} {
		var d Demuxer
		set(t, &d, tc.typ, tc.good)
		if _, err := feed(&d, tc.typ, 0, tc.tooLarge); cause(err) != "malformed" {
			t.Errorf("%s: %v", tc.name, err)
		}
		if len(d.Tracks()) != 0 {
			t.Errorf("%s: %v", tc.name, d.Tracks())
		}
	}

	// A sequence header among the OBUs of a picture that is too large leaves the track as it is.
	var d Demuxer
	set(t, &d, VideoTag, hexSeqAV1)
	before := d.Tracks()[0]
	long := append(unhex("93"+fourAV01+"0a"), 0x8a, 0x20) // 4106 bytes
	long = append(append(long, unhex(hexAV1)[1:]...), make([]byte, av.MaxConfig+1)...)
	long = append(long, unhex("3202 1400")...)
	if units, err := d.Demux(Tag{Type: VideoTag, Body: long}); cause(err) != "malformed" || len(units) != 1 {
		t.Errorf("%d units, error %v", len(units), err)
	}
	if d.Tracks()[0] != before {
		t.Error("the sequence header that is too large made a track")
	}

	// What follows the sets in a record is not read, and must not be kept either.
	for _, config := range []string{hexSeqAVC, hexSeqHEVC} {
		var d Demuxer
		body := append(unhex(config), make([]byte, 1<<20)...)
		if _, err := d.Demux(Tag{Type: VideoTag, Body: body}); err != nil {
			t.Fatal(err)
		}
		clear(body)
		for _, s := range d.Tracks()[0].Sets {
			if cap(s) > 2*len(s)+16 || s[0] == 0 {
				t.Errorf("set of %d bytes in %d", len(s), cap(s))
			}
		}
	}
}

// TestSetsSize: all sets of a track together have a limit. What would exceed it changes nothing, and the track can go
// on changing within it.
func TestSetsSize(t *testing.T) {
	pps := func(id, size int) []byte { return append(golomb([]byte{0x68}, 1, id, 0), make([]byte, size)...) }
	total := func(track *av.Track) (n int) {
		for _, s := range track.Sets {
			n += len(s)
		}
		return n
	}
	var d Demuxer
	set(t, &d, VideoTag, hexSeqAVC)
	refused := 0
	for id := range 63 {
		before := d.Tracks()[0]
		units, err := d.Demux(Tag{Type: VideoTag, Body: nals("17 01 000000", pps(id, 4000), []byte{0x65, 0x88})})
		now := d.Tracks()[0]
		if len(units) != 1 || units[0].Track != now || total(now) > av.MaxSetsSize || (err != nil) != (now == before) {
			t.Fatalf("PPS %d: %d units, %d bytes, error %v", id, len(units), total(now), err)
		}
		if err != nil {
			refused++
		}
	}
	if want := 63 - av.MaxSetsSize/4000; refused != want {
		t.Errorf("%d PPS refused, want %d", refused, want)
	}
	before := d.Tracks()[0]
	if _, err := d.Demux(Tag{Type: VideoTag, Body: nals("17 01 000000", pps(0, 5), []byte{0x65, 0x88})}); err != nil {
		t.Error(err)
	}
	if now := d.Tracks()[0]; now == before || total(now) >= total(before) {
		t.Errorf("%d bytes after %d", total(now), total(before))
	}

	// A header with as much as that is refused with the reason.
	record := unhex("17 00 000000 01 64000a ff e1 0016" + hexSPS + "05")
	for id := range 5 {
		p := pps(id, 4000)
		record = append(binary.BigEndian.AppendUint16(record, uint16(len(p))), p...)
	}
	_, err := d.Demux(Tag{Type: VideoTag, Body: record})
	if cause(err) != "malformed" || !strings.Contains(err.Error(), "parameter sets") || len(d.Tracks()) != 0 {
		t.Errorf("%v; %v", err, d.Tracks())
	}
}

// TestSetNumbers: a set with a number that cannot be is refused.
func TestSetNumbers(t *testing.T) {
	var d Demuxer
	set(t, &d, VideoTag, hexSeqAVC)
	before := d.Tracks()[0]
	body := nals("17 01 000000", golomb([]byte{0x68}, 1, 256, 0), []byte{0x65, 0x88})
	if units, err := d.Demux(Tag{Type: VideoTag, Body: body}); cause(err) != "malformed" || len(units) != 1 {
		t.Errorf("%d units, error %v", len(units), err)
	}
	if d.Tracks()[0] != before {
		t.Error("a set with a number that cannot be made a track")
	}
}

// TestFailedSets: sets of which no track can be made leave those that there are.
func TestFailedSets(t *testing.T) {
	var d Demuxer
	set(t, &d, VideoTag, hexSeqAVC)
	before := d.Tracks()[0]
	body := nals("17 01 000000", unhex("67ff00ff80"), []byte{0x65, 0x88})
	if units, err := d.Demux(Tag{Type: VideoTag, Body: body}); cause(err) != "malformed" || len(units) != 1 {
		t.Fatalf("%d units, error %v", len(units), err)
	}
	units, err := d.Demux(Tag{Type: VideoTag, Body: nals("17 01 000000", unhex("68cb83cb20"), []byte{0x65, 0x88})})
	if err != nil || len(units) != 1 || units[0].Track == before || !bytes.Equal(units[0].Track.Sets[0], unhex(hexSPS)) {
		t.Errorf("%d units, error %v, %v", len(units), err, d.Tracks())
	}
}

// hevcMany configures a demuxer with as many sets as it takes, and returns a function that makes the body of a picture
// in which all of them are others.
func hevcMany(tb testing.TB) (*Demuxer, func(round byte) []byte) {
	tb.Helper()
	body := func(round byte) []byte {
		var units [][]byte
		for id := range 16 {
			units = append(units, hevcSPS(id, round))
		}
		for id := range av.MaxSets - 17 {
			units = append(units, golomb(unhex("4401"), round, id, 0))
		}
		return nals("1c 01 000000", append(units, unhex("2801af1d"))...)
	}
	d := &Demuxer{}
	if _, err := feed(d, VideoTag, 0, hexSeqHEVC); err != nil {
		tb.Fatal(err)
	}
	if units, err := d.Demux(Tag{Type: VideoTag, Body: body(0)}); err != nil || len(units) != 1 {
		tb.Fatal(len(units), err)
	}
	if n := len(d.Tracks()[0].Sets); n != av.MaxSets {
		tb.Fatalf("%d sets", n)
	}
	return d, body
}

// TestSetsWork: a unit in which every set is another costs a few allocations a set. Reading every set that is known for
// each that comes would cost thousands.
func TestSetsWork(t *testing.T) {
	d, body := hevcMany(t)
	bodies := [][]byte{body(1), body(2)}
	round := 0
	n := testing.AllocsPerRun(100, func() {
		round++
		if units, err := d.Demux(Tag{Type: VideoTag, Body: bodies[round%2]}); len(units) != 1 || err != nil {
			t.Fatal(err)
		}
	})
	if n > 2*av.MaxSets {
		t.Errorf("%v allocations for %d sets", n, av.MaxSets)
	}

	// However many come, few are looked at.
	var many [][]byte
	for i := range elementsMax - 1 {
		many = append(many, golomb(unhex("4401"), byte(i), i%2, 0))
	}
	flood := nals("1c 01 000000", append(many, unhex("2801af1d"))...)
	n = testing.AllocsPerRun(100, func() {
		if units, err := d.Demux(Tag{Type: VideoTag, Body: flood}); len(units) != 1 || err == nil {
			t.Fatal(err)
		}
	})
	if n > 2*av.MaxSets {
		t.Errorf("%v allocations for a flood of sets", n)
	}
}

// BenchmarkDemuxSets is a picture with as many parameter sets as a track may have, all of them new.
func BenchmarkDemuxSets(b *testing.B) {
	d, body := hevcMany(b)
	bodies := [][]byte{body(1), body(2)}
	b.SetBytes(int64(len(bodies[0])))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if units, err := d.Demux(Tag{Type: VideoTag, Body: bodies[i%2]}); len(units) != 1 || err != nil {
			b.Fatal(err)
		}
	}
}
