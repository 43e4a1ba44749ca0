package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// TestGolden reads each testdata/*.hex and compares with the messages in the .golden beside it.
func TestGolden(t *testing.T) {
	for name, b := range conversations(t) {
		var out strings.Builder
		messages, err := readAll(NewReader(bytes.NewReader(b), Limits{}))
		for _, m := range messages {
			fmt.Fprintf(&out, "type %d chunk stream %d stream %d time %d length %d\n",
				m.Type, m.ChunkStream, m.Stream, m.Time, len(m.Payload))
			for p := m.Payload; len(p) > 0; {
				n := min(len(p), 32)
				fmt.Fprintf(&out, "  %x\n", p[:n])
				p = p[n:]
			}
		}
		fmt.Fprintln(&out, err)
		path := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || out.String() != string(want) {
			t.Errorf("%s differs (%v); got:\n%s", path, err, out.String())
		}
		dribbled, _ := readAll(NewReader(iotest.OneByteReader(bytes.NewReader(b)), Limits{}))
		sameMessages(t, dribbled, messages)
	}
}

// TestSpecificationExamples states the examples of 5.3.3 as the specification does.
func TestSpecificationExamples(t *testing.T) {
	all := conversations(t)
	audio, err := readAll(NewReader(bytes.NewReader(all["spec-5.3.3.1"]), Limits{}))
	if !errors.Is(err, io.EOF) || len(audio) != 4 {
		t.Fatalf("%d messages, %v", len(audio), err)
	}
	for i, m := range audio {
		if m.Time != uint32(1000+20*i) || m.Type != TypeAudio || m.Stream != 12345 || len(m.Payload) != 32 {
			t.Errorf("message %d: %+v", i, m)
		}
	}
	video, err := readAll(NewReader(bytes.NewReader(all["spec-5.3.3.2"]), Limits{}))
	if !errors.Is(err, io.EOF) || len(video) != 1 {
		t.Fatalf("%d messages, %v", len(video), err)
	}
	if got := AppendMessage(nil, video[0], DefaultChunkSize); !bytes.Equal(got, all["spec-5.3.3.2"]) {
		t.Errorf("written as %x", got)
	}
}

// TestEnds cuts a conversation everywhere: io.EOF between messages, io.ErrUnexpectedEOF within.
func TestEnds(t *testing.T) {
	messages := randomMessages(rand.New(rand.NewPCG(1, 1)), 5, 300, false)
	var b []byte
	clean := map[int]bool{0: true}
	for _, m := range messages {
		b = AppendMessage(b, m, DefaultChunkSize)
		clean[len(b)] = true
	}
	for n := range b {
		_, err := readAll(NewReader(bytes.NewReader(b[:n]), Limits{}))
		if clean[n] != (err == io.EOF) || !clean[n] && !errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // bare
			t.Errorf("after %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name, hex   string
		cause       error
		chunkStream uint32
	}{
		{"type 2 first", "83 000000", ErrHeader, 3},
		{"type 3 first", "C4", ErrHeader, 4},
		{"header within a message", "03 000000 000085 08 00000000" + strings.Repeat("00", 128) + "43", ErrHeader, 3},
		{"message too long", "03 000000 FFFFFF 08 00000000", ErrLimit, 3},
		{"chunk size 0", "02 000000 000004 01 00000000 00000000", ErrPayload, 2},
		{"chunk size negative", "02 000000 000004 01 00000000 80000000", ErrPayload, 2},
		{"chunk size cut", "02 000000 000003 01 00000000 000001", ErrPayload, 2},
		{"abort cut", "02 000000 000001 02 00000000 00", ErrPayload, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewReader(bytes.NewReader(fromHex(t, c.hex)), Limits{}).Read()
			wantError(t, err, c.cause, c.chunkStream)
		})
	}
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(bytes.NewReader([]byte{3, 0}), iotest.ErrReader(broken)), Limits{})
	_, err := r.Read()
	wantError(t, err, broken, 3)
}

func TestLargestChunkSize(t *testing.T) {
	m := Message{Type: TypeVideo, ChunkStream: 6, Payload: make([]byte, 100_000)}
	b := AppendMessage(AppendSetChunkSize(nil, 1<<31-1), m, 1<<31-1)
	got, err := readAll(NewReader(bytes.NewReader(b), Limits{}))
	if !errors.Is(err, io.EOF) || len(got) != 2 {
		t.Fatal(len(got), err)
	}
	sameMessages(t, got[1:], []Message{m})
}

func TestTimeWraps(t *testing.T) {
	b := fromHex(t, "03 FFFFFF 000000 08 00000000 FFFFFFF0  83 000020  C3")
	got, _ := readAll(NewReader(bytes.NewReader(b), Limits{}))
	if len(got) != 3 || got[0].Time != 0xFFFFFFF0 || got[1].Time != 0x10 || got[2].Time != 0x30 {
		t.Errorf("%+v", got)
	}
}

