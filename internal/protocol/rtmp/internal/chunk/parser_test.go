package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"
)

// feed gives b to p in pieces whose lengths next returns, and returns the messages up to the first error.
func feed(t *testing.T, p *Parser, b []byte, next func() int) ([]Message, error) {
	t.Helper()
	var all []Message
	for total := p.Bytes(); len(b) > 0; {
		piece := b[:min(len(b), next())]
		for more := true; more; {
			m, n, ok, err := p.Parse(piece)
			if err != nil {
				return all, err
			}
			if ok {
				all = append(all, m)
			} else if n != len(piece) {
				t.Fatalf("%d bytes of %d taken", n, len(piece))
			}
			more, piece, b = ok, piece[n:], b[n:]
			if total += uint64(n); p.Bytes() != total {
				t.Fatalf("%d bytes counted of %d", p.Bytes(), total)
			}
		}
	}
	return all, nil
}

// splits compares a Parser that is given b at once with one that is given it in pieces.
func splits(t *testing.T, b []byte, next func() int) {
	t.Helper()
	limits := Limits{Message: 1 << 20, Partial: 1 << 20, Streams: 8}
	whole, pieces := NewParser(limits), NewParser(limits)
	want, wantErr := feed(t, whole, b, func() int { return len(b) })
	got, err := feed(t, pieces, b, next)
	sameMessages(t, got, want)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) || err == nil && pieces.Bytes() != whole.Bytes() {
		t.Fatalf("%v after %d bytes, want %v after %d", err, pieces.Bytes(), wantErr, whole.Bytes())
	}
}

// pieces returns lengths of up to most.
func pieces(rng *rand.Rand, most int) func() int { return func() int { return 1 + rng.IntN(most) } }

// traffic returns what a peer may send: messages that are aborted, then others by all kinds of headers, on chunk streams
// that take turns, with extended timestamps. Every other seed repeats these, every third has something wrong.
func traffic(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := opened(3, 1000)
	for id := range uint32(3) {
		b = AppendAbort(b, 3+id)
	}
	b = append(b, compress(rng, randomMessages(rng, 30, 400, false), seed%2 == 0).out...)
	if seed%3 == 0 {
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	}
	return b
}

// TestParserSplits: it does not matter how the bytes come.
func TestParserSplits(t *testing.T) {
	for name, b := range conversations(t) {
		t.Run(name, func(t *testing.T) { splits(t, b, pieces(rand.New(rand.NewPCG(1, 1)), 1)) })
	}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		splits(t, traffic(seed), pieces(rng, []int{1, 3, 20, 500}[seed%4]))
	}
}

func FuzzParserSplits(f *testing.F) {
	for _, b := range conversations(f) {
		f.Add(b, uint64(1), uint8(0))
	}
	for seed := range uint64(4) {
		f.Add(traffic(seed), seed, uint8(4*seed))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, most uint8) {
		splits(t, b, pieces(rand.New(rand.NewPCG(seed, 0)), 1+int(most)))
	})
}

// TestLeftOver has three bytes that look like an extended timestamp until the fourth comes. Then they are the payload of
// one message and all of another, and the fourth begins a header.
func TestLeftOver(t *testing.T) {
	b := fromHex(t, "03 000000 000001 08 00000000 11  04 FFFFFF 000001 08 00000000 C3C4C3C5 22  C4 C3C4C3")
	p := NewParser(Limits{})
	if got, err := feed(t, p, b, func() int { return len(b) }); err != nil || len(got) != 2 {
		t.Fatal(len(got), err)
	}
	got, err := feed(t, p, []byte{0x33}, func() int { return 1 })
	sameMessages(t, got, []Message{
		{Type: TypeAudio, ChunkStream: 4, Time: 2 * 0xC3C4C3C5 & 0xFFFFFFFF, Payload: []byte{0xC3}},
		{Type: TypeAudio, ChunkStream: 4, Time: 3 * 0xC3C4C3C5 & 0xFFFFFFFF, Payload: []byte{0xC3}},
	})
	if err != nil || p.Bytes() != uint64(len(b)+1) || p.kept != 1 {
		t.Errorf("%v after %d bytes, %d kept", err, p.Bytes(), p.kept)
	}
}

