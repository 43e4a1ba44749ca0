package httplive

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/stream"
)

// flvMuxer makes the bytes of an FLV body: file header, then tags. It implements stream.Muxer.
type flvMuxer struct {
	*flv.Packer
}

func newFLV(form flv.Form) flvMuxer { return flvMuxer{&flv.Packer{Form: form, Pack: flv.AppendTag}} }

// Head implements stream.Muxer.
func (m flvMuxer) Head(dst []byte, tracks []*av.Track) []byte {
	video, audio := m.Form.Select(tracks)
	return flv.AppendFileHeader(dst, video != nil, audio != nil)
}

// framed makes one WebSocket message of each piece. The server does not mask, so all viewers share the bytes. It
// implements stream.Muxer.
type framed struct{ stream.Muxer }

// Head implements stream.Muxer.
func (m framed) Head(dst []byte, tracks []*av.Track) []byte {
	return frame(dst, func(dst []byte) []byte { return m.Muxer.Head(dst, tracks) })
}

// Config implements stream.Muxer.
func (m framed) Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte {
	return frame(dst, func(dst []byte) []byte { return m.Muxer.Config(dst, tracks, prev, at) })
}

// Unit implements stream.Muxer.
func (m framed) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	return frame(dst, func(dst []byte) []byte { return m.Muxer.Unit(dst, tracks, u) })
}

// Err is why the muxer has given up, if it is one that may.
func (m framed) Err() error {
	if may, ok := m.Muxer.(interface{ Err() error }); ok {
		return may.Err()
	}
	return nil
}
