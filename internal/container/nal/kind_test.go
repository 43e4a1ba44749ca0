package nal

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/av"
)

// unhex reads hexadecimal digits; blanks are for the reader.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// TestKindOf: all types of NAL units, a letter each (H.264, table 7-1; H.265, table 7-1).
func TestKindOf(t *testing.T) {
	letters := map[Kind]byte{VPS: 'v', SPS: 's', PPS: 'p', Slice: 'x', Key: 'K', Delimiter: 'd', Other: '.'}
	for _, tc := range []struct {
		codec av.Codec
		shift int
		want  string
	}{
		{av.H264, 0, ".xxxxK.sp" + "d" + strings.Repeat(".", 22)},
		{av.H265, 1, strings.Repeat("x", 16) + "KKKKKKKK" + "xxxxxxxx" + "vspd" + strings.Repeat(".", 28)},
	} {
		var got []byte
		for typ := range len(tc.want) {
			b := []byte{byte(typ << tc.shift)}
			kind := KindOf(tc.codec, b)
			got = append(got, letters[kind])
			b[0] |= 0xff &^ byte((len(tc.want)-1)<<tc.shift) // importance, layer, forbidden bit: of no interest
			if other := KindOf(tc.codec, b); other != kind {
				t.Errorf("%v type %d: %c with the other bits set", tc.codec, typ, letters[other])
			}
			if l := letters[kind]; kind.IsSet() != strings.ContainsRune("vsp", rune(l)) || kind.IsPicture() != strings.ContainsRune("xK", rune(l)) {
				t.Errorf("%c: set %v, picture %v", l, kind.IsSet(), kind.IsPicture())
			}
		}
		if string(got) != tc.want {
			t.Errorf("%v\n got %s\nwant %s", tc.codec, got, tc.want)
		}
		if kind := KindOf(tc.codec, nil); kind != Other {
			t.Errorf("%v: nothing is %v", tc.codec, kind)
		}
	}
}

// TestStarts: what can only be at the beginning of an access unit.
func TestStarts(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codec av.Codec
		nal   string
		want  bool
	}{
		{"nothing", av.H264, "", false},
		{"first slice", av.H264, "41 9a", true},
		{"other slice", av.H264, "41 1a", false},
		{"slice cut", av.H264, "41", false},
		{"first slice of an IDR picture", av.H264, "65 88", true},
		{"other slice of an IDR picture", av.H264, "65 01", false},
		{"SEI", av.H264, "06 05", true},
		{"SPS", av.H264, "67", true},
		{"PPS", av.H264, "68", true},
		{"delimiter", av.H264, "09 f0", true},
		{"end of sequence", av.H264, "0a", false},
		{"filler", av.H264, "0c ff", false},
		{"type 0", av.H264, "60 ff", false},
		{"nothing", av.H265, "", false},
		{"first segment", av.H265, "0201 d0", true},
		{"other segment", av.H265, "0201 50", false},
		{"segment cut", av.H265, "0201", false},
		{"first segment of an IDR picture", av.H265, "2601 af", true},
		{"VPS", av.H265, "4001", true},
		{"SPS", av.H265, "4201", true},
		{"PPS", av.H265, "4401", true},
		{"delimiter", av.H265, "4601 50", true},
		{"end of sequence", av.H265, "4801", false},
		{"prefix SEI", av.H265, "4e01 05", true},
		{"suffix SEI", av.H265, "5001 84", false},
	} {
		if got := Starts(tc.codec, unhex(tc.nal)); got != tc.want {
			t.Errorf("%v %s: %v", tc.codec, tc.name, got)
		}
	}
}

// TestRecovers: H.264, 7.3.2.3.1 and D.1.8.
func TestRecovers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codec av.Codec
		nal   string
		want  bool
	}{
		{"nothing", av.H264, "", false},
		{"at once", av.H264, "06 06 01 c4 80", true},
		{"after a picture", av.H264, "06 06 01 44 80", false}, // recovery_frame_cnt is 1
		{"behind another message", av.H264, "06 01 02 0000 06 01 c4 80", true},
		{"behind a long message", av.H264, "06 05 ff01" + strings.Repeat("aa", 256) + "06 01 c4 80", true},
		{"behind a message of a high type", av.H264, "06 ff06 01 c4 06 01 c4 80", true},
		{"not of that type", av.H264, "06 ff06 01 c4 80", false},
		{"none", av.H264, "06 05 01 80 80", false},
		{"empty", av.H264, "06 06 00 80 80", false},
		{"longer than the unit", av.H264, "06 06 09 c4 80", false},
		{"cut", av.H264, "06 ff ff ff", false},
		{"no SEI message", av.H264, "65 06 01 c4 80", false},
		{"H265", av.H265, "06 06 01 c4 80", false},
	} {
		if got := Recovers(tc.codec, unhex(tc.nal)); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
