package chunk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// fromHex reads hexadecimal text; blanks are for the eye and # begins a comment.
func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// conversations returns the golden inputs by name.
func conversations(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".hex")] = fromHex(t, string(text))
	}
	return all
}

// readAll returns the messages up to the first error.
func readAll(r *Reader) ([]Message, error) {
	var all []Message
	for {
		m, err := r.Read()
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

// wantError checks that err is an *Error for the given cause and chunk stream.
func wantError(t *testing.T, err, cause error, chunkStream uint32) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, cause) || e.ChunkStream != chunkStream {
		t.Errorf("error %v, want %v on chunk stream %d", err, cause, chunkStream)
	}
}

// sameMessages compares messages by all they have.
func sameMessages(t *testing.T, got, want []Message) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := got[i], want[i]
		if !bytes.Equal(g.Payload, w.Payload) {
			t.Fatalf("message %d: payloads of %d and %d bytes differ", i, len(g.Payload), len(w.Payload))
		}
		g.Payload, w.Payload = nil, nil
		if g.Type != w.Type || g.ChunkStream != w.ChunkStream || g.Stream != w.Stream || g.Time != w.Time {
			t.Fatalf("message %d: %+v, want %+v", i, g, w)
		}
		if len(got[i].Payload) != cap(got[i].Payload) {
			t.Fatalf("message %d: payload of %d bytes in %d", i, len(got[i].Payload), cap(got[i].Payload))
		}
	}
}

// randomMessages returns n messages on a few chunk streams. Sizes and steps of time repeat, so that all headers occur.
// If they are plain, no payload looks like an extended timestamp as long as there are fewer than 128.
func randomMessages(rng *rand.Rand, n, sizeMax int, plain bool) []Message {
	ids := []uint32{3, 4, 63, 64, 319, 320, ChunkStreamMax}
	sizes := []int{0, 1, 7, 1 + rng.IntN(sizeMax+1), 1 + rng.IntN(sizeMax+1)}
	steps := []uint32{0, 20, 20, 40, noField - 1, noField, noField + 1, 1 << 31, rng.Uint32()}
	mark := byte(0)
	if plain {
		sizes, steps, mark = sizes[1:], steps[:7], 0x80
	}
	all := make([]Message, n)
	var time uint32
	for i := range all {
		if rng.IntN(3) > 0 {
			time += steps[rng.IntN(len(steps))]
		}
		all[i] = Message{
			Type:        []uint8{TypeAudio, TypeVideo, TypeDataAMF0}[rng.IntN(3)],
			ChunkStream: ids[rng.IntN(len(ids))],
			Stream:      uint32(rng.IntN(2)) << 24,
			Time:        time,
			Payload:     make([]byte, sizes[rng.IntN(len(sizes))]),
		}
		for j := range all[i].Payload {
			all[i].Payload[j] = byte(rng.Uint32()) | mark
		}
	}
	return all
}

// compressor encodes as other peers do: with the shortest header that will do, or a longer one at random, chunk
// streams interleaved, chunk sizes that change.
type compressor struct {
	rng       *rand.Rand
	chunkSize int
	repeat    bool // repeats extended timestamps in type 3 chunks
	sent      map[uint32]*sent
	out       []byte
	done      []Message // in the order in which they end
}

// sent is what the receiver knows of a chunk stream, and what is left of its message.
type sent struct {
	last  Message
	field uint32 // timestamp or delta of the last header
	rest  []byte
}

func compress(rng *rand.Rand, messages []Message, repeat bool) *compressor {
	c := &compressor{rng: rng, chunkSize: DefaultChunkSize, repeat: repeat, sent: map[uint32]*sent{}}
	for _, m := range messages {
		if rng.IntN(8) == 0 {
			c.setChunkSize(uint32(1 + rng.IntN(300)))
		}
		for s := c.sent[m.ChunkStream]; s != nil && len(s.rest) > 0; {
			c.next(s)
		}
		c.begin(m)
		for _, s := range c.all() {
			if len(s.rest) > 0 && rng.IntN(2) == 0 {
				c.next(s)
			}
		}
	}
	for _, s := range c.all() {
		for len(s.rest) > 0 {
			c.next(s)
		}
	}
	return c
}

// all returns the chunk streams in an order that a seed decides.
func (c *compressor) all() []*sent {
	all := slices.Collect(maps.Values(c.sent))
	slices.SortFunc(all, func(a, b *sent) int { return cmp.Compare(a.last.ChunkStream, b.last.ChunkStream) })
	return all
}

func (c *compressor) setChunkSize(size uint32) {
	m := Message{Type: TypeSetChunkSize, ChunkStream: ControlStream, Payload: binary.BigEndian.AppendUint32(nil, size)}
	c.out = AppendMessage(c.out, m, c.chunkSize)
	c.done = append(c.done, m)
	c.chunkSize = int(size)
}

// begin sends the first chunk of m.
func (c *compressor) begin(m Message) {
	s := c.sent[m.ChunkStream]
	format := byte(0)
	var delta uint32
	if s != nil && m.Stream == s.last.Stream {
		delta = m.Time - s.last.Time
		best := byte(1)
		if m.Type == s.last.Type && len(m.Payload) == len(s.last.Payload) {
			best = 2
			if delta == s.field {
				best = 3
			}
		}
		format = byte(c.rng.IntN(int(best) + 1))
	}
	if s == nil {
		s = &sent{}
		c.sent[m.ChunkStream] = s
	}
	if s.field = delta; format == 0 {
		s.field = m.Time
	}
	s.last, s.rest = m, m.Payload
	c.out = appendBasicHeader(c.out, format, m.ChunkStream)
	if format <= 2 {
		c.out = appendUint24(c.out, min(s.field, noField))
	}
	if format <= 1 {
		c.out = append(appendUint24(c.out, uint32(len(m.Payload))), m.Type)
	}
	if format == 0 {
		c.out = binary.LittleEndian.AppendUint32(c.out, m.Stream)
	}
	c.extended(s, format)
	c.payload(s)
}

// next sends a chunk that goes on with a message.
func (c *compressor) next(s *sent) {
	c.out = appendBasicHeader(c.out, 3, s.last.ChunkStream)
	c.extended(s, 3)
	c.payload(s)
}

func (c *compressor) extended(s *sent, format byte) {
	if s.field >= noField && (format < 3 || c.repeat) {
		c.out = binary.BigEndian.AppendUint32(c.out, s.field)
	}
}

func (c *compressor) payload(s *sent) {
	n := min(c.chunkSize, len(s.rest))
	c.out = append(c.out, s.rest[:n]...)
	if s.rest = s.rest[n:]; len(s.rest) == 0 {
		c.done = append(c.done, s.last)
	}
}

// dribble gives at most a few bytes a read.
type dribble struct {
	r   io.Reader
	rng *rand.Rand
}

func (d *dribble) Read(p []byte) (int, error) {
	return d.r.Read(p[:min(len(p), 1+d.rng.IntN(9))])
}
