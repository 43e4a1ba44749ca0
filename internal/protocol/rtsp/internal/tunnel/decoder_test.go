package tunnel

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecoder(t *testing.T) {
	enc := base64.StdEncoding.EncodeToString
	for name, c := range map[string]struct{ in, want string }{
		"one":              {enc([]byte("OPTIONS")), "OPTIONS"},
		"padding amid":     {enc([]byte("a")) + enc([]byte("bc")) + enc([]byte("def")) + enc([]byte("g")), "abcdefg"},
		"line breaks":      {"T1\r\nBU\nSU 9O\tUw=\r\n=\r\n", "OPTIONS"},
		"no padding":       {"T1BUSU9OUw", "OPTIONS"},
		"mostly blanks":    {"T1BU" + strings.Repeat("\r\n ", 200) + "SU9OUw==", "OPTIONS"},
		"too much padding": {"YQ======YQ==", "aa"},
		"nothing":          {"", ""},
		"all":              {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "\x00\x10\x83\x10Q\x87 \x92\x8b0\xd3\x8fA\x14\x93QU\x97a\x96\x9bq\xd7\x9f\x82\x18\xa3\x92Y\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3]\xb7\xe3\x9e\xbb\xf3\xdf\xbf"},
	} {
		for ahead := range len(c.in) + 1 {
			d := NewDecoder(iotest.OneByteReader(strings.NewReader(c.in[ahead:])), []byte(c.in[:ahead]))
			got, err := io.ReadAll(iotest.OneByteReader(d))
			if err != nil || string(got) != c.want {
				t.Fatalf("%s, %d ahead: %q, %v", name, ahead, got, err)
			}
		}
	}
}

func TestDecoderErrors(t *testing.T) {
	d := NewDecoder(strings.NewReader("YWJj$xyz"), nil)
	if got, err := io.ReadAll(d); !errors.Is(err, ErrBase64) || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
	d = NewDecoder(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("YWJj"))), nil)
	var got []byte
	for range 10 {
		b := make([]byte, 8)
		n, err := d.Read(b)
		got = append(got, b[:n]...)
		if err != nil && !errors.Is(err, iotest.ErrTimeout) && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	if string(got) != "abc" {
		t.Errorf("%q after a time-out", got)
	}
	d = NewDecoder(iotest.DataErrReader(strings.NewReader("YWJj")), nil)
	if got, err := io.ReadAll(d); err != nil || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := NewDecoder(iotest.ErrReader(os.ErrDeadlineExceeded), nil).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if n, err := NewDecoder(iotest.ErrReader(io.EOF), nil).Read(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if _, err := NewDecoder(iotest.ErrReader(nil), nil).Read(make([]byte, 1)); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

// FuzzBase64Decoder: what is encoded message by message, with line breaks and cut anywhere, comes out as it was; and junk comes out the same
// however it is cut.
func FuzzBase64Decoder(f *testing.F) {
	f.Add([]byte("OPTIONS * RTSP/1.0\r\n\r\n"), uint64(1))
	f.Add([]byte("T1BUSU9OUw==\r\n$"), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var text []byte
		for rest := b; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			text = append(base64.StdEncoding.AppendEncode(text, rest[:n]), "\r\n"[:rng.IntN(3)]...)
			rest = rest[n:]
		}
		got, err := io.ReadAll(&cutter{NewDecoder(&cutter{bytes.NewReader(text), rng}, nil), rng})
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%q became %q, %v", b, got, err)
		}
		one, err1 := io.ReadAll(NewDecoder(bytes.NewReader(b), nil))
		cut, err2 := io.ReadAll(&cutter{NewDecoder(&cutter{bytes.NewReader(b), rng}, nil), rng})
		if !bytes.Equal(one, cut) || !errors.Is(err1, err2) || len(one) > len(b)*3/4 {
			t.Fatalf("%q became %q, %v and %q, %v", b, one, err1, cut, err2)
		}
	})
}

// cutter reads pieces of any length.
type cutter struct {
	src io.Reader
	rng *rand.Rand
}

func (c *cutter) Read(b []byte) (int, error) { return c.src.Read(b[:1+c.rng.IntN(len(b))]) }
