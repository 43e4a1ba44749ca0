package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

func readAll(r *Reader) (all []string, err error) {
	for {
		it, err := r.Read()
		if err != nil {
			return all, err
		}
		all = append(all, describe(it))
	}
}

func conversation() []byte {
	b := []byte(options)
	b = AppendFrame(b, 1, bytes.Repeat([]byte("frame"), 300))
	b = AppendRequest(b, &Request{Method: base.Announce, URL: "rtsp://h/a", Body: bytes.Repeat([]byte("v=0\n"), 200)})
	b = AppendFrame(b, 0, nil)
	return AppendResponse(b, &base.Response{StatusCode: base.StatusOK, Body: []byte("x")})
}

func TestReader(t *testing.T) {
	b := conversation()
	want := parseAll(b, len(b))
	want = want[:len(want)-1]
	if len(want) != 5 {
		t.Fatal(want)
	}
	for name, src := range map[string]io.Reader{
		"whole":    bytes.NewReader(b),
		"bytes":    iotest.OneByteReader(bytes.NewReader(b)),
		"data+err": iotest.DataErrReader(bytes.NewReader(b)),
	} {
		r := NewReader(src, Limits{}, 256)
		got, err := readAll(r)
		if !errors.Is(err, io.EOF) || !slices.Equal(got, want) || r.Bytes() != uint64(len(b)) {
			t.Errorf("%s: %v after\n%s", name, err, strings.Join(got, "\n"))
		}
	}
}

func TestReaderEnds(t *testing.T) {
	for s, want := range map[string]error{
		"":                io.EOF,
		options:           io.EOF,
		options + "\r\n":  io.EOF,
		options + "$":     io.ErrUnexpectedEOF,
		options[:20]:      io.ErrUnexpectedEOF,
		"$\x00\x00\x05ab": io.ErrUnexpectedEOF,
		"ANNOUNCE * RTSP/1.0\nContent-Length: 5\n\n": io.ErrUnexpectedEOF,
	} {
		_, err := readAll(NewReader(strings.NewReader(s), Limits{}, 0))
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", s, err, want)
		}
		if err == io.EOF != (want == io.EOF) { //nolint:errorlint // that it comes as it is is promised
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := NewReader(idle{}, Limits{}, 0).Read(); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// once says that something is wrong along with its bytes, and never again.
type once struct{ b []byte }

func (o *once) Read(b []byte) (n int, err error) {
	if len(o.b) > 0 {
		n, err = copy(b, o.b), io.ErrClosedPipe
		o.b = nil
	}
	return n, err
}

func TestReaderKeepsError(t *testing.T) {
	r := NewReader(&once{[]byte(options)}, Limits{}, 0)
	if it, err := r.Read(); err != nil || it.Request == nil {
		t.Fatal(it, err)
	}
	if _, err := r.Read(); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// flaky fails with a deadline's error before each byte.
type flaky struct {
	b  []byte
	ok bool
}

func (f *flaky) Read(b []byte) (int, error) {
	if f.ok = !f.ok; f.ok {
		return 0, os.ErrDeadlineExceeded
	}
	if len(f.b) == 0 {
		return 0, io.EOF
	}
	b[0], f.b = f.b[0], f.b[1:]
	return 1, nil
}

func TestReaderGoesOnAfterDeadline(t *testing.T) {
	b := conversation()
	want := parseAll(b, len(b))
	r := NewReader(&flaky{b: b}, Limits{}, 0)
	var got []string
	for {
		it, err := r.Read()
		if err == io.EOF { //nolint:errorlint // as it is
			break
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, describe(it))
	}
	if !slices.Equal(got, want[:len(want)-1]) {
		t.Errorf("got %v", got)
	}
}

// TestDetach hands a session over after each number of bytes that a source can give at once, to a Parser and back.
func TestDetach(t *testing.T) {
	b := conversation()
	want := parseAll(b, len(b))
	want = want[:len(want)-1]
	for size := 1; size < len(b); size += 7 {
		src := bytes.NewReader(b)
		r := NewReader(&pieces{src, size}, Limits{}, 4096)
		it, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		got := []string{describe(it)}
		p, ahead := r.Detach()
		for range 2 { // some by the Parser
			it, n, ok, err := p.Parse(ahead)
			if ahead = ahead[n:]; err != nil {
				t.Fatal(err)
			}
			if ok {
				got = append(got, describe(it))
			}
		}
		rest, err := readAll(Resume(&pieces{src, size}, p, ahead, Limits{}, 300))
		if got = append(got, rest...); !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
			t.Fatalf("pieces of %d: %v after\n%s", size, err, strings.Join(got, "\n"))
		}
	}
}

type pieces struct {
	src  io.Reader
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.src.Read(b[:min(len(b), p.size)]) }

// loop gives the same bytes again and again.
type loop struct {
	b []byte
	i int
}

func (l *loop) Read(b []byte) (int, error) {
	n := copy(b, l.b[l.i:])
	l.i = (l.i + n) % len(l.b)
	return n, nil
}

func TestFramesCostNoAllocations(t *testing.T) {
	var b []byte
	for i := range 50 {
		b = AppendFrame(b, byte(i%2), make([]byte, 1000+13*i))
	}
	r := NewReader(&loop{b: b}, Limits{}, 16<<10)
	read := func() {
		for range 500 {
			if it, err := r.Read(); err != nil || it.Frame == nil {
				t.Fatal(it, err)
			}
		}
	}
	read()
	if n := testing.AllocsPerRun(10, read); n != 0 {
		t.Errorf("%v allocations for 500 frames", n)
	}
}

func BenchmarkFrames(b *testing.B) {
	frame := AppendFrame(nil, 0, make([]byte, 1400))
	r := NewReader(&loop{b: frame}, Limits{}, 16<<10)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
	}
}
