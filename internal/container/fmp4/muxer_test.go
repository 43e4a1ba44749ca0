package fmp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

var _ stream.Muxer = (*Muxer)(nil)

// TestMuxerConfig: when another init segment comes, and when the end.
func TestMuxerConfig(t *testing.T) {
	a, b := sim.NewTrack(1, av.H264, 0), sim.NewTrack(1, av.H264, 1)
	again, h265 := sim.NewTrack(1, av.H264, 0), sim.NewTrack(1, av.H265, 0)
	sound, g722, second := sim.NewTrack(2, av.AAC, 0), sim.NewTrack(2, av.G722, 0), sim.NewTrack(3, av.H264, 1)
	otherSound, opus := aac(t, 0x12, 0x10), sim.NewTrack(2, av.Opus, 0)
	otherSound.ID = 2
	of := func(t ...*av.Track) []*av.Track { return t }
	for _, tc := range []struct {
		name      string
		prev, now []*av.Track
		init      []*av.Track // in the init segment
		err       error
	}{
		{"newcomer", nil, of(a, sound), of(a, sound), nil},
		{"newcomer, one of two of a kind, one not carried", nil, of(a, g722, second), of(a), nil},
		{"newcomer, nothing carried", nil, of(g722), nil, nil},
		{"nothing carried before", of(g722), of(a), of(a), nil},
		{"other parameter sets", of(a, sound), of(b, sound), of(b, sound), nil},
		{"other configuration", of(a, sound), of(a, otherSound), of(a, otherSound), nil},
		{"splice with the same parameters", of(a), of(again), nil, nil},
		{"what is not carried comes", of(a), of(a, g722), nil, nil},
		{"what is not picked comes", of(a, sound), of(a, sound, second), nil, nil},
		{"other codec", of(a, sound), of(h265, sound), nil, ErrTracksChanged},
		{"other sound", of(a, sound), of(a, opus), nil, ErrTracksChanged},
		{"sound comes", of(a), of(a, sound), nil, ErrTracksChanged},
		{"sound goes", of(a, sound), of(a), nil, ErrTracksChanged},
		{"sound becomes picture", of(sound), of(a), nil, ErrTracksChanged},
	} {
		var m Muxer
		got := m.Config(m.Head(nil, tc.now), tc.now, tc.prev, 0)
		if want := AppendInit(nil, tc.init); !bytes.Equal(got, want) {
			t.Errorf("%s: %s\nwant %s", tc.name, dump(got), dump(want))
		}
		if err := m.Err(); !errors.Is(err, tc.err) {
			t.Errorf("%s: error %v", tc.name, err)
		}
	}
}

// TestMuxerTold: what viewers were told of is in the init segment of those who begin before it has come.
func TestMuxerTold(t *testing.T) {
	video, sound := sim.NewTrack(1, av.H264, 0), sim.NewTrack(2, av.AAC, 0)
	both := []*av.Track{video, sound}
	m := Muxer{Told: both}
	if got := m.Config(nil, both[:1], nil, 0); !bytes.Equal(got, AppendInit(nil, both)) {
		t.Errorf("a newcomer gets %s", dump(got))
	}
	if got := m.Config(nil, both, both[:1], time.Second); len(got) > 0 || m.Err() != nil {
		t.Errorf("when the sound comes: %s, %v", dump(got), m.Err())
	}
	next := sim.NewTrack(1, av.H264, 1)
	if got := m.Config(nil, []*av.Track{next}, both, 2*time.Second); !bytes.Equal(got, AppendInit(nil, []*av.Track{next, sound})) || m.Err() != nil {
		t.Errorf("at a splice: %s, %v", dump(got), m.Err())
	}
}