// TestEndWithinTimestamp has a last chunk with the beginning of what would be its extended timestamp.
func TestEndWithinTimestamp(t *testing.T) {
	b := fromHex(t, "03 FFFFFF 000002 08 00000000 01000000 AABB  C3 0100")
	for _, src := range []io.Reader{bytes.NewReader(b), iotest.DataErrReader(bytes.NewReader(b))} {
		r := NewReader(src, Limits{})
		got, err := readAll(r)
		sameMessages(t, got, []Message{
			{Type: TypeAudio, ChunkStream: 3, Time: 1 << 24, Payload: []byte{0xAA, 0xBB}},
			{Type: TypeAudio, ChunkStream: 3, Time: 1 << 25, Payload: []byte{1, 0}},
		})
		if err != io.EOF { //nolint:errorlint // bare
			t.Error(err)
		}
	}
}

// halting gives a byte, then says that time is up, and so on.
type halting struct {
	data   []byte
	halted bool
}

func (h *halting) Read(p []byte) (int, error) {
	if h.halted = !h.halted; h.halted {
		return 0, os.ErrDeadlineExceeded
	}
	if len(h.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:1], h.data)
	h.data = h.data[n:]
	return n, nil
}

// TestTimeouts: a Reader goes on where it was when time was up, wherever that is.
func TestTimeouts(t *testing.T) {
	for seed := range uint64(20) {
		b := traffic(seed)
		want, wantErr := readAll(NewReader(bytes.NewReader(b), Limits{}))
		r := NewReader(&halting{data: b}, Limits{})
		var (
			got  []Message
			late int
		)
		for {
			m, err := r.Read()
			if err == nil {
				got = append(got, m)
				continue
			}
			var timeout interface{ Timeout() bool }
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || late < int(r.Bytes()) {
					t.Errorf("seed %d: %v after %d of %d bytes, %d halts; want %v", seed, err, r.Bytes(), len(b), late, wantErr)
				}
				break
			}
			late++
		}
		sameMessages(t, got, want)
	}
}

// TestDetach goes on with the Parser after each number of messages, and half way with a Reader again.
func TestDetach(t *testing.T) {
	b := traffic(2)
	want, _ := readAll(NewReader(bytes.NewReader(b), Limits{}))
	for n := range len(want) {
		src := bytes.NewReader(b)
		r := NewReader(src, Limits{Buffer: bufferMin})
		var got []Message
		for range n {
			m, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m)
		}
		received := r.Bytes()
		p, rest := r.Detach()
		if p.Bytes()+uint64(len(rest)) != received || int(received) != len(b)-src.Len() {
			t.Fatalf("%d bytes taken and %d to come of %d", p.Bytes(), len(rest), received)
		}
		rest = append(bytes.Clone(rest), b[received:]...)
		half := len(rest) / 2
		more, err := feed(t, p, rest[:half], func() int { return 100 })
		if err != nil {
			t.Fatal(err)
		}
		last, err := readAll(Resume(bytes.NewReader(rest[half:]), p, nil, Limits{}))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		sameMessages(t, slices.Concat(got, more, last), want)
	}
}

// TestOddSources: no byte is lost to a source that is within its rights.
func TestOddSources(t *testing.T) {
	b := AppendMessage(nil, Message{Type: TypeVideo, ChunkStream: 3, Payload: make([]byte, 100_000)}, 70_000)
	b = append(AppendSetChunkSize(nil, 70_000), b...)
	broken := errors.New("broken")
	for name, src := range map[string]io.Reader{
		"whole":          bytes.NewReader(b),
		"half":           iotest.HalfReader(bytes.NewReader(b)),
		"data and error": iotest.DataErrReader(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(broken))),
	} {
		got, err := readAll(NewReader(src, Limits{Buffer: 1000}))
		if len(got) != 2 || !errors.Is(err, io.EOF) && !errors.Is(err, broken) {
			t.Errorf("%s: %d messages, %v", name, len(got), err)
		}
	}
	_, err := NewReader(readerFunc(func([]byte) (int, error) { return 0, nil }), Limits{}).Read()
	wantError(t, err, io.ErrNoProgress, 0)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestReads counts how often the source is asked: once for several messages that are there, and for a long chunk once
