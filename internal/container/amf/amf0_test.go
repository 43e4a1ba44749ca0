package amf

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// forms are values and their one form as AMF0.
var forms = []struct {
	name  string
	value any
	hex   string
}{
	{"null", nil, "05"},
	{"undefined", Undefined{}, "06"},
	{"true", true, "01 01"},
	{"false", false, "01 00"},
	{"number", 1.0, "00 3FF0000000000000"},
	{"negative", -2.5, "00 C004000000000000"},
	{"infinity", math.Inf(1), "00 7FF0000000000000"},
	{"empty string", "", "02 0000"},
	{"string", "live", "02 0004 6C697665"},
	{"date", Date{Millis: 1, Zone: -60}, "0B 3FF0000000000000 FFC4"},
	{"xml", XML("<a/>"), "0F 00000004 3C612F3E"},
	{"empty object", Object{}, "03 000009"},
	{"object", Object{{"a", true}, {"b", nil}}, "03 0001 61 0101 0001 62 05 000009"},
	{"empty name", Object{{"", true}}, "03 0000 0101 000009"},
	{"typed object", TypedObject{"C", Object{{"a", nil}}}, "10 0001 43 0001 61 05 000009"},
	{"ECMA array", ECMAArray{{"a", 0.0}}, "08 00000001 0001 61 00 0000000000000000 000009"},
	{"strict array", []any{true, nil}, "0A 00000002 0101 05"},
	{"empty array", []any{}, "0A 00000000"},
	{"nested", Object{{"a", []any{Object{}}}}, "03 0001 61 0A00000001 03000009 000009"},
	{"byte array", []byte{1, 2}, "11 0C 05 0102"},
}

func TestForms(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			b := fromHex(t, f.hex)
			v, rest, err := DecodeValue(append(b, 0xEE))
			if err != nil || !bytes.Equal(rest, []byte{0xEE}) || !reflect.DeepEqual(v, f.value) {
				t.Errorf("DecodeValue = %#v, rest %x, %v; want %#v", v, rest, err, f.value)
			}
			if got := Append(nil, f.value); !bytes.Equal(got, b) {
				t.Errorf("Append = %x, want %x", got, b)
			}
		})
	}
}