// TestMuxerSplice: the tracks of a publisher that goes on come one after the other.
func TestMuxerSplice(t *testing.T) {
	a, sound := sim.NewTrack(1, av.H264, 0), sim.NewTrack(2, av.AAC, 0)
	b, bSound, bOther := sim.NewTrack(1, av.H264, 1), sim.NewTrack(2, av.AAC, 0), aac(t, 0x12, 0x10)
	bOther.ID = 2
	of := func(t ...*av.Track) []*av.Track { return t }
	u := func(track *av.Track, at time.Duration) *av.AccessUnit {
		return &av.AccessUnit{Track: track, DTS: at, PTS: at, Key: true, Data: [][]byte{{0x65, 1, 2}}}
	}
	for _, tc := range []struct {
		name string
		then []*av.Track // that have come 20 ms after the picture; nil: no more
		init []*av.Track // at that time
		err  error
	}{
		{"the same sound", of(b, bSound), nil, nil},
		{"sound of another configuration", of(b, bOther), of(b, bOther), nil},
		{"another sound", of(b, sim.NewTrack(2, av.Opus, 0)), nil, ErrTracksChanged},
		{"no sound", nil, nil, ErrTracksChanged},
	} {
		var m Muxer
		m.Config(nil, of(a, sound), nil, time.Second)
		m.Unit(nil, of(a, sound), u(a, time.Second))
		got := m.Config(nil, of(b), of(a, sound), 2*time.Second)
		if want := AppendInit(nil, of(b, sound)); !bytes.Equal(got, want) || m.Err() != nil {
			t.Errorf("%s: at the splice %s (%v)\nwant %s", tc.name, dump(got), m.Err(), dump(want))
		}
		if got := m.Config(nil, of(b), nil, 2*time.Second); !bytes.Equal(got, AppendInit(nil, of(b, sound))) {
			t.Errorf("%s: a newcomer gets %s", tc.name, dump(got))
		}
		tracks := of(b)
		if tc.then != nil {
			tracks = tc.then
			got = m.Config(nil, tracks, of(b), 2*time.Second+20*time.Millisecond)
			if want := AppendInit(nil, tc.init); !bytes.Equal(got, want) && len(tc.init)+len(got) > 0 {
				t.Errorf("%s: when the sound comes %s\nwant %s", tc.name, dump(got), dump(want))
			}
			m.Config(nil, of(b), of(a, sound), 2*time.Second) // one who jumps to what lies behind
		}
		if b := m.Unit(nil, tracks, u(b, 4*time.Second)); len(b) == 0 {
			t.Errorf("%s: nothing of a unit in time", tc.name)
		}
		m.Unit(nil, tracks, u(b, 5*time.Second))
		if err := m.Err(); !errors.Is(err, tc.err) {
			t.Errorf("%s: error %v", tc.name, err)
		}
	}
}

// TestMuxerSequence: the numbers of fragments rise, and none is the one after that before it, lest VLC ignore the tfdt.
func TestMuxerSequence(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC})
	var m Muxer
	last := uint32(0)
	for _, u := range e.Take(50) {
		b := m.Unit(nil, e.Tracks(), u)
		at := bytes.Index(b, []byte("mfhd"))
		if at < 0 {
			t.Fatal("no fragment")
		}
		number := binary.BigEndian.Uint32(b[at+8:])
		if last > 0 && number <= last+1 || number == 0 {
			t.Fatalf("fragment %d after %d", number, last)
		}
		last = number
	}
}

// TestMuxerSpliceData: what comes first of a publisher that goes on may be what the format does not carry.
func TestMuxerSpliceData(t *testing.T) {
	sound, again, data := sim.NewTrack(2, av.AAC, 0), sim.NewTrack(2, av.AAC, 0), av.NewKLV(33)
	of := func(t ...*av.Track) []*av.Track { return t }
	u := func(track *av.Track, at time.Duration) *av.AccessUnit {
		return &av.AccessUnit{Track: track, DTS: at, PTS: at, Key: true, Data: [][]byte{{1, 2, 3}}}
	}
	for _, comes := range []bool{true, false} {
		var m Muxer
		m.Config(nil, of(sound, av.NewKLV(33)), nil, 0)
		b := m.Config(nil, of(data), of(sound, av.NewKLV(33)), time.Second)
		b = m.Unit(b, of(data), u(data, time.Second))
		tracks := of(data)
		if comes {
			tracks = of(again, data)
			b = m.Config(b, tracks, of(data), time.Second+20*time.Millisecond)
		}
		if len(b) > 0 || m.Err() != nil {
			t.Errorf("sound comes %v: %s, %v", comes, dump(b), m.Err())
		}
		b = m.Unit(nil, tracks, u(tracks[0], 4*time.Second))
		if (len(b) > 0) != comes || errors.Is(m.Err(), ErrTracksChanged) == comes {
			t.Errorf("sound comes %v: later %d bytes, %v", comes, len(b), m.Err())
		}
	}
}

