package mpegts

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares packets with a file, a line for each, or writes it under -update.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	var text strings.Builder
	for ; len(b) >= PacketSize; b = b[PacketSize:] {
		fmt.Fprintf(&text, "%x %x\n", b[:headSize], b[headSize:PacketSize])
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(text.String(), "\n")
	lines := strings.Split(string(want), "\n")
	for i := range max(len(got), len(lines)) {
		if i >= len(got) || i >= len(lines) || got[i] != lines[i] {
			t.Fatalf("%s: packet %d differs, of %d; want %d", name, i, len(got)-1, len(lines)-1)
		}
	}
}

func TestGolden(t *testing.T) {
	for name, o := range map[string]sim.Options{
		"h264-aac.txt":  {Video: av.H264, Audio: av.AAC, BFrames: 2, KeySize: 500, Size: 170, GOP: 6},
		"h265-opus.txt": {Video: av.H265, Audio: av.Opus, KeySize: 300, Size: 90, FPS: 5},
		"ac3.txt":       {Audio: av.AC3},
		"pcmu.txt":      {Audio: av.PCMU},
		"mp3.txt":       {Audio: av.MP3},
	} {
		tracks, units := take(o, 16)
		b := mux(new(Muxer), tracks, units)
		check(t, b)
		golden(t, name, b)
	}
}

// TestTables compares PAT and PMT with what other programs write: byte by byte, as ffmpeg has them for H.264 and AAC, but for the number of
// the stream.
func TestTables(t *testing.T) {
	tracks, _ := take(sim.Options{Video: av.H264, Audio: av.AAC}, 0)
	b := new(Muxer).Config(nil, tracks, nil, 0)
	for i, want := range []string{
		"4740001f 00 00b00d 0001 c10000 0001f000 2ab104b2",
		"4750001f 00 02b017 0001 c10000 e100 f000 1be100f000 0fe101f000 2f44b99b",
	} {
		if w := unhex(want); !bytes.HasPrefix(b[i*PacketSize:], w) || b[i*PacketSize+len(w)] != 0xff {
			t.Errorf("packet %d: %x", i, b[i*PacketSize:i*PacketSize+40])
		}
	}
}

// TestStuffing: payloads of every size fill their packets.
func TestStuffing(t *testing.T) {
	track := sim.NewTrack(2, av.PCMA, 0)
	for size := 1; size < 3*payloadMost; size++ {
		u := &av.AccessUnit{Track: track, Key: true, Data: [][]byte{bytes.Repeat([]byte{0x47}, size)}}
		var m Muxer
		b := m.Unit(nil, []*av.Track{track}, u)
		b = m.Unit(b, []*av.Track{track}, u) // this one has no adaptation field of its own
		check(t, b)
		got := must(t, b, 188)
		if len(got) != 2 || same(got[0], u) != nil || same(got[1], u) != nil {
			t.Fatalf("%d bytes: %v", size, got)
		}
	}
}

// TestNewcomer: whoever begins at any key picture, with the tables of Config, sees counters that go on, and all that follows.
func TestNewcomer(t *testing.T) {
	for _, o := range []sim.Options{{Video: av.H264, Audio: av.AAC, GOP: 7}, {Audio: av.AAC}} {
		tracks, units := take(o, 300)
		var m Muxer
		var ends []int
		b := m.Config(nil, tracks, nil, 0)
		start := len(b)
		for _, u := range units {
			b = m.Unit(b, tracks, u)
			ends = append(ends, len(b))
		}
		check(t, b)
		for i, u := range units {
			if i > 0 {
				start = ends[i-1]
			}
			if !u.Key || o.Video != 0 && u.Track.Kind() == av.Audio {
				continue
			}
			own := append(m.Config(nil, tracks, nil, u.DTS), b[start:]...)
			check(t, own)
			got := must(t, own, 188*7)
			if len(got) != len(units)-i {
				t.Fatalf("from unit %d: %d units, want %d", i, len(got), len(units)-i)
			}
		}
	}
}

// TestLeftOut: sound beside a video codec without form; a viewer may begin with the unit after a key picture.
func TestLeftOut(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.AV1, Audio: av.AAC, GOP: 10}, 100)
	var m Muxer
	after := false
	for i, u := range units {
		b := m.Unit(nil, tracks, u)
		if u.Track.Kind() == av.Video {
			if len(b) > 0 {
				t.Fatal("AV1 was written")
			}
			after = after || u.Key
			continue
		}
		if after && (len(b) == 0 || b[1] != flagStart || b[2] != patPID) {
			t.Fatalf("unit %d does not begin with the tables: % x", i, b[:4])
		}
		after = false
	}
}