func TestDecodeOtherForms(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		want      []any
	}{
		{"nothing", "", nil},
		{"short text as long string", "0C 00000001 61", []any{"a"}},
		{"any non-zero is true", "01 FF", []any{true}},
		{"unsupported mark", "0D", []any{Undefined{}}},
		{"array count too low", "08 00000000 0001 61 05 000009", []any{ECMAArray{{"a", nil}}}},
		{"array count too high", "08 FFFFFFFF 0001 61 05 000009", []any{ECMAArray{{"a", nil}}}},
		{"no end mark", "08 00000001 0001 61 05", []any{ECMAArray{{"a", nil}}}},
		{"half an end mark", "03 0001 61 05 0000", []any{Object{{"a", nil}}}},
		{"second end mark", "03 000009 000009", []any{Object{}}},
		{"stray end", "05 09", []any{nil}},
		{"unknown bytes behind", "05 FE 00 00", []any{nil}},
		{"reference", "0A 00000002 03000009 07 0001", []any{[]any{Object{}, Object{}}}},
		{"reference across values", "03 000009 07 0000", []any{Object{}, Object{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := Decode(fromHex(t, c.hex)); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("Decode = %#v, %v; want %#v", got, err, c.want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		cause     error
		offset    int
	}{
		{"unknown marker first", "12", ErrMarker, 0},
		{"end first", "000009", io.ErrUnexpectedEOF, 1},
		{"movie clip", "05 04", ErrUnsupported, 1},
		{"number cut", "00 3FF0", io.ErrUnexpectedEOF, 1},
		{"string lies", "02 FFFF 61", io.ErrUnexpectedEOF, 3},
		{"long string lies", "0C FFFFFFFF 61", io.ErrUnexpectedEOF, 5},
		{"array lies", "0A FFFFFFFF 05", io.ErrUnexpectedEOF, 6},
		{"date without zone", "0B 0000000000000000", io.ErrUnexpectedEOF, 9},
		{"inner object without end", "03 0001 61 03", io.ErrUnexpectedEOF, 5},
		{"name cut", "03 0005 61", io.ErrUnexpectedEOF, 3},
		{"reference to nothing", "07 0000", ErrReference, 0},
		{"reference to itself", "03 0001 61 07 0000 000009", ErrReference, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(fromHex(t, c.hex))
			wantError(t, err, c.cause, c.offset)
		})
	}
	if values, err := Decode(fromHex(t, "05 0101 00")); err == nil || len(values) != 2 {
		t.Errorf("Decode = %v, %v; want the values before the error", values, err)
	}
}

func TestDecodeFlex(t *testing.T) {
	want := []any{"a", 1.0, nil, Object{{"b", true}}}
	body := fromHex(t, "020001 61  00 3FF0000000000000  05  11 0A 0B 01 03 62 03 01")
	for _, b := range [][]byte{body, append([]byte{0}, body...)} {
		if got, err := DecodeFlex(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("DecodeFlex(%x) = %#v, %v; want %#v", b, got, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	nest := func(n int) []byte {
		b := bytes.Repeat([]byte("\x03\x00\x01a"), n)
		return append(append(b, markNull), bytes.Repeat([]byte{0, 0, markObjectEnd}, n)...)
	}
	if _, err := Decode(nest(DepthMax)); err != nil {
		t.Errorf("greatest depth: %v", err)
	}
	_, err := Decode(nest(DepthMax + 1))
	wantError(t, err, ErrLimit, 4*DepthMax)

	deep := nest(100_000)
	if n := allocated(func() { _, err = Decode(deep) }); n > 64<<10 {
		t.Errorf("a nest of 100 000 costs %d bytes", n)
	}
	wantError(t, err, ErrLimit, 4*DepthMax)

	if _, err = Decode(bytes.Repeat([]byte{markNull}, ValuesMax)); err != nil {
		t.Errorf("most values: %v", err)
	}
	_, err = Decode(bytes.Repeat([]byte{markNull}, ValuesMax+1))
	wantError(t, err, ErrLimit, ValuesMax)
}

// TestReferenceBombs has inputs that stay small only as long as references are not followed.
func TestReferenceBombs(t *testing.T) {
	b := bytes.Repeat([]byte{markStrictArray, 0, 0, 0, 2}, 40) // the inner arrays come first, then references
	b = append(b, markNull, markNull)
	for i := 39; i > 0; i-- {
		b = append(b, markReference, 0, byte(i))
	}
	_, err := Decode(b)
	wantError(t, err, ErrLimit, 40*5+2+3*12)

	text := append([]byte{mark3Array, 0x85, 0x01, 0x01, mark3String, 0x84, 0x80, 0x01}, make([]byte, 1<<15)...)
	text = append(text, bytes.Repeat([]byte{mark3String, 0}, 319)...)
	_, _, err = DecodeAMF3(text)
	if err == nil || !strings.Contains(err.Error(), "by reference") {
		t.Errorf("text by reference: %v", err)
	}
}

// TestMemory has inputs that claim as much as they can and are as rich in small things as they can be.
func TestMemory(t *testing.T) {
	const perByte = 160
	for name, b := range map[string][]byte{
		"strict arrays": bytes.Repeat([]byte{markStrictArray, 0, 0, 0, 0}, 3000),
		"lying arrays":  bytes.Repeat([]byte{markStrictArray, 0xFF, 0xFF, 0xFF, 0xFF}, 3000),
		"objects":       bytes.Repeat([]byte{markObject, 0, 0, markObjectEnd}, 3000),
		"properties":    append([]byte{markObject}, bytes.Repeat([]byte{0, 1, 'a', markNull}, 3000)...),
		"long string":   {markLongString, 0xFF, 0xFF, 0xFF, 0xFF},
		"AMF3 arrays":   bytes.Repeat([]byte{markSwitch, mark3Array, 0x01, 0x01}, 3000),
		"AMF3 members":  append([]byte{markSwitch, mark3Object, 0xFF, 0xFF, 0xFF, 0xFB, 1}, make([]byte, 3000)...),
		"AMF3 names": append([]byte{markSwitch, mark3Object, 0xBF, 0xFF, 0xFF, 0xFB, 1},
			bytes.Repeat([]byte{1}, 3000)...),
	} {
		limit := uint64(perByte*len(b) + 4096)
		if n := allocated(func() { _, _ = Decode(b) }); n > limit {
			t.Errorf("%s: %d bytes for an input of %d", name, n, len(b))
		}
	}
}

func TestAppendPanics(t *testing.T) {
	for _, v := range []any{struct{}{}, []string{}, Object{{strings.Repeat("a", 65536), nil}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic for a %T", v)
				}
			}()
			Append(nil, v)
		}()
	}
}

func TestAppendIntegersAndLongText(t *testing.T) {
	if got := Append(nil, 1, int64(1), uint32(1), uint64(1)); !bytes.Equal(got, Append(nil, 1.0, 1.0, 1.0, 1.0)) {
		t.Errorf("integers give %x", got)
	}
	for _, n := range []int{65535, 65536} {
		s := strings.Repeat("x", n)
		if v, rest, err := DecodeValue(Append(nil, s)); v != s || len(rest) > 0 || err != nil {
			t.Errorf("text of %d bytes: rest %d, %v", n, len(rest), err)
		}
	}
}

func TestProperties(t *testing.T) {
	o := Object{{"s", "old"}, {"s", "x"}, {"n", 5.0}, {"b", true}}
	for _, v := range []any{o, ECMAArray(o), TypedObject{"C", o}} {
		p, ok := Properties(v)
		if s, _ := p.String("s"); !ok || s != "x" {
			t.Errorf("%T: %v, %q", v, ok, s)
		}
	}
	if _, ok := Properties("text"); ok {
		t.Error("text has no properties")
	}
	a := ECMAArray(o)
	if n, ok := a.Number("n"); n != 5 || !ok {
		t.Errorf("Number = %v, %v", n, ok)
	}
	if b, ok := a.Bool("b"); !b || !ok {
		t.Errorf("Bool = %v, %v", b, ok)
	}
	if _, ok := a.String("n"); ok {
		t.Error("a number is not a string")
	}
	if v, ok := a.Get("none"); v != nil || ok {
		t.Errorf("Get of nothing = %v, %v", v, ok)
	}
}

// TestGolden decodes each testdata/*.hex, AMF0 as encoders send it, and writes it out again.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		values, err := DecodeFlex(fromHex(t, string(text)))
		var out strings.Builder
		for _, v := range values {
			dump(&out, "", v)
		}
		fmt.Fprintf(&out, "error: %v\n%s", err, wrapHex(Append(nil, values...)))
		golden(t, strings.TrimSuffix(filepath.Base(file), ".hex")+".golden", out.String())
	}
}

// dump writes v, one line a value.
func dump(w io.Writer, indent string, v any) {
	p, ok := Properties(v)
	if !ok {
		if array, isArray := v.([]any); isArray {
			fmt.Fprintf(w, "%T\n", v)
			for _, v := range array {
				fmt.Fprintf(w, "%s  - ", indent)
				dump(w, indent+"  ", v)
			}
			return
		}
		fmt.Fprintf(w, "%T %#v\n", v, v)
		return
	}
	fmt.Fprintf(w, "%T\n", v)
	for _, p := range p {
		fmt.Fprintf(w, "%s  %s: ", indent, p.Name)
		dump(w, indent+"  ", p.Value)
	}
}

func wrapHex(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		fmt.Fprintf(&s, "%x\n", b[:n])
		b = b[n:]
	}
	return s.String()
}

