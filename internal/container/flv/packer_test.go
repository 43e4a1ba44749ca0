package flv

import (
	"bytes"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
)

// A newcomer gets metadata and all sequence headers; whoever has had some gets only what is new, without metadata.
func TestPackerConfig(t *testing.T) {
	first, err := av.NewAAC(2, []byte{0x12, 0x10})
	if err != nil {
		t.Fatal(err)
	}
	second, err := av.NewAAC(2, []byte{0x11, 0x90})
	if err != nil {
		t.Fatal(err)
	}
	p := &Packer{Pack: AppendTag}
	for _, c := range []struct {
		tracks, prev []*av.Track
		script       int
		audio        int
	}{
		{[]*av.Track{first}, nil, 1, 1},
		{[]*av.Track{first}, []*av.Track{first}, 0, 0},
		{[]*av.Track{second}, []*av.Track{first}, 0, 1},
	} {
		r := NewReader(bytes.NewReader(p.Config(AppendFileHeader(nil, false, true), c.tracks, c.prev, 0)), BodyMax)
		seen := map[TagType]int{}
		for tag, err := r.Read(); err == nil; tag, err = r.Read() {
			seen[tag.Type]++
		}
		if seen[ScriptTag] != c.script || seen[AudioTag] != c.audio {
			t.Errorf("after %v: %v, want %d script tags and %d of sound", c.prev, seen, c.script, c.audio)
		}
	}
}
