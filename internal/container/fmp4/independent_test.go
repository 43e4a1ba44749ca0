package fmp4

import (
	"bytes"
	"testing"

	"github.com/abema/go-mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// TestOtherReader: the boxes are what go-mp4 takes them for, each field of them: written again they are the same bytes.
func TestOtherReader(t *testing.T) {
	for _, c := range carried() {
		b := written(options(c))
		boxes := 0
		_, err := mp4.ReadBoxStructure(bytes.NewReader(b), func(h *mp4.ReadHandle) (any, error) {
			typ := h.BoxInfo.Type.String()
			if boxes++; typ == "mdat" || typ == "esds" || !h.BoxInfo.IsSupportedType() {
				return nil, nil // esds is not written as it was read: sizes of four bytes
			}
			payload, n, err := h.ReadPayload()
			if err != nil {
				return nil, err
			}
			var again bytes.Buffer
			if _, err = mp4.Marshal(&again, payload, h.BoxInfo.Context); err != nil {
				return nil, err
			}
			at := h.BoxInfo.Offset + h.BoxInfo.HeaderSize
			if was := b[at : at+n]; !bytes.Equal(again.Bytes(), was) {
				t.Errorf("%v: %v is %x, was %x", c, h.Path, again.Bytes(), was)
			}
			return h.Expand()
		})
		if err != nil || boxes < 60 {
			t.Errorf("%v: %d boxes, error %v", c, boxes, err)
		}
	}
}

// TestOtherSamples: mediacommon reads the samples that were written, with their times.
func TestOtherSamples(t *testing.T) {
	e := sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10, BFrames: 2, Slices: 2})
	b := AppendInit(nil, e.Tracks())
	var init fmp4.Init
	if err := init.Unmarshal(bytes.NewReader(b)); err != nil || len(init.Tracks) != 2 {
		t.Fatal(err, len(init.Tracks))
	}
	units := e.Take(200)
	var f Fragment
	b = b[:0]
	for i, u := range units {
		if err := f.Add(u); err != nil {
			t.Fatal(err)
		}
		if i%20 == 19 {
			b = f.Append(b, 0)
		}
	}
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil || len(parts) != 10 {
		t.Fatal(err, len(parts))
	}
	for i, p := range parts {
		if p.SequenceNumber != uint32(i+1) {
			t.Errorf("part %d has number %d", i, p.SequenceNumber)
		}
		for _, track := range p.Tracks {
			at := int64(track.BaseTime)
			for _, u := range units[20*i : 20*i+20] {
				if u.Track.ID != track.ID {
					continue
				}
				s, rate := track.Samples[0], rateOf(u.Track)
				track.Samples = track.Samples[1:]
				if at != av.Ticks(u.DTS, rate) || at+int64(s.PTSOffset) != av.Ticks(u.PTS, rate) || s.IsNonSyncSample == u.Key ||
					!bytes.Equal(s.Payload, appendSample(nil, u)) {
					t.Fatalf("part %d: %+v at %d, of %v", i, s, at, u.DTS)
				}
				at += int64(s.Duration)
			}
			if len(track.Samples) > 0 {
				t.Errorf("part %d: %d samples too many", i, len(track.Samples))
			}
		}
	}
}
