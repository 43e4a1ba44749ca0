package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Message types (5.4 and 7.1).
const (
	TypeSetChunkSize     = 1
	TypeAbort            = 2
	TypeAcknowledgement  = 3
	TypeUserControl      = 4
	TypeWindowAckSize    = 5
	TypeSetPeerBandwidth = 6
	TypeAudio            = 8
	TypeVideo            = 9
	TypeDataAMF3         = 15
	TypeSharedObjectAMF3 = 16
	TypeCommandAMF3      = 17
	TypeDataAMF0         = 18
	TypeSharedObjectAMF0 = 19
	TypeCommandAMF0      = 20
	TypeAggregate        = 22
)

// Events of user control messages (7.1.7).
const (
	EventStreamBegin      uint16 = 0 // data: message stream
	EventStreamEOF        uint16 = 1 // data: message stream
	EventStreamDry        uint16 = 2 // data: message stream
	EventSetBufferLength  uint16 = 3 // data: message stream, milliseconds
	EventStreamIsRecorded uint16 = 4 // data: message stream
	EventPingRequest      uint16 = 6 // data: timestamp
	EventPingResponse     uint16 = 7 // data: timestamp of the request
)

// How the peer shall take a Set Peer Bandwidth (5.4.5).
const (
	BandwidthHard    uint8 = 0
	BandwidthSoft    uint8 = 1
	BandwidthDynamic uint8 = 2
)

const (
	// DefaultChunkSize is the chunk size of both directions until a Set Chunk Size (5.4.1).
	DefaultChunkSize = 128
	// ChunkSizeMax is the largest chunk size that makes a difference.
	ChunkSizeMax = PayloadMax
	// PayloadMax is the longest payload that a chunk header can announce.
	PayloadMax = 1<<24 - 1
	// ChunkStreamMin is the least number of a chunk stream.
	ChunkStreamMin = 2
	// ChunkStreamMax is the greatest number of a chunk stream.
	ChunkStreamMax = 65599
	// ControlStream is the chunk stream of protocol control and user control messages.
	ControlStream = 2
)

// noField is what the 24 bits of a timestamp hold if it stands in the extended field.
const noField = 1<<24 - 1

// Causes that errors of this package wrap, besides [io.ErrUnexpectedEOF].
var (
	ErrLimit   = errors.New("limit exceeded")
	ErrHeader  = errors.New("chunk header out of place")
	ErrPayload = errors.New("malformed message")
)

// Message is one RTMP message. A payload is shared and never written to.
type Message struct {
	Type        uint8
	ChunkStream uint32
	Stream      uint32 // message stream
	Time        uint32 // milliseconds; wraps
	Payload     []byte
}

// Uint32 returns the number that a Set Chunk Size, Abort, Acknowledgement, Window Acknowledgement Size or Set Peer
// Bandwidth message consists of or begins with.
func (m Message) Uint32() (uint32, error) {
	if len(m.Payload) < 4 {
		return 0, m.short(4)
	}
	return binary.BigEndian.Uint32(m.Payload), nil
}

// UserControl returns what a user control message says.
func (m Message) UserControl() (event uint16, data []byte, err error) {
	if len(m.Payload) < 2 {
		return 0, nil, m.short(2)
	}
	return binary.BigEndian.Uint16(m.Payload), m.Payload[2:], nil
}

func (m Message) short(n int) error {
	return fmt.Errorf("message of type %d: %w: %d bytes of %d", m.Type, ErrPayload, len(m.Payload), n)
}

// Sizes of an aggregate's parts, which are laid out as FLV tags (7.1.6).
const (
	tagHeaderSize  = 11
	tagPointerSize = 4
)

// SplitAggregate returns the messages that an aggregate consists of, with payloads that lie in its own. Their times
// are those of the aggregate; their message stream is its, too. The last back pointer may be missing.
func SplitAggregate(m Message) ([]Message, error) {
	var (
		parts  []Message
		origin uint32
	)
	for off := 0; off < len(m.Payload); {
		b := m.Payload[off:]
		if len(b) < tagHeaderSize {
			return nil, fmt.Errorf("chunk: aggregate at offset %d: %w", off, io.ErrUnexpectedEOF)
		}
		end := tagHeaderSize + int(uint24(b[1:]))
		if end > len(b) {
			return nil, fmt.Errorf("chunk: aggregate at offset %d: part of %d bytes: %w", off, end, io.ErrUnexpectedEOF)
		}
		if b[0] == TypeAggregate {
			return nil, fmt.Errorf("chunk: aggregate at offset %d: aggregate inside: %w", off, ErrPayload)
		}
		time := uint24(b[4:]) | uint32(b[7])<<24
		if off == 0 {
			origin = time
		}
		parts = append(parts, Message{
			Type:        b[0],
			ChunkStream: m.ChunkStream,
			Stream:      m.Stream,
			Time:        m.Time + time - origin,
			Payload:     b[tagHeaderSize:end:end],
		})
		off += min(end+tagPointerSize, len(b))
	}
	return parts, nil
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