// TestShortTail has a peer that does not repeat extended timestamps, and a last chunk with less than would fill one,
// behind which nothing comes for now.
func TestShortTail(t *testing.T) {
	m := Message{Type: TypeAudio, ChunkStream: 3, Time: 1 << 24, Payload: bytes.Repeat([]byte{7}, DefaultChunkSize+2)}
	b := fromHex(t, "03 FFFFFF 000082 08 00000000 01000000")
	b = append(append(append(b, m.Payload[:DefaultChunkSize]...), 0xC3), m.Payload[DefaultChunkSize:]...)
	late := errors.New("nothing for now")
	r := NewReader(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(late)), Limits{})
	got, err := readAll(r)
	sameMessages(t, got, []Message{m})
	if !errors.Is(err, late) {
		t.Error(err)
	}
}

// TestBarePeer has a peer that was seen to leave extended timestamps out, and then a payload that looks like one.
func TestBarePeer(t *testing.T) {
	b := fromHex(t, `02 000000 000004 01 00000000 00000004
		03 FFFFFF 00000C 08 00000000 01000000  11111111 C3 22222222 C3 01000000
		C3 33333333 C3 01000000 C3 44444444`)
	got, err := readAll(NewReader(bytes.NewReader(b), Limits{}))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	sameMessages(t, got[1:], []Message{
		{Type: TypeAudio, ChunkStream: 3, Time: 1 << 24, Payload: fromHex(t, "11111111 22222222 01000000")},
		{Type: TypeAudio, ChunkStream: 3, Time: 1 << 25, Payload: fromHex(t, "33333333 01000000 44444444")},
	})
}

func TestStreamsForgotten(t *testing.T) {
	r := NewReader(nil, Limits{Streams: 3})
	var b []byte
	for _, id := range []uint32{3, 4, 3, 5, 6} {
		b = AppendMessage(b, Message{Type: TypeAudio, ChunkStream: id, Payload: []byte{1}}, DefaultChunkSize)
	}
	r.src = bytes.NewReader(append(b, 0xC4)) // 4 was idle for longest
	got, err := readAll(r)
	if len(got) != 5 || len(r.parser.streams) != 3 {
		t.Errorf("%d messages, %d chunk streams", len(got), len(r.parser.streams))
	}
	wantError(t, err, ErrHeader, 4)
}

// opened returns first chunks of messages of the given length, one on each of n chunk streams.
func opened(n, length int) []byte {
	var b []byte
	for i := range n {
		m := Message{Type: TypeVideo, ChunkStream: uint32(3 + i), Payload: make([]byte, length)}
		whole := AppendMessage(nil, m, DefaultChunkSize)
		b = append(b, whole[:basicHeaderSize(m.ChunkStream)+header0Size+DefaultChunkSize]...)
	}
	return b
}

func TestLimits(t *testing.T) {
	_, err := NewReader(bytes.NewReader(opened(5, 1000)), Limits{Streams: 4}).Read()
	wantError(t, err, ErrLimit, 7)
	_, err = NewReader(bytes.NewReader(opened(5, 1000)), Limits{Message: 1000, Partial: 4000}).Read()
	wantError(t, err, ErrLimit, 7)

	r := NewReader(bytes.NewReader(opened(1, 1001)), Limits{Message: 1000})
	r.SetLimits(Limits{Message: 1001})
	_, err = r.Read()
	wantError(t, err, io.ErrUnexpectedEOF, 0)
}

// TestAnnouncedMemory has a peer that announces the longest message and sends little of it.
func TestAnnouncedMemory(t *testing.T) {
	b := opened(1, DefaultMessage)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewReader(bytes.NewReader(b), Limits{}).Read()
	runtime.ReadMemStats(&after)
	wantError(t, err, io.ErrUnexpectedEOF, 0)
	if n := after.TotalAlloc - before.TotalAlloc; n > firstAlloc+DefaultBuffer+8192 {
		t.Errorf("costs %d bytes", n)
	}
}

// TestAnnouncedMemoryManyStreams has a peer that announces a long message on each of many chunk streams.
func TestAnnouncedMemoryManyStreams(t *testing.T) {
	b := opened(DefaultStreams, DefaultMessage/DefaultStreams)
	r := NewReader(bytes.NewReader(b), Limits{})
	_, err := r.Read()
	wantError(t, err, io.ErrUnexpectedEOF, 0)
	held := 0
	for _, s := range r.parser.streams {
		held += cap(s.payload)
	}
	if want := amplesMax*firstAlloc + (DefaultStreams-amplesMax)*smallAlloc; len(r.parser.streams) != DefaultStreams || held != want {
		t.Errorf("%d bytes held for %d chunk streams, want %d", held, len(r.parser.streams), want)
	}
}

