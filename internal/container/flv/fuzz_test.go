package flv

import (
	"bytes"
	"encoding/binary"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
)

// script packs tags for FuzzDemuxer: type, 32 bits of time, 16 bits of length, body.
func script(tags ...Tag) []byte {
	var b []byte
	for _, t := range tags {
		b = binary.BigEndian.AppendUint32(append(b, byte(t.Type)), t.Time)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(t.Body))), t.Body...)
	}
	return b
}

func unscript(b []byte) (tags []Tag) {
	for len(b) >= 7 {
		t := Tag{Type: TagType(b[0]), Time: binary.BigEndian.Uint32(b[1:])}
		n := min(int(binary.BigEndian.Uint16(b[5:])), len(b)-7)
		t.Body, b = slices.Clip(bytes.Clone(b[7:7+n])), b[7+n:] // a demuxer charges for the capacity
		tags = append(tags, t)
	}
	return tags
}

// FuzzDemuxer feeds sequences of tags. Whatever comes in: no panic; units are well formed and no larger than their
// tags; what is muxed from them is demuxed as the same.
func FuzzDemuxer(f *testing.F) {
	tag := func(typ TagType, ms uint32, hex string) Tag { return Tag{Type: typ, Time: ms, Body: unhex(hex)} }
	f.Add(script(tag(9, 0, hexSeqAVC), tag(9, 40, "17 01 000050 00000016"+hexSPS444[:44]+"00000002 6588"),
		tag(8, 1<<31, hexSeqAAC), tag(8, 1<<31, "af 01 2111")))
	f.Add(script(tag(9, 0, hexSeqHEVC), tag(9, 40, "1c 01 000028 00000004 2801af1d")))
	f.Add(script(tag(9, 0, hexSeqAV1), tag(9, 1<<24, "1d 01 000000 1200 0a0a 0000000337fbe6d7c802 3202 1400")))
	f.Add(script(tag(9, 0, "95"+fourAV01+"80 04 81000c00"),
		tag(9, 0, "91"+fourAV01+"0a0a 0000000337fbe6d7c802 3202 1400")))
	f.Add(script(tag(9, 0, "93"+fourVP09+hexVP9), tag(9, 0, "1e 01 000000"+hexVP8)))
	f.Add(script(tag(9, 0, "97 02 0f4240 01"+fourAVC1+"000050 00000002 6588")))
	f.Add(script(tag(8, 0, "95 10"+fourMP4A+"00 000005"+hexASC+"01 000005"+hexASC),
		tag(8, 9, "95 11"+fourMP4A+"00 000002 2110 01 000003 211122")))
	f.Add(script(tag(9, 0, "96 23"+fourAVC1+"00 000006 00000002 6588"+fourVP09+"02 00000a"+hexVP9)))
	f.Add(script(tag(8, 0, "90"+fourFLAC+"664c6143 80000022"+hexFLAC), tag(8, 0, "91"+fourFLAC+"fff8")))
	f.Add(script(tag(8, 0, "91"+fourAC3+hexAC3), tag(8, 0, "2e"+hexMP3), tag(8, 0, "df fc"), tag(8, 0, "72 d5")))
	f.Add(script(tag(8, 0, "90"+fourOpus+hexOpus), tag(8, 0, "91"+fourOpus+"fc01")))
	f.Add(script(tag(18, 0, "02 000a 6f6e4d65746144617461 03 0008 686173566964656f 01 01 000009")))
	if clip, err := os.ReadFile("testdata/bframes.flv"); err == nil {
		tags, _ := readAll(bytes.NewReader(clip), BodyMax)
		f.Add(script(tags[:12]...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Demuxer
		for _, tag := range unscript(b) {
			size := len(tag.Body)
			units, err := d.Demux(tag)
			if cause(err) == "not a TagError" {
				t.Fatal(err)
			}
			for _, u := range units {
				checkUnit(t, u, size)
				remux(t, u)
			}
		}
		d.Declared()
		for i, track := range d.Tracks() {
			if i > 0 && d.Tracks()[i-1].ID >= track.ID || i >= av.MaxTracks {
				t.Fatal("tracks out of order")
			}
			if size := len(bytes.Join(track.Sets, nil)); len(track.Sets) > av.MaxSets || size > av.MaxSetsSize ||
				len(track.Config) > av.MaxConfig {
				t.Fatalf("track with %d sets of %d bytes, configuration of %d", len(track.Sets), size, len(track.Config))
			}
		}
	})
}

func checkUnit(t *testing.T, u *av.AccessUnit, size int) {
	t.Helper()
	if u.Track == nil || u.PTS < u.DTS || len(u.Data) == 0 || u.Size() == 0 || u.Size() > size ||
		u.Held < u.Size() || u.Held > max(size, heldMin)+elementSize*len(u.Data)+2*unitOverhead+trackSize(u.Track) ||
		len(u.Data) > elementsMax || u.Track.Kind() == av.Audio && !u.Key {
		t.Fatalf("unit %+v", u)
	}
	for _, b := range u.Data {
		if len(b) == 0 {
			t.Fatalf("empty element in %+v", u)
		}
	}
}

// remux writes a unit with its configuration and reads it again.
func remux(t *testing.T, u *av.AccessUnit) {
	t.Helper()
	for _, form := range []Form{Enhanced, Legacy} {
		if !form.Carries(u.Track) {
			continue
		}
		var d Demuxer
		typ := TypeFor(u.Track.Kind())
		if config := form.AppendConfig(nil, u.Track); len(config) > 0 {
			if _, err := d.Demux(Tag{Type: typ, Body: config}); err != nil {
				t.Fatalf("%v %v: config: %v", form, u.Track, err)
			}
		} else if u.Track.Codec == av.AC3 || u.Track.Codec == av.MP3 {
			continue // the header that made the track may have been in another frame
		}
		if c := u.Track.Codec; !u.Key && (c == av.VP8 || c == av.VP9) {
			continue // cannot begin here
		}
		units, err := d.Demux(Tag{Type: typ, Time: Milliseconds(u.DTS), Body: form.AppendUnit(nil, u)})
		if len(units) != 1 || !reflect.DeepEqual(units[0].Data, u.Data) || units[0].Key != u.Key {
			t.Fatalf("%v %v: %d units, error %v\nof %+v", form, u.Track, len(units), err, u)
		}
	}
}

// FuzzAVCC and FuzzHVCC: no panic, and what is read can be made a track and written, or is refused.
func FuzzAVCC(f *testing.F) {
	f.Add(unhex(hexAVCC))
	f.Add(unhex("01 f4000a ff e1 0018" + hexSPS444 + "01 0006 68ebc3c44844 ff f8 f8 00"))
	f.Add(unhex("01 64000a ff e0 00"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRecord(t, av.H264, b) })
}

func FuzzHVCC(f *testing.F) {
	f.Add(unhex(hexHVCC))
	f.Add(unhex("01 02 20000000 900000000000 1e f000 fc fd fa fa 0000 0f 02 21 0001 0028" + hexSPS26510 +
		"22 0001 0006" + hexPPS265))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRecord(t, av.H265, b) })
}

