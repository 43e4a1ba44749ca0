package segment

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/m3u8"
	"github.com/vigil-media/vigil/internal/sim"
)

// What the bytes of a script mean, by the upper half of the first; the lower half and the second are a time in milliseconds.
const (
	opPicture = iota
	opKey
	opSound
	opSoundBack    // a sound whose stamp does not move on
	opHole         // all goes on so many hundredths of a second later
	opLate         // what comes is late from now on
	opParameters   // other parameter sets
	opLateTrack    // another track of sound
	opJump         // units are missed
	opSplice       // all tracks are new
	opSoundGone    // there is no sound any more
	opHuge         // a large picture
	opSoundWritten // the track of sound is written anew, and equal
	opPictures     // many
	opSounds       // many
	opSqueeze
)

// script makes entries of bytes, as a stream would: stamps of a track do not go back.
type script struct {
	tracks       []*av.Track
	video, audio *av.Track
	seen         map[int]time.Duration
	came, now    time.Duration // the publisher's clock: what it sends has about this stamp
	late         time.Duration
	variant      int
	jumped       bool
	c            *Cutter
	took         func(Entry) // is told of each entry
}

func newScript(c *Cutter, took func(Entry)) *script {
	s := &script{seen: map[int]time.Duration{}, c: c, took: took}
	s.splice()
	return s
}

func (s *script) splice() {
	s.video, s.audio = sim.NewTrack(1, av.H264, s.variant), sim.NewTrack(2, av.AAC, 0)
	s.tracks = []*av.Track{s.video, s.audio}
}

func (s *script) unit(t *av.Track, key bool, step time.Duration, size int) {
	if t == nil {
		return
	}
	dts := max(s.now, s.seen[t.ID]+min(step, time.Millisecond))
	s.seen[t.ID] = dts
	if t == s.video {
		s.now = max(s.now, dts) + step
	}
	data := make([]byte, max(size, 1))
	data[0] = 0x41
	if key {
		data[0] = 0x65
	}
	if t.Kind() == av.Audio {
		key = true
	}
	s.came = max(s.came, dts+s.late)
	s.took(Entry{
		Unit:   &av.AccessUnit{Track: t, Key: key, DTS: dts, PTS: dts, Data: [][]byte{data}},
		Tracks: append([]*av.Track(nil), s.tracks...), Came: began.Add(s.came), Jumped: s.jumped,
	})
	s.jumped = false
}

func (s *script) run(b []byte) {
	for ; len(b) >= 2; b = b[2:] {
		word := binary.BigEndian.Uint16(b)
		arg := int(word & 0xfff)
		step := time.Duration(arg) * time.Millisecond
		switch word >> 12 {
		case opPicture:
			s.unit(s.video, false, min(step, 200*time.Millisecond), arg)
		case opKey:
			s.unit(s.video, true, min(step, 200*time.Millisecond), arg)
		case opSound:
			s.sound(step)
		case opSoundBack:
			s.unit(s.audio, true, 0, arg)
		case opHole:
			s.now += step * 10
		case opLate:
			s.late = step
		case opParameters:
			s.variant = 1 - s.variant
			s.video = sim.NewTrack(1, av.H264, s.variant)
			s.tracks = append([]*av.Track{s.video}, s.tracks[1:]...)
			s.unit(s.video, true, 40*time.Millisecond, arg)
		case opLateTrack:
			if len(s.tracks) < 3 {
				s.tracks = append(slices.Clip(s.tracks), sim.NewTrack(3, av.AAC, 0))
			}
			s.unit(s.tracks[len(s.tracks)-1], true, step, arg)
		case opJump:
			s.jumped = true
			s.now += step
			s.unit(s.video, true, 40*time.Millisecond, arg)
		case opSplice:
			s.splice()
			s.came += step * 4
			s.unit(s.video, true, 40*time.Millisecond, arg)
		case opSoundGone:
			s.audio, s.tracks = nil, s.tracks[:1]
		case opHuge:
			s.unit(s.video, false, 40*time.Millisecond, arg<<10)
		case opSoundWritten:
			s.audio = sim.NewTrack(2, av.AAC, 0)
			s.tracks = []*av.Track{s.video, s.audio}
			s.sound(0)
		case opPictures:
			for i := range 1 + arg>>6 {
				s.unit(s.video, i == 0, time.Duration(arg&63)*time.Millisecond, 100)
			}
		case opSounds:
			for range 1 + arg>>6 {
				s.sound(0)
				s.now += time.Duration(arg&63) * time.Millisecond
			}
		case opSqueeze:
			s.c.Squeeze(arg&1 != 0)
		}
	}
}