func FuzzDecode(f *testing.F) {
	for _, form := range forms {
		f.Add(fromHex(f, form.hex))
	}
	files, _ := filepath.Glob("testdata/*.hex")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(fromHex(f, string(text)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := Decode(b)
		if err != nil {
			return
		}
		stable(t, values, len(b))
		if len(values) > 0 {
			if v, rest, err := DecodeValue(b); err != nil || !bytes.Equal(Append(nil, v), Append(nil, values[0])) {
				t.Fatalf("DecodeValue = %#v, rest %x, %v; Decode %#v", v, rest, err, values)
			}
		}
	})
}

// stable checks that decoded values can be written, that it takes no more bytes than promised, and that reading
// them back gives the same.
func stable(t *testing.T, values []any, n int) {
	t.Helper()
	once := Append(nil, values...)
	if len(once) > 16*n+2*ExpandMax {
		t.Fatalf("%d bytes became %d", n, len(once))
	}
	again, err := Decode(once)
	if err != nil {
		t.Fatalf("%x does not read back: %v", once, err)
	}
	if twice := Append(nil, again...); !bytes.Equal(once, twice) {
		t.Fatalf("%x became %x", once, twice)
	}
}

func metadata() []any {
	return []any{"@setDataFrame", "onMetaData", ECMAArray{
		{"duration", 0.0},
		{"fileSize", 0.0},
		{"width", 1920.0},
		{"height", 1080.0},
		{"videocodecid", "avc1"},
		{"videodatarate", 6000.0},
		{"framerate", 30.0},
		{"audiocodecid", "mp4a"},
		{"audiodatarate", 160.0},
		{"audiosamplerate", 48000.0},
		{"audiosamplesize", 16.0},
		{"audiochannels", 2.0},
		{"stereo", true},
		{"encoder", "obs-output module (libobs version 30.1.2)"},
	}}
}

func BenchmarkDecode(b *testing.B) {
	src := Append(nil, metadata()...)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	values := metadata()
	dst := Append(nil, values...)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = Append(dst[:0], values...)
	}
}