// TestAmplesReturned: a message that ends, or is aborted, leaves its place for a large first allocation to another.
func TestAmplesReturned(t *testing.T) {
	b := AppendAbort(opened(1, firstAlloc), 3)
	for id := range uint32(3) {
		m := Message{Type: TypeVideo, ChunkStream: 3 + id, Payload: make([]byte, firstAlloc)}
		b = AppendMessage(b, m, DefaultChunkSize)
	}
	r := NewReader(bytes.NewReader(b), Limits{})
	if got, err := readAll(r); !errors.Is(err, io.EOF) || len(got) != 4 || r.parser.amples != 0 {
		t.Errorf("%d messages, %v, %d places taken", len(got), err, r.parser.amples)
	}
}

func TestAbort(t *testing.T) {
	b := opened(1, 1000)
	b = AppendAbort(b, 3)
	b = AppendAbort(b, 99)
	m := Message{Type: TypeAudio, ChunkStream: 3, Payload: []byte{1}}
	r := NewReader(bytes.NewReader(AppendMessage(b, m, DefaultChunkSize)), Limits{})
	got, err := readAll(r)
	if !errors.Is(err, io.EOF) || len(got) != 3 || r.parser.partial != 0 {
		t.Fatalf("%d messages, %v, %d bytes held", len(got), err, r.parser.partial)
	}
	sameMessages(t, got[2:], []Message{m})
}

func TestBytes(t *testing.T) {
	b := AppendWindowAckSize(nil, 1)
	r := NewReader(bytes.NewReader(b), Limits{})
	if _, err := r.Read(); err != nil || r.Bytes() != uint64(len(b)) {
		t.Errorf("%d bytes of %d, %v", r.Bytes(), len(b), err)
	}
}

