package rtp

import (
	"bytes"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// finish emits the picture. Parameter sets go to the track; without a part of a picture there is no unit.
func (n *nalAssembler) finish() error {
	broken := n.broken || n.open
	n.begun, n.open, n.broken = false, false, false
	defer n.clear()
	if broken {
		n.r.broken()
		return nil
	}
	count, size, picture, key := n.scan()
	setErr := n.update()
	if !picture {
		return setErr
	}
	u := av.NewUnit(count)
	u.Key = key
	memory := make([]byte, 0, size)
	for _, b := range n.pieces {
		if nal.KindOf(n.codec, b).IsSet() {
			continue
		}
		at := len(memory)
		memory = append(memory, b...)
		u.Data = append(u.Data, memory[at:len(memory):len(memory)])
	}
	if err := n.r.put(u, n.ticks, 0); err != nil {
		return err
	}
	if setErr != nil {
		n.r.fail(header{seq: uint16(n.r.order.next)}, setErr) //nolint:gosec // low bits
	}
	return nil
}

// scan splits what was collected into NAL units and looks at them. Some senders leave start codes within a NAL unit, where
// none can be.
func (n *nalAssembler) scan() (count, size int, picture, key bool) {
	n.pieces = n.pieces[:0]
	at := 0
	for _, end := range n.ends {
		n.pieces = splitNALs(n.pieces, n.buf[at:end:end])
		at = end
	}
	for _, b := range n.pieces {
		kind := nal.KindOf(n.codec, b)
		if !kind.IsSet() {
			count++
			size += len(b)
		}
		picture, key = picture || kind.IsPicture(), key || kind == nal.Key || nal.Recovers(n.codec, b)
	}
	return count, size, picture, key
}

// update takes the parameter sets of the picture. If they cannot be used the track stays what it is.
func (n *nalAssembler) update() error {
	sets, changed := n.sets.Share(), false
	for _, b := range n.pieces {
		news, err := sets.Put(n.codec, b)
		if err != nil {
			return err
		}
		changed = changed || news
	}
	if !changed {
		return nil
	}
	t, err := sets.Track(n.r.id, n.codec)
	if err != nil {
		return err
	}
	n.sets = sets
	if t != nil {
		n.r.setTrack(t)
	}
	return nil
}

// splitNALs appends the NAL units in b, which is one, or several with start codes between them (H.264, annex B). What would make more than
// elementsMax is left out: a place in the list takes more memory than a start code on the wire.
func splitNALs(dst [][]byte, b []byte) [][]byte {
	code := []byte{0, 0, 1}
	for len(b) > 0 && len(dst) < elementsMax {
		at := bytes.Index(b, code)
		if at < 0 {
			return append(dst, b)
		}
		if first := bytes.TrimRight(b[:at], "\x00"); len(first) > 0 {
			dst = append(dst, first)
		}
		b = b[at+len(code):]
	}
	return dst
}