// TestMuxerTakes: a codec that viewers cannot play is as absent as one that the format does not carry.
func TestMuxerTakes(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.PCMA})
	m := Muxer{Takes: func(c av.Codec) bool { return c != av.PCMA }}
	tracks := e.Tracks()
	if got := m.Config(nil, tracks, nil, 0); !bytes.Equal(got, AppendInit(nil, tracks[:1])) {
		t.Error(dump(got))
	}
	var written int
	for _, u := range e.Take(100) {
		b := m.Unit(nil, tracks, u)
		if (len(b) > 0) != (u.Track == tracks[0]) {
			t.Errorf("%v: %d bytes", u.Track, len(b))
		}
		written += len(b)
	}
	if written == 0 || !slices.Equal(Select(tracks, m.Takes), tracks[:1]) || len(Select(nil, nil)) != 0 {
		t.Error(written, Select(tracks, m.Takes))
	}
}

// TestMuxerChange: a viewer that gets other parameter sets in the middle reads on.
func TestMuxerChange(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H265, Audio: av.Opus, GOP: 5})
	var m Muxer
	var d Demuxer
	var prev []*av.Track
	for i := range 200 {
		if i == 100 {
			e.ChangeVideo()
		}
		u := e.Next()
		var b []byte
		if tracks := e.Tracks(); !slices.Equal(tracks, prev) {
			b = m.Config(b, tracks, prev, u.DTS)
			prev = tracks
		}
		got := demux(t, &d, m.Unit(b, prev, u), 500)
		if len(got) != 1 || m.Err() != nil {
			t.Fatalf("unit %d: %d units, error %v", i, len(got), m.Err())
		}
		same(t, got[0], u)
	}
}

func TestMIME(t *testing.T) {
	video, sound, g722 := sim.NewTrack(1, av.H264, 0), sim.NewTrack(2, av.AAC, 0), sim.NewTrack(3, av.G722, 0)
	for want, tracks := range map[string][]*av.Track{
		`video/mp4; codecs="avc1.64000d,mp4a.40.2"`: {video, g722, sound},
		`audio/mp4; codecs="mp4a.40.2"`:             {sound},
		"":                                          {g722},
	} {
		if got := MIME(tracks); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestCodecString(t *testing.T) {
	for _, tc := range []struct {
		track *av.Track
		want  string
	}{
		{sim.NewTrack(1, av.H264, 1), "avc1.64001f"},
		{sim.NewTrack(1, av.H265, 0), "hvc1.1.2.L153.80"},
		{sim.NewTrack(1, av.H265, 1), "hvc1.1.6.L120.90"},
		{sim.NewTrack(1, av.AV1, 0), "av01.0.08M.08"},
		{sim.NewTrack(1, av.AV1, 1), "av01.0.08M.08"},
		{sim.NewTrack(1, av.VP9, 0), "vp09.00.40.08"},
		{sim.NewTrack(1, av.AAC, 0), "mp4a.40.2"},
		{aac(t, 0x2b, 0x11, 0x88, 0x00), "mp4a.40.5"},
		{sim.NewTrack(1, av.Opus, 0), "opus"},
		{sim.NewTrack(1, av.FLAC, 0), "flac"},
		{sim.NewTrack(1, av.AC3, 0), "ac-3"},
		{sim.NewTrack(1, av.MP3, 0), "mp4a.6B"},
		{mp3(t, 0xff, 0xf3, 0x90, 0x64), "mp4a.69"},
		{sim.NewTrack(1, av.PCMA, 0), "alaw"},
		{sim.NewTrack(1, av.PCMU, 0), "ulaw"},
		{sim.NewTrack(1, av.VP8, 0), ""},
		{sim.NewTrack(1, av.L16, 0), ""},
	} {
		if got := CodecString(tc.track); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.track, got, tc.want)
		}
	}
}

// TestVP9Level: the table of level limits.
func TestVP9Level(t *testing.T) {
	for _, tc := range []struct {
		w, h int
		fps  float64
		want int
	}{
		{256, 144, 15, 10},
		{640, 360, 30, 21},
		{1280, 720, 30, 31},
		{1920, 1080, 0, 40},
		{1920, 1080, 60, 41},
		{3840, 2160, 30, 50},
		{3840, 2160, 60, 51},
		{3840, 2160, 120, 52},
		{7680, 4320, 30, 60},
		{32768, 32768, 60, 62},
	} {
		track := &av.Track{Codec: av.VP9, Width: tc.w, Height: tc.h, FrameRate: tc.fps, Config: make([]byte, 8)}
		if got := vp9Level(track); got != tc.want {
			t.Errorf("%dx%d: %d, want %d", tc.w, tc.h, got, tc.want)
		}
	}
}
