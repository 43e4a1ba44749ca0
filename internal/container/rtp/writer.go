package rtp

import (
	"slices"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmjpeg"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp8"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp9"
	pion "github.com/pion/rtp"

	"github.com/vigil-media/vigil/internal/av"
)

// writer makes payloads of the units of one lane.
type writer interface {
	unit(w *out, u *av.AccessUnit)
}

// out is where the packets of one unit go.
type out struct {
	sender    *sender
	dst       []byte
	timestamp uint32
}

// begin appends the frame and the header of a packet whose payload has size bytes, and follows.
func (w *out) begin(size int, marker bool) {
	s := w.sender
	n := headerSize + size
	w.dst = append(w.dst, frameMark, s.lane.RTP, byte(n>>8), byte(n))
	w.dst = appendHeader(w.dst, header{marker: marker, typ: s.lane.Format.typ, seq: s.seq, timestamp: w.timestamp, ssrc: s.ssrc})
	s.seq++
	s.packets.Add(1)
	s.octets.Add(uint32(size)) //nolint:gosec // at most 64 KiB
}

// add appends a part of the payload.
func (w *out) add(b ...byte) { w.dst = append(w.dst, b...) }

// whole appends a packet of one payload.
func (w *out) whole(b []byte, marker bool) {
	w.begin(len(b), marker)
	w.dst = append(w.dst, b...)
}

// newWriter returns what writes f in payloads of up to size bytes.
func newWriter(f *Format, size int) writer {
	switch f.codec { //nolint:exhaustive // the others are plain
	case av.H264, av.H265:
		return &nalWriter{codec: f.codec, size: size}
	case av.AAC:
		return aacWriter{size}
	case av.PCMA, av.PCMU, av.G722:
		return sampleWriter{size: size, bytes: max(f.channels, 1)}
	case av.L16:
		return sampleWriter{size: size, bytes: 2 * max(f.channels, 1)}
	case av.MP3:
		return mp3Writer{size}
	case av.AC3:
		return ac3Writer{size}
	case av.KLV:
		return cutWriter{size}
	case av.Opaque:
		return opaqueWriter{}
	case av.AV1:
		return &av1Writer{writer: newEncoder(&rtpav1.Encoder{PayloadMaxSize: size}, (*rtpav1.Encoder).Encode)}
	case av.VP8:
		return newEncoder(&rtpvp8.Encoder{PayloadMaxSize: size}, single((*rtpvp8.Encoder).Encode))
	case av.VP9:
		return newEncoder(&rtpvp9.Encoder{PayloadMaxSize: size}, single((*rtpvp9.Encoder).Encode))
	case av.MJPEG:
		return jpegWriter{newEncoder(&rtpmjpeg.Encoder{PayloadMaxSize: size}, single((*rtpmjpeg.Encoder).Encode))}
	default:
		return wholeWriter{}
	}
}

// encoderWriter is an encoder of gortsplib. Numbers, times and source of its packets are replaced.
type encoderWriter[E interface{ Init() error }] struct {
	encoder E
	encode  func(E, [][]byte) ([]*pion.Packet, error)
}

func newEncoder[E interface{ Init() error }](e E, encode func(E, [][]byte) ([]*pion.Packet, error)) writer {
	if e.Init() != nil { // only for want of random numbers
		return nothing{}
	}
	return encoderWriter[E]{e, encode}
}

// single adapts an encoder of frames of one element.
func single[E any](f func(E, []byte) ([]*pion.Packet, error)) func(E, [][]byte) ([]*pion.Packet, error) {
	return func(e E, data [][]byte) ([]*pion.Packet, error) { return f(e, data[0]) }
}

func (e encoderWriter[E]) unit(w *out, u *av.AccessUnit) {
	if len(u.Data) == 0 {
		return
	}
	for _, b := range u.Data {
		if len(b) == 0 { // the encoders take none
			return
		}
	}
	packets, err := e.encode(e.encoder, u.Data)
	if err != nil {
		return
	}
	for _, p := range packets {
		w.whole(p.Payload, p.Marker)
	}
}

// nothing writes nothing.
type nothing struct{}

func (nothing) unit(*out, *av.AccessUnit) {}

// jpegWriter leaves out pictures that RTP has no form for.
type jpegWriter struct{ writer }

func (j jpegWriter) unit(w *out, u *av.AccessUnit) {
	if len(u.Data) == 1 && jpegFits(u.Data[0]) {
		j.writer.unit(w, u)
	}
}

// av1Writer puts the sequence header before a key unit that lacks it: RTP has no other place for it.
type av1Writer struct {
	writer
	obus [][]byte // scratch
}

func (a *av1Writer) unit(w *out, u *av.AccessUnit) {
	if !u.Key || slices.ContainsFunc(u.Data, func(b []byte) bool { return len(b) > 0 && b[0]>>3&15 == obuSequenceHeader }) {
		a.writer.unit(w, u)
		return
	}
	whole := *u
	whole.Data = append(append(a.obus[:0], u.Track.Config), u.Data...)
	a.writer.unit(w, &whole)
	clear(whole.Data)
	a.obus = whole.Data[:0]
}
