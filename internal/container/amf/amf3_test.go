package amf

import (
	"bytes"
	"io"
	"reflect"
	"testing"
)

// forms3 are AMF3 values, written by hand from section 3 of the specification.
var forms3 = []struct {
	name, hex string
	value     any
}{
	{"undefined", "00", Undefined{}},
	{"null", "01", nil},
	{"false", "02", false},
	{"true", "03", true},
	{"zero", "04 00", 0.0},
	{"one byte", "04 7F", 127.0},
	{"two bytes", "04 81 00", 128.0},
	{"three bytes", "04 81 80 00", 16384.0},
	{"four bytes", "04 80 C0 80 00", 2097152.0},
	{"greatest integer", "04 BF FF FF FF", 268435455.0},
	{"least integer", "04 C0 80 80 00", -268435456.0},
	{"minus one", "04 FF FF FF FF", -1.0},
	{"double", "05 3FF0000000000000", 1.0},
	{"empty string", "06 01", ""},
	{"string", "06 05 6869", "hi"},
	{"XML", "0B 09 3C612F3E", XML("<a/>")},
	{"XML document", "07 09 3C612F3E", XML("<a/>")},
	{"date", "08 01 3FF0000000000000", Date{Millis: 1}},
	{"bytes", "0C 05 0102", []byte{1, 2}},
	{"empty array", "09 01 01", []any{}},
	{"array", "09 05 01 02 03", []any{false, true}},
	{"named members", "09 03 03 61 03 01 02", ECMAArray{{"a", true}, {"0", false}}},
	{"string references", "09 07 01 06 05 6869 06 00 06 00", []any{"hi", "hi", "hi"}},
	{"empty string is not in the table", "09 07 01 06 01 06 03 61 06 00", []any{"", "a", "a"}},
	{"date reference", "09 05 01 08 01 3FF0000000000000 08 02", []any{Date{Millis: 1}, Date{Millis: 1}}},
	{"dynamic object", "0A 0B 01 03 61 03 01", Object{{"a", true}}},
	{"sealed class", "0A 13 03 43 03 61 03", TypedObject{"C", Object{{"a", true}}}},
	{"sealed and dynamic", "0A 1B 01 03 61 03 03 62 02 01", Object{{"a", true}, {"b", false}}},
	{
		"traits by reference", "09 05 01 0A 13 03 43 03 61 03 0A 01 02",
		[]any{TypedObject{"C", Object{{"a", true}}}, TypedObject{"C", Object{{"a", false}}}},
	},
	{"object reference", "09 05 01 0A 0B 01 01 0A 02", []any{Object{}, Object{}}},
	{"name by reference", "09 05 01 06 03 61 0A 0B 01 00 03 01", []any{"a", Object{{"a", true}}}},
}

func TestAMF3Forms(t *testing.T) {
	for _, f := range forms3 {
		t.Run(f.name, func(t *testing.T) {
			b := fromHex(t, f.hex)
			v, rest, err := DecodeAMF3(append(b, 0xEE))
			if err != nil || !bytes.Equal(rest, []byte{0xEE}) || !reflect.DeepEqual(v, f.value) {
				t.Errorf("DecodeAMF3 = %#v, rest %x, %v; want %#v", v, rest, err, f.value)
			}
			switched, err := Decode(append([]byte{markSwitch}, b...))
			if err != nil || len(switched) != 1 || !reflect.DeepEqual(switched[0], f.value) {
				t.Errorf("behind the AVM+ mark: %#v, %v", switched, err)
			}
		})
	}
}

func TestAMF3Errors(t *testing.T) {
	for _, c := range []struct {
		name, hex string
		cause     error
		offset    int
	}{
		{"nothing", "", io.ErrUnexpectedEOF, 0},
		{"unknown marker", "12", ErrMarker, 0},
		{"vector", "0D 01 00", ErrUnsupported, 0},
		{"dictionary", "11 01 00", ErrUnsupported, 0},
		{"externalizable", "0A 07 01", ErrUnsupported, 0},
		{"integer cut", "04 FF FF", io.ErrUnexpectedEOF, 3},
		{"string lies", "06 FF FF FF FF 61", io.ErrUnexpectedEOF, 5},
		{"bytes lie", "0C FF FF FF FF 61", io.ErrUnexpectedEOF, 5},
		{"array lies", "09 FF FF FF FF 01", io.ErrUnexpectedEOF, 6},
		{"no such string", "06 00", ErrReference, 1},
		{"no such object", "0A 00", ErrReference, 0},
		{"no such traits", "0A 01", ErrReference, 0},
		{"array in itself", "09 03 01 09 00", ErrReference, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := DecodeAMF3(fromHex(t, c.hex))
			wantError(t, err, c.cause, c.offset)
		})
	}
}

func TestAMF3Depth(t *testing.T) {
	_, _, err := DecodeAMF3(bytes.Repeat([]byte{mark3Array, 0x03, 0x01}, 100_000))
	wantError(t, err, ErrLimit, 3*DepthMax)

	// A reference is as deep as what it names: an array of 40 in an array of 40.
	b := append(fromHex(t, "09 05 01"), bytes.Repeat([]byte{mark3Array, 0x03, 0x01}, 39)...)
	b = append(b, mark3Null)
	b = append(b, bytes.Repeat([]byte{mark3Array, 0x03, 0x01}, 39)...)
	b = append(b, mark3Array, 0x02)
	_, _, err = DecodeAMF3(b)
	wantError(t, err, ErrLimit, len(b)-2)
}

func TestUint29(t *testing.T) {
	for _, u := range []uint32{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 1<<29 - 1} {
		d := decoder3{decoder: &decoder{src: appendUint29(nil, u)}}
		if got, err := d.uint29("integer"); got != u || err != nil || d.off != len(d.src) {
			t.Errorf("%d became %d, %v", u, got, err)
		}
	}
}

func FuzzDecodeAMF3(f *testing.F) {
	for _, form := range forms3 {
		f.Add(fromHex(f, form.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := DecodeAMF3(b)
		if err != nil {
			return
		}
		if len(rest) >= len(b) {
			t.Fatal("a value of no bytes")
		}
		stable(t, []any{v}, len(b))
	})
}

func BenchmarkDecodeAMF3(b *testing.B) {
	src := fromHex(b, `0A 0B 01 07 617070 06 09 6C697665 0B 746355726C 06 00 11 666C61736856657200 06 01
		0D 617564696F3F 04 9F 77 01`)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeAMF3(src); err != nil {
			b.Fatal(err)
		}
	}
}
