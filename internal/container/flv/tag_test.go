package flv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vigil-media/vigil/internal/av"
)

// TestAppendTag: FLV 10.1, E.2 (signature, version, flags, offset), E.3 (size of the previous tag) and E.4.1 (type,
// size, 24 bits of time, 8 more, stream 0).
func TestAppendTag(t *testing.T) {
	file := AppendFileHeader(nil, true, true)
	file = AppendTag(file, VideoTag, 0x01020304, []byte{0xaa, 0xbb})
	file = AppendTag(file, AudioTag, math.MaxUint32, nil)
	const want = "464c56 01 05 00000009 00000000" +
		"09 000002 020304 01 000000 aabb 0000000d" +
		"08 000000 ffffff ff 000000 0000000b"
	if got := hex.EncodeToString(file); got != hex.EncodeToString(unhex(want)) {
		t.Errorf("got %s", got)
	}
	for _, tc := range []struct {
		video, audio bool
		want         byte
	}{{false, false, 0}, {true, false, 1}, {false, true, 4}, {true, true, 5}} {
		if got := AppendFileHeader(nil, tc.video, tc.audio)[4]; got != tc.want {
			t.Errorf("flags %d, want %d", got, tc.want)
		}
	}
	if got := AppendTag([]byte{1}, VideoTag, 0, make([]byte, BodyMax+1)); len(got) != 1 {
		t.Error("a tag without a valid size was written")
	}
}

func TestTypes(t *testing.T) {
	if TypeFor(av.Video) != VideoTag || TypeFor(av.Audio) != AudioTag || TypeFor(av.Data) != ScriptTag {
		t.Error("TypeFor")
	}
	for typ, want := range map[TagType]string{8: "audio", 9: "video", 18: "script", 15: "type 15"} {
		if typ.String() != want {
			t.Errorf("%d is %q", typ, typ.String())
		}
	}
}

func readAll(src io.Reader, bodyMax int) ([]Tag, error) {
	var tags []Tag
	for r := NewReader(src, bodyMax); ; {
		tag, err := r.Read()
		if err != nil {
			return tags, err
		}
		tags = append(tags, tag)
	}
}

func TestReader(t *testing.T) {
	want := []Tag{
		{Type: VideoTag, Time: 1 << 24, Body: []byte{1, 2, 3}},
		{Type: ScriptTag},
		{Type: AudioTag, Time: math.MaxUint32, Body: bytes.Repeat([]byte{7}, 3*growMin+5)},
		{Type: 31, Time: 7, Body: []byte{9}},
	}
	file := AppendFileHeader(nil, true, true)
	for _, tag := range want {
		file = AppendTag(file, tag.Type, tag.Time, tag.Body)
	}
	for name, src := range map[string]io.Reader{
		"whole":          bytes.NewReader(file),
		"byte by byte":   iotest.OneByteReader(bytes.NewReader(file)),
		"last size gone": bytes.NewReader(file[:len(file)-prevSizeLen]),
		"last size cut":  bytes.NewReader(file[:len(file)-1]),
	} {
		got, err := readAll(src, BodyMax)
		if err != io.EOF || !reflect.DeepEqual(got, want) { //nolint:errorlint // documented
			t.Errorf("%s: %d tags, error %v", name, len(got), err)
		}
	}
}

// TestReaderHeader: FLV 10.1, E.2: DataOffset may leave room for fields of later versions.
func TestReaderHeader(t *testing.T) {
	file := unhex("464c56 02 05 0000000c ffffff 00000000 08 000001 000000 00 000000 55 0000000c")
	if got, err := readAll(bytes.NewReader(file), BodyMax); len(got) != 1 || got[0].Body[0] != 0x55 {
		t.Errorf("%d tags, error %v", len(got), err)
	}
}

func TestReaderErrors(t *testing.T) {
	const head = "464c56 01 05 00000009"
	for _, tc := range []struct{ name, file, want string }{
		{"empty", "", "flv: offset 0: file header: unexpected EOF"},
		{"header cut", "464c5601", "flv: offset 0: file header: unexpected EOF"},
		{"no FLV", "000000186674797069736f6d", `flv: offset 0: file header begins with "\x00\x00\x00"`},
		{"offset too small", "464c56 01 05 00000008", "flv: offset 0: file header of 8 bytes"},
		{"offset too great", "464c56 01 05 00020000", "flv: offset 0: file header of 131072 bytes"},
		{"tag header cut", head + "00000000 0900", "flv: offset 9: unexpected EOF"},
		{"body cut", head + "00000000 09 000005 000000 00 000000 aabb", "flv: offset 26: tag body: unexpected EOF"},
		{"body missing", head + "00000000 09 000005 000000 00 000000", "flv: offset 24: tag body: unexpected EOF"},
		{"too long", head + "00000000 09 000065 000000 00 000000 aabb", "flv: offset 24: tag of 101 bytes, limit 100"},
		{"encrypted", head + "00000000 29 000001 000000 00 000000 aa", "flv: offset 24: encrypted tag is not supported"},
	} {
		if _, err := readAll(bytes.NewReader(unhex(tc.file)), 100); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
	broken := errors.New("broken")
	if _, err := readAll(iotest.ErrReader(broken), 100); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestReaderMemory: a tag that claims 16 MiB and sends three bytes costs no 16 MiB.
func TestReaderMemory(t *testing.T) {
	file := append(AppendFileHeader(nil, true, true), unhex("09 ffffff 000000 00 000000 aabbcc")...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readAll(bytes.NewReader(file), BodyMax); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}

// FuzzReader: no panic; what was read and is written again is read as the same.
func FuzzReader(f *testing.F) {
	clip, err := os.ReadFile("testdata/bframes.flv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(clip[:2000])
	f.Add(AppendTag(AppendFileHeader(nil, true, false), VideoTag, 1<<31, []byte(strings.Repeat("x", 40))))
	f.Add(unhex("464c56 01 05 00000009 00000000 09 ffffff 000000 00 000000 aabbcc"))
	f.Fuzz(func(t *testing.T, file []byte) {
		tags, err := readAll(bytes.NewReader(file), BodyMax)
		if err == nil {
			t.Fatal("no end")
		}
		again := AppendFileHeader(nil, true, true)
		for _, tag := range tags {
			again = AppendTag(again, tag.Type, tag.Time, tag.Body)
		}
		back, err := readAll(bytes.NewReader(again), BodyMax)
		if err != io.EOF || !reflect.DeepEqual(back, tags) { //nolint:errorlint // documented
			t.Errorf("error %v", err)
		}
	})
}
