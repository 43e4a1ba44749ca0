package httplive

import (
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
)

// muxer makes the bytes of an FLV body: file header, then tags. It implements stream.Muxer.
type muxer struct {
	*flv.Packer
}

func newMuxer(form flv.Form) muxer { return muxer{&flv.Packer{Form: form, Pack: flv.AppendTag}} }

// Head implements stream.Muxer.
func (m muxer) Head(dst []byte, tracks []*av.Track) []byte {
	video, audio := m.Form.Select(tracks)
	return flv.AppendFileHeader(dst, video != nil, audio != nil)
}

// framed makes one WebSocket message of each piece. The server does not mask, so all viewers share the bytes. It
// implements stream.Muxer.
type framed struct{ muxer }

// Head implements stream.Muxer.
func (m framed) Head(dst []byte, tracks []*av.Track) []byte {
	return frame(dst, func(dst []byte) []byte { return m.muxer.Head(dst, tracks) })
}

// Config implements stream.Muxer.
func (m framed) Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte {
	return frame(dst, func(dst []byte) []byte { return m.muxer.Config(dst, tracks, prev, at) })
}

// Unit implements stream.Muxer.
func (m framed) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	return frame(dst, func(dst []byte) []byte { return m.muxer.Unit(dst, tracks, u) })
}