func fuzzRecord(t *testing.T, c av.Codec, b []byte) {
	t.Helper()
	tr := track{id: 1, codec: c}
	if tr.config(b) != nil || tr.cur == nil {
		return
	}
	again := track{id: 1, codec: c}
	record := appendAVCC
	if c == av.H265 {
		record = appendHVCC
	}
	if err := again.config(record(nil, tr.cur)); err != nil {
		t.Fatal(err)
	}
}

// benchTags are a second or so of the clip, as a publisher sends it again and again.
func benchTags(b *testing.B) []Tag {
	b.Helper()
	clip, err := os.ReadFile("testdata/bframes.flv")
	if err != nil {
		b.Fatal(err)
	}
	tags, _ := readAll(bytes.NewReader(clip), BodyMax)
	return tags[:200]
}

func BenchmarkDemux(b *testing.B) {
	for _, kind := range []TagType{VideoTag, AudioTag} {
		b.Run(kind.String(), func(b *testing.B) {
			var d Demuxer
			var frames []Tag
			for _, tag := range benchTags(b) {
				if units, _ := d.Demux(tag); len(units) > 0 && tag.Type == kind {
					frames = append(frames, tag)
				}
			}
			bytes := 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tag := frames[i%len(frames)]
				bytes += len(tag.Body)
				if units, err := d.Demux(tag); len(units) != 1 || err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(bytes / b.N))
		})
	}
}

// BenchmarkDemuxSlices is a picture of 40 kB in 8 slices, as low-latency encoders send it.
func BenchmarkDemuxSlices(b *testing.B) {
	var d Demuxer
	if _, err := d.Demux(Tag{Type: VideoTag, Body: unhex(hexSeqAVC)}); err != nil {
		b.Fatal(err)
	}
	u := &av.AccessUnit{Track: d.Tracks()[0]}
	for range 8 {
		u.Data = append(u.Data, append([]byte{0x41}, make([]byte, 5000)...))
	}
	body := Enhanced.AppendUnit(nil, u)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if units, err := d.Demux(Tag{Type: VideoTag, Body: body}); len(units) != 1 || err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMux(b *testing.B) {
	for _, size := range []int{400, 5000, 50_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			u := &av.AccessUnit{Track: trackOf(av.H264), Data: [][]byte{make([]byte, size)}}
			body, tag := make([]byte, 0, 2*size), make([]byte, 0, 2*size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				body = Enhanced.AppendUnit(body[:0], u)
				tag = AppendTag(tag[:0], VideoTag, 0, body)
			}
		})
	}
}