// TestAllocations: one allocation a message, that of its payload.
func TestAllocations(t *testing.T) {
	for _, size := range []int{300, firstAlloc} {
		m := Message{Type: TypeVideo, ChunkStream: 6, Payload: make([]byte, size)}
		r := NewReader(&loop{data: AppendMessage(nil, m, DefaultChunkSize)}, Limits{})
		n := testing.AllocsPerRun(100, func() {
			if got, err := r.Read(); err != nil || cap(got.Payload) != size {
				t.Fatal(cap(got.Payload), err)
			}
		})
		if n != 1 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

// interleave returns one message on each of n chunk streams, their chunks taking turns.
func interleave(n, size int) []byte {
	chunks := make([][]byte, n)
	for i := range chunks {
		m := Message{Type: TypeVideo, ChunkStream: uint32(3 + i), Payload: make([]byte, size)}
		chunks[i] = AppendMessage(nil, m, DefaultChunkSize)
	}
	var b []byte
	for first := true; len(chunks[0]) > 0; first = false {
		for i, c := range chunks {
			end := 1 + DefaultChunkSize
			if first {
				end += header0Size
			}
			end = min(end, len(c))
			b, chunks[i] = append(b, c[:end]...), c[end:]
		}
	}
	return b
}

// TestInterleavedAllocations: so with audio and video that take turns; beyond, memory grows with what comes.
func TestInterleavedAllocations(t *testing.T) {
	for streams, most := range map[int]float64{1: 1, 2: 2, 4: 8} {
		r := NewReader(&loop{data: interleave(streams, firstAlloc)}, Limits{})
		n := testing.AllocsPerRun(20, func() {
			for range streams {
				if got, err := r.Read(); err != nil || cap(got.Payload) != firstAlloc {
					t.Fatal(cap(got.Payload), err)
				}
			}
		})
		if n > most {
			t.Errorf("%d chunk streams: %v allocations", streams, n)
		}
	}
}

// TestCompressed reads what other peers make of the same messages, and what we make of them.
func TestCompressed(t *testing.T) {
	for seed := range uint64(200) {
		metamorphic(t, seed, 40, 1000)
	}
}

func metamorphic(t *testing.T, seed uint64, n, sizeMax int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	repeat := seed%2 == 0
	messages := randomMessages(rng, n, sizeMax, !repeat)
	c := compress(rng, messages, repeat)
	got, err := readAll(NewReader(&dribble{bytes.NewReader(c.out), rng}, Limits{}))
	if !errors.Is(err, io.EOF) {
		t.Fatalf("seed %d: %v", seed, err)
	}
	sameMessages(t, got, c.done)

	chunkSize := 1 + rng.IntN(max(1, 2*sizeMax))
	ours := AppendSetChunkSize(nil, uint32(chunkSize))
	for _, m := range messages {
		ours = AppendMessage(ours, m, chunkSize)
	}
	got, err = readAll(NewReader(&dribble{bytes.NewReader(ours), rng}, Limits{}))
	if !errors.Is(err, io.EOF) {
		t.Fatalf("seed %d: %v", seed, err)
	}
	sameMessages(t, got[1:], messages)
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint16(40), uint16(1000))
	f.Add(uint64(2), uint16(3), uint16(0xFFFF))
	f.Add(uint64(56), uint16(443), uint16(65000)) // messages of no length at all
	f.Fuzz(func(t *testing.T, seed uint64, n, sizeMax uint16) { metamorphic(t, seed, int(n%64), int(sizeMax%5000)) })
}

// FuzzReader: no panic, and never more memory than limits and input are worth.
func FuzzReader(f *testing.F) {
	for _, b := range conversations(f) {
		f.Add(b)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	f.Add(compress(rng, randomMessages(rng, 20, 200, false), true).out)
	f.Add(compress(rng, randomMessages(rng, 20, 200, true), false).out)
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := Limits{Message: 1 << 20, Partial: 1 << 20, Streams: 8, Buffer: 1}
		r := NewReader(bytes.NewReader(b), limits)
		total := 0
		for {
			m, err := r.Read()
			held, filled, amples := 0, 0, 0
			for _, s := range r.parser.streams {
				held += cap(s.payload)
				filled += len(s.payload)
				if s.ample {
					amples++
				}
				if len(s.payload) > len(b) || cap(s.payload) > max(firstAlloc, growthFactor*len(b)) {
					t.Fatalf("%d bytes held for %d", cap(s.payload), len(b))
				}
			}
			if amples != r.parser.amples || amples > amplesMax ||
				held > amplesMax*firstAlloc+limits.Streams*smallAlloc+growthFactor*filled {
				t.Fatalf("%d bytes held for %d, %d ample, %d counted", held, filled, amples, r.parser.amples)
			}
			if err == nil && held != r.parser.partial || len(r.parser.streams) > limits.Streams {
				t.Fatalf("%d bytes held, %d counted, %d chunk streams", held, r.parser.partial, len(r.parser.streams))
			}
			if err != nil {
				break
			}
			if len(m.Payload) != cap(m.Payload) {
				t.Fatal("payload not exact")
			}
			if total += len(m.Payload); total > len(b) {
				t.Fatal("more payload than input")
			}
			if again, err := NewReader(bytes.NewReader(AppendMessage(nil, m, DefaultChunkSize)), limits).Read(); err == nil {
				sameMessages(t, []Message{again}, []Message{m})
			} else if m.Type != TypeSetChunkSize && m.Type != TypeAbort {
				t.Fatal(err)
			}
		}
		if r.Bytes() > uint64(len(b)) {
			t.Fatal("counted more than came")
		}
	})
}

// loop is data without an end.
type loop struct {
	data []byte
	off  int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.data[l.off:])
	l.off = (l.off + n) % len(l.data)
	return n, nil
}

// group is a second of ordinary video with audio.
func group() []Message {
	all := []Message{{Type: TypeVideo, ChunkStream: 6, Stream: 1, Payload: make([]byte, 60_000)}}
	for i := range uint32(24) {
		all = append(all,
			Message{Type: TypeAudio, ChunkStream: 4, Stream: 1, Time: 40 * i, Payload: make([]byte, 370)},
			Message{Type: TypeVideo, ChunkStream: 6, Stream: 1, Time: 40*i + 40, Payload: make([]byte, 8980)},
			Message{Type: TypeAudio, ChunkStream: 4, Stream: 1, Time: 40*i + 20, Payload: make([]byte, 370)})
	}
	return all
}

func BenchmarkReader(b *testing.B) {
	for _, chunkSize := range []int{128, 4096, 65536} {
		b.Run(fmt.Sprintf("chunk=%d", chunkSize), func(b *testing.B) {
			messages := group()
			var data []byte
			for _, m := range messages {
				data = AppendMessage(data, m, chunkSize)
			}
			r := NewReader(io.MultiReader(
				bytes.NewReader(AppendSetChunkSize(nil, uint32(chunkSize))), &loop{data: data}), Limits{})
			if _, err := r.Read(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data) / len(messages)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReaderLong(b *testing.B) {
	m := Message{Type: TypeVideo, ChunkStream: 6, Payload: make([]byte, 500_000)}
	data := AppendMessage(nil, m, 4096)
	set := bytes.NewReader(AppendSetChunkSize(nil, 4096))
	r := NewReader(io.MultiReader(set, &loop{data: data}), Limits{})
	if _, err := r.Read(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
	}
}