// TestSegments: tables can be had before any unit, and are not doubled.
func TestSegments(t *testing.T) {
	tracks, units := take(sim.Options{Audio: av.AAC}, 200)
	var m Muxer
	var b []byte
	for i, u := range units {
		before := len(b)
		if i%50 == 0 {
			b = m.AppendTables(b, tracks, u.DTS)
		}
		b = m.Unit(b, tracks, u)
		if i%50 == 0 {
			segment := b[before:]
			if r := check(t, segment); r.tables != 1 || segment[1] != flagStart || segment[2] != patPID {
				t.Errorf("unit %d: %+v", i, r)
			}
		}
	}
	if r := check(t, b); r.tables < 4 || r.tables > 4+int(units[199].DTS/(300*time.Millisecond)) {
		t.Errorf("%+v", r)
	}
}

// TestSegmentsOfPictures: a key picture has its tables once, whoever asked for them; Config adds none in mid-stream.
func TestSegmentsOfPictures(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264, GOP: 5}, 50)
	var m Muxer
	var b []byte
	for _, u := range units {
		if c := m.Config(nil, tracks, tracks, u.DTS); len(c) > 0 {
			t.Fatal("tables where they were already")
		}
		if u.Key {
			b = m.AppendTables(b, tracks, u.DTS)
		}
		b = m.Unit(b, tracks, u)
	}
	if r := check(t, b); r.tables != 10 {
		t.Errorf("%+v", r)
	}
}

// TestSpliceOfSound: after a splice the sound comes first, with times that are not those of the old clock.
func TestSpliceOfSound(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264, Audio: av.AAC, Start: 100 * time.Second}, 50)
	var m Muxer
	b := mux(&m, tracks, units)
	tracks, next := take(sim.Options{Video: av.H264, Audio: av.AAC, Origin: 1}, 50)
	next[0], next[1] = next[1], next[0]
	for _, u := range next {
		b = m.Unit(b, tracks, u)
	}
	if r := check(t, b); r.splices != 3 {
		t.Errorf("%+v", r)
	}
	compare(t, must(t, b, 1316), append(units, next...))
}

// TestPCR: the clock is behind the units by a constant, goes on where pictures are rare or stop, and waits for sound that is late.
func TestPCR(t *testing.T) {
	for _, tc := range []struct {
		name   string
		delay  time.Duration // of the sound
		fps    float64
		stop   bool // of the pictures
		behind int64
		gap    int64 // between two PCRs, at the most
	}{
		{"25 fps", 0, 25, false, Delay, pcrMost},
		{"1 fps", 0, 1, false, 0, pcrMost},
		{"pictures stop", 0, 25, true, 0, pcrMost},
		{"late sound", 3 * time.Second, 25, false, 0, 4 * Rate}, // it waits once
		{"early sound", -3 * time.Second, 25, false, 0, pcrMost},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tracks, units := take(sim.Options{Video: av.H264, Audio: av.AAC, FPS: tc.fps, Start: 5 * time.Second}, 600)
			var m Muxer
			var b []byte
			sound, written := 0, 0
			for i, u := range units {
				if u.Track.Kind() == av.Audio {
					c := *u
					c.DTS -= tc.delay
					c.PTS -= tc.delay
					u = &c
				} else if tc.stop && i > 100 {
					continue
				}
				n := len(b)
				b = m.Unit(b, tracks, u)
				if u.Track.Kind() == av.Audio {
					sound++
					if len(b) > n {
						written++
					}
				} else if len(b) == n {
					t.Errorf("picture %d was left out", i)
				}
				if tc.behind > 0 && m.ref.newest-m.ref.pcr > tc.behind+pcrEvery {
					t.Errorf("unit %d: PCR %d, newest %d", i, m.ref.pcr, m.ref.newest)
				}
			}
			r := check(t, b)
			if r.pcrGap > tc.gap {
				t.Errorf("PCRs %d ticks apart", r.pcrGap)
			}
			if written < sound-150 || tc.delay == 0 && written < sound {
				t.Errorf("%d of %d units of sound", written, sound)
			}
		})
	}
}

// TestConfigMeanwhile: newcomers may come while units are written. The race detector judges.
func TestConfigMeanwhile(t *testing.T) {
	tracks, units := take(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 3}, 500)
	var m Muxer
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, u := range units {
			check(t, m.Config(m.Head(nil, tracks), tracks, nil, u.DTS))
		}
	}()
	for _, u := range units {
		m.Unit(nil, tracks, u)
	}
	<-done
}

// TestUnitAllocates: in the steady state nothing is allocated.
func TestUnitAllocates(t *testing.T) {
	for _, o := range []sim.Options{{Video: av.H264, Audio: av.AAC}, {Video: av.H265, Audio: av.Opus}, {Audio: av.AC3}} {
		tracks, units := take(o, 100)
		var m Muxer
		dst := make([]byte, 0, 1<<20)
		round := func() {
			for _, u := range units {
				if len(m.Unit(dst, tracks, u)) < u.Size() {
					t.Fatal("a unit was left out")
				}
			}
			later(units, 4*time.Second)
		}
		if got := testing.AllocsPerRun(10, round); got != 0 {
			t.Errorf("%v+%v: %v allocations", o.Video, o.Audio, got)
		}
	}
}
