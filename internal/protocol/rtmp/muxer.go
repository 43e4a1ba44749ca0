package rtmp

import (
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
)

// Chunk streams of the media that is sent to players. A chunk stream for each kind lets receivers keep their headers apart.
const (
	chunkCommand = 3
	chunkAudio   = 4
	chunkScript  = 5
	chunkVideo   = 6
)

// mediaStream is the only message stream: every createStream is answered with it, so that the bytes of media are the same
// for all players.
const mediaStream = 1

// muxer makes the chunks that all players of a form share: one message stream, one chunk size, and a full header for
// every message, so that any message may follow any other. It implements stream.Muxer.
type muxer struct {
	*flv.Packer
}

func newMuxer(form flv.Form, chunkSize int) muxer {
	return muxer{&flv.Packer{
		Form: form,
		Pack: func(dst []byte, t flv.TagType, ms uint32, body []byte) []byte {
			return chunk.AppendMessage(dst, message(t, ms, body), chunkSize)
		},
	}}
}

// Head implements stream.Muxer. There is none: the session has said all that comes before media.
func (m muxer) Head(dst []byte, _ []*av.Track) []byte { return dst }

// message is the message that carries a tag.
func message(t flv.TagType, ms uint32, body []byte) chunk.Message {
	m := chunk.Message{Type: uint8(t), ChunkStream: chunkScript, Stream: mediaStream, Time: ms, Payload: body}
	switch t {
	case flv.AudioTag:
		m.ChunkStream = chunkAudio
	case flv.VideoTag:
		m.ChunkStream = chunkVideo
	case flv.ScriptTag:
	}
	return m
}
