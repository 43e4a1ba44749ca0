package chunk

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	header0Size  = 11 // a message header of type 0
	extendedSize = 4  // an extended timestamp
	controlSize  = 16 // room for the payload of a control message
)

// AppendMessage appends m to dst in chunks of at most chunkSize bytes of payload: a chunk with a type 0 header, then
// type 3 ones, which repeat an extended timestamp. It allocates only if dst lacks room; see [EncodedSize].
//
// A payload longer than [PayloadMax], a chunk stream out of range or a chunk size below 1 cannot be expressed: they
// are mistakes of the caller, and AppendMessage panics.
func AppendMessage(dst []byte, m Message, chunkSize int) []byte {
	if len(m.Payload) > PayloadMax || m.ChunkStream < ChunkStreamMin || m.ChunkStream > ChunkStreamMax || chunkSize < 1 {
		panic(fmt.Sprintf("chunk: cannot express %d bytes on chunk stream %d in chunks of %d",
			len(m.Payload), m.ChunkStream, chunkSize))
	}
	dst = slices.Grow(dst, EncodedSize(m, chunkSize))
	field := min(m.Time, noField)
	dst = appendBasicHeader(dst, 0, m.ChunkStream)
	dst = appendUint24(dst, field)
	dst = appendUint24(dst, uint32(len(m.Payload)))
	dst = append(dst, m.Type)
	dst = binary.LittleEndian.AppendUint32(dst, m.Stream)
	payload := m.Payload
	for {
		if field == noField {
			dst = binary.BigEndian.AppendUint32(dst, m.Time)
		}
		n := min(chunkSize, len(payload))
		dst = append(dst, payload[:n]...)
		if payload = payload[n:]; len(payload) == 0 {
			return dst
		}
		dst = appendBasicHeader(dst, 3, m.ChunkStream)
	}
}

// EncodedSize returns how many bytes [AppendMessage] appends.
func EncodedSize(m Message, chunkSize int) int {
	chunks := max(1, (len(m.Payload)+chunkSize-1)/chunkSize)
	perChunk := basicHeaderSize(m.ChunkStream)
	if m.Time >= noField {
		perChunk += extendedSize
	}
	return header0Size + chunks*perChunk + len(m.Payload)
}

// AppendSetChunkSize appends the announcement that chunks from here on have up to size bytes of payload.
func AppendSetChunkSize(dst []byte, size uint32) []byte {
	return appendControl(dst, TypeSetChunkSize, number(size))
}

// AppendAbort appends the order to forget the message that is partly sent on a chunk stream.
func AppendAbort(dst []byte, chunkStream uint32) []byte {
	return appendControl(dst, TypeAbort, number(chunkStream))
}

// AppendAcknowledgement appends how many bytes were received so far; the number wraps.
func AppendAcknowledgement(dst []byte, received uint32) []byte {
	return appendControl(dst, TypeAcknowledgement, number(received))
}

// AppendWindowAckSize appends after how many bytes the peer shall acknowledge.
func AppendWindowAckSize(dst []byte, size uint32) []byte {
	return appendControl(dst, TypeWindowAckSize, number(size))
}

// AppendSetPeerBandwidth appends how many bytes the peer may send unacknowledged.
func AppendSetPeerBandwidth(dst []byte, size uint32, limit uint8) []byte {
	return appendControl(dst, TypeSetPeerBandwidth, append(number(size), limit))
}

// AppendUserControl appends an event with its data.
func AppendUserControl(dst []byte, event uint16, data ...uint32) []byte {
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, controlSize), event)
	for _, n := range data {
		payload = binary.BigEndian.AppendUint32(payload, n)
	}
	return appendControl(dst, TypeUserControl, payload)
}

// number returns the payload of a message that begins with n.
func number(n uint32) []byte { return binary.BigEndian.AppendUint32(make([]byte, 0, controlSize), n) }

// appendControl appends a message that fits into one chunk, unless a chunk size of less than its few bytes was set.
func appendControl(dst []byte, kind uint8, payload []byte) []byte {
	m := Message{Type: kind, ChunkStream: ControlStream, Payload: payload}
	return AppendMessage(dst, m, DefaultChunkSize)
}

func appendBasicHeader(dst []byte, format byte, chunkStream uint32) []byte {
	format <<= 6
	switch basicHeaderSize(chunkStream) {
	case 1:
		return append(dst, format|byte(chunkStream))
	case 2:
		return append(dst, format, byte(chunkStream-64))
	default:
		return binary.LittleEndian.AppendUint16(append(dst, format|1), uint16(chunkStream-64))
	}
}

func basicHeaderSize(chunkStream uint32) int {
	switch {
	case chunkStream < 64:
		return 1
	case chunkStream < 64+256:
		return 2
	default:
		return 3
	}
}

func appendUint24(dst []byte, u uint32) []byte { return append(dst, byte(u>>16), byte(u>>8), byte(u)) }