// sound writes a sound behind the one before it.
func (s *script) sound(ahead time.Duration) {
	if s.audio != nil {
		s.seen[2] = max(s.seen[2]+20*time.Millisecond, s.now+min(ahead, 300*time.Millisecond))
		s.unit(s.audio, true, 0, 50)
	}
}

// FuzzCutter cuts whatever may come, and holds every edition to the specification, but for what depends on frames that are longer than a part
// may be.
func FuzzCutter(f *testing.F) {
	word := func(op, arg int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(op<<12|arg)) }
	seed := func(words ...[]byte) {
		var b []byte
		for _, w := range words {
			b = append(b, w...)
		}
		f.Add(byte(0), b)
		f.Add(byte(1), b)
		f.Add(byte(2), b)
	}
	gop := word(opPictures, 25<<6|40)
	seed(gop, gop, gop, gop, word(opParameters, 100), gop, gop, word(opSplice, 1000), gop, gop)
	seed(gop, word(opSounds, 60<<6|21), gop, word(opJump, 3000), gop, word(opHole, 3000), gop, gop, word(opLateTrack, 20), gop, gop)
	seed(gop, word(opLate, 3000), gop, word(opLate, 0), gop, word(opHuge, 4000), gop, word(opSqueeze, 1), gop, gop, gop)
	seed(gop, word(opSoundGone, 0), gop, word(opPictures, 63<<6|63), word(opSoundWritten, 0), gop, word(opSoundBack, 3), word(opSoundBack, 3))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(byte(rng.Uint32()), b)
	}
	f.Fuzz(func(t *testing.T, how byte, b []byte) {
		if len(b) > 2000 {
			return
		}
		fuzzCutter(t, how, b)
	})
}

func fuzzCutter(t *testing.T, how byte, b []byte) {
	t.Helper()
	o := usual(Format(how & 1))
	o.Bytes = 1 << 20
	if how&2 != 0 {
		o.Part = 0
	}
	c := New(o)
	var h, d m3u8.History
	h.Slack, d.Slack = -1, -1
	var last *Edition
	hash := uint64(0)
	look := func() {
		e := c.Edition()
		if last != nil && (e.next < last.next || e.Discontinuity < last.Discontinuity) {
			t.Fatalf("numbers go back: %d to %d, %d to %d", last.next, e.next, last.Discontinuity, e.Discontinuity)
		}
		size := int64(0)
		for _, s := range e.kept {
			size += int64(s.Size)
		}
		if size > o.Bytes && len(e.kept) > 1 || len(e.kept) > (windowMost+1)*o.Window+2 {
			t.Fatalf("%d bytes in %d segments are kept", size, len(e.kept))
		}
		if last != nil && sum(last) != hash {
			t.Fatal("an edition has changed")
		}
		hash = sum(e)
		if e.Playable() {
			_, found := h.Add(m3u8.Response{At: began, Body: e.Playlist().Body})
			whole, more := d.Add(m3u8.Response{At: began, URL: "http://h/p?_HLS_skip=YES", Body: e.Delta().Body})
			if must := m3u8.Musts(append(found, more...), "window", "skip-ignored", "skip-unresolved"); len(must) > 0 {
				t.Fatalf("%v\n%s", must, e.Playlist().Body)
			}
			if whole == nil { // more left the playlist at once than was skipped
				d.Add(m3u8.Response{At: began, Body: e.Playlist().Body})
			}
		}
		last = e
	}
	s := newScript(c, func(e Entry) {
		if c.Add(e) {
			look()
		}
	})
	s.run(b)
	c.End()
	look()
}