// more than the buffer holds.
func TestReads(t *testing.T) {
	long := Message{Type: TypeVideo, ChunkStream: 3, Payload: make([]byte, firstAlloc)}
	b := AppendMessage(AppendSetChunkSize(nil, firstAlloc), long, firstAlloc)
	src, reads := bytes.NewReader(b), 0
	r := NewReader(readerFunc(func(p []byte) (int, error) { reads++; return src.Read(p) }), Limits{Buffer: 4 << 10})
	if got, err := readAll(r); len(got) != 2 || !errors.Is(err, io.EOF) || reads != 3 {
		t.Errorf("%d messages by %d reads, %v", len(got), reads, err)
	}
}

// TestBufferFollowsLimits: the read buffer grows for a peer that has earned more, and shrinks again.
func TestBufferFollowsLimits(t *testing.T) {
	m := Message{Type: TypeAudio, ChunkStream: 3, Payload: make([]byte, 100)}
	src, asked := &loop{data: AppendMessage(nil, m, DefaultChunkSize)}, 0
	r := NewReader(readerFunc(func(p []byte) (int, error) { asked = len(p); return src.Read(p) }), Limits{})
	for _, size := range []int{0, 1 << 10, 64 << 10, 512} {
		r.SetLimits(Limits{Buffer: size})
		for range 1000 {
			if got, err := r.Read(); err != nil || len(got.Payload) != len(m.Payload) {
				t.Fatal(err)
			}
		}
		if want := r.parser.limits.Buffer; asked != want {
			t.Errorf("reads of %d bytes, want %d", asked, want)
		}
	}
}

// TestParserAllocations: one allocation a message, that of its payload, however it comes.
func TestParserAllocations(t *testing.T) {
	for _, size := range []int{300, firstAlloc} {
		b := AppendMessage(nil, Message{Type: TypeVideo, ChunkStream: 6, Payload: make([]byte, size)}, DefaultChunkSize)
		for _, piece := range []int{1, 100, len(b)} {
			p := NewParser(Limits{})
			n := testing.AllocsPerRun(20, func() {
				messages := 0
				for off := 0; off < len(b); off += piece {
					for rest := b[off:min(off+piece, len(b))]; ; {
						_, n, ok, err := p.Parse(rest)
						if err != nil {
							t.Fatal(err)
						}
						if !ok {
							break
						}
						messages++
						rest = rest[n:]
					}
				}
				if messages != 1 {
					t.Fatal(messages)
				}
			})
			if n != 1 {
				t.Errorf("%d bytes in pieces of %d: %v allocations", size, piece, n)
			}
		}
	}
}

// TestParserMemory: a peer that merely plays costs little.
func TestParserMemory(t *testing.T) {
	var b []byte
	for _, id := range []uint32{2, 3, 8} {
		b = AppendMessage(b, Message{Type: TypeCommandAMF0, ChunkStream: id, Payload: make([]byte, 300)}, DefaultChunkSize)
	}
	p := NewParser(Limits{})
	if _, err := feed(t, p, b, func() int { return 1 }); err != nil {
		t.Fatal(err)
	}
	size := int(reflect.TypeFor[Parser]().Size()) + cap(p.streams)*int(reflect.TypeFor[stream]().Size())
	if size > 400 || p.partial != 0 {
		t.Errorf("%d bytes, %d held", size, p.partial)
	}
}

func BenchmarkParser(b *testing.B) {
	m := Message{Type: TypeAcknowledgement, ChunkStream: ControlStream, Payload: make([]byte, 4)}
	data := AppendMessage(nil, m, DefaultChunkSize)
	p := NewParser(Limits{})
	b.ReportAllocs()
	for b.Loop() {
		if _, n, ok, err := p.Parse(data); n != len(data) || !ok || err != nil {
			b.Fatal(n, ok, err)
		}
	}
}
