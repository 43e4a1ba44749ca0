package chunk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestAppendMessage(t *testing.T) {
	for _, c := range []struct {
		name      string
		m         Message
		chunkSize int
		hex       string
	}{
		{"empty", Message{Type: 20, ChunkStream: 3}, 128, "03 000000 000000 14 00000000"},
		{
			"three chunks",
			Message{Type: 9, ChunkStream: 6, Stream: 1, Time: 0x010203, Payload: []byte{1, 2, 3, 4, 5}},
			2,
			"06 010203 000005 09 01000000 0102 C6 0304 C6 05",
		},
		{
			"whole chunks only",
			Message{Type: 9, ChunkStream: 63, Payload: []byte{1, 2, 3, 4}},
			2,
			"3F 000000 000004 09 00000000 0102 FF 0304",
		},
		{
			"extended",
			Message{Type: 8, ChunkStream: 64, Time: 0x01020304, Payload: []byte{1, 2}},
			1,
			"0000 FFFFFF 000002 08 00000000 01020304 01 C000 01020304 02",
		},
		{
			"least extended",
			Message{Type: 8, ChunkStream: 320, Time: 0xFFFFFF, Payload: []byte{1}},
			1,
			"010001 FFFFFF 000001 08 00000000 00FFFFFF 01",
		},
		{"greatest not extended", Message{ChunkStream: 65599, Time: 0xFFFFFE}, 1, "01FFFF FFFFFE 000000 00 00000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fromHex(t, c.hex)
			got := AppendMessage([]byte("x"), c.m, c.chunkSize)
			if !bytes.Equal(got[1:], want) || got[0] != 'x' || EncodedSize(c.m, c.chunkSize) != len(want) {
				t.Errorf("%x, size %d; want %x", got, EncodedSize(c.m, c.chunkSize), want)
			}
		})
	}
}

func TestAppendMessagePanics(t *testing.T) {
	for name, f := range map[string]func(){
		"payload":      func() { AppendMessage(nil, Message{ChunkStream: 3, Payload: make([]byte, PayloadMax+1)}, 128) },
		"chunk stream": func() { AppendMessage(nil, Message{ChunkStream: 1}, 128) },
		"chunk size":   func() { AppendMessage(nil, Message{ChunkStream: 3}, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic for a %s out of range", name)
				}
			}()
			f()
		}()
	}
}

func TestControlMessages(t *testing.T) {
	const header = "02 000000 0000"
	for _, c := range []struct {
		name string
		got  []byte
		hex  string
	}{
		{"set chunk size", AppendSetChunkSize(nil, 4096), header + "04 01 00000000 00001000"},
		{"abort", AppendAbort(nil, 6), header + "04 02 00000000 00000006"},
		{"acknowledgement", AppendAcknowledgement(nil, 1<<31), header + "04 03 00000000 80000000"},
		{"window", AppendWindowAckSize(nil, 2500000), header + "04 05 00000000 002625A0"},
		{
			"bandwidth", AppendSetPeerBandwidth(nil, 2500000, BandwidthDynamic),
			header + "05 06 00000000 002625A0 02",
		},
		{"stream begin", AppendUserControl(nil, EventStreamBegin, 1), header + "06 04 00000000 0000 00000001"},
		{
			"buffer length", AppendUserControl(nil, EventSetBufferLength, 1, 3000),
			header + "0A 04 00000000 0003 00000001 00000BB8",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if want := fromHex(t, c.hex); !bytes.Equal(c.got, want) {
				t.Errorf("%x, want %x", c.got, want)
			}
			m, err := NewReader(bytes.NewReader(c.got), Limits{}).Read()
			if err != nil {
				t.Fatal(err)
			}
			if m.Type == TypeUserControl {
				if _, data, err := m.UserControl(); err != nil || len(data) != len(m.Payload)-2 {
					t.Error(data, err)
				}
				return
			}
			if n, err := m.Uint32(); err != nil || n == 0 {
				t.Error(n, err)
			}
		})
	}
	if _, _, err := (Message{Payload: []byte{0}}).UserControl(); !errors.Is(err, ErrPayload) {
		t.Error(err)
	}
}

func TestSplitAggregate(t *testing.T) {
	b := fromHex(t, `08 000002 00000A 01 000000 AAAB  0000000D
		09 000000 00001E 01 000000       0000000B
		12 000001 000009 01 000000 AC    0000000C`)
	m := Message{Type: TypeAggregate, ChunkStream: 5, Stream: 1, Time: 5000, Payload: b}
	want := []Message{
		{Type: TypeAudio, ChunkStream: 5, Stream: 1, Time: 5000, Payload: []byte{0xAA, 0xAB}},
		{Type: TypeVideo, ChunkStream: 5, Stream: 1, Time: 5020},
		{Type: TypeDataAMF0, ChunkStream: 5, Stream: 1, Time: 4999, Payload: []byte{0xAC}},
	}
	for _, cut := range []int{0, 1, 4} { // of the last back pointer
		m.Payload = b[:len(b)-cut]
		got, err := SplitAggregate(m)
		if err != nil {
			t.Fatal(err)
		}
		sameMessages(t, got, want)
	}
	for _, n := range []int{1, 10, 12, 18, len(b) - 5} {
		m.Payload = b[:n]
		if _, err := SplitAggregate(m); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	m.Payload = []byte{TypeAggregate, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if _, err := SplitAggregate(m); !errors.Is(err, ErrPayload) {
		t.Error(err)
	}
}

func FuzzSplitAggregate(f *testing.F) {
	f.Add(fromHex(f, "08 000002 00000A 01 000000 AAAB 0000000D 09 000000 00001E 01 000000 0000000B"), uint32(9))
	f.Fuzz(func(t *testing.T, b []byte, time uint32) {
		parts, err := SplitAggregate(Message{Type: TypeAggregate, ChunkStream: 5, Time: time, Payload: b})
		if err != nil {
			return
		}
		size := 0
		for _, p := range parts {
			size += tagHeaderSize + len(p.Payload)
		}
		if size > len(b) || len(parts) > 0 && parts[0].Time != time {
			t.Fatalf("%d bytes of %d, %+v", size, len(b), parts)
		}
	})
}

func TestAppendAllocations(t *testing.T) {
	m := Message{Type: TypeVideo, ChunkStream: 6, Payload: make([]byte, 8980)}
	dst := make([]byte, 0, 16<<10)
	if n := testing.AllocsPerRun(100, func() { AppendMessage(dst, m, 4096) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { AppendUserControl(dst, EventPingRequest, 1) }); n != 0 {
		t.Errorf("%v allocations for a control message", n)
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	for _, chunkSize := range []int{128, 4096, 65536} {
		b.Run(fmt.Sprintf("chunk=%d", chunkSize), func(b *testing.B) {
			m := Message{Type: TypeVideo, ChunkStream: 6, Payload: make([]byte, 8980)}
			dst := make([]byte, 0, 16<<10)
			b.SetBytes(int64(EncodedSize(m, chunkSize)))
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendMessage(dst[:0], m, chunkSize)
			}
		})
	}
}
