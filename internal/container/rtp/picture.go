package rtp

import (
	"bytes"

	"github.com/vigil-media/vigil/internal/av"
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
	u := newUnit(count)
	u.Key = key
	memory := make([]byte, 0, size)
	for _, nal := range n.pieces {
		if set, _, _ := nalKind(n.codec, nal); set != setNone {
			continue
		}
		at := len(memory)
		memory = append(memory, nal...)
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
	n.pieces = n.pieces[:min(len(n.pieces), elementsMax)]
	for _, nal := range n.pieces {
		set, vcl, k := nalKind(n.codec, nal)
		if set == setNone {
			count++
			size += len(nal)
		}
		picture, key = picture || vcl, key || k || n.codec == av.H264 && recovers(nal)
	}
	return count, size, picture, key
}

// update takes the parameter sets of the picture. If they cannot be used the track stays what it is.
func (n *nalAssembler) update() error {
	var sets paramSets
	cloned, changed := false, false
	for _, nal := range n.pieces {
		kind, _, _ := nalKind(n.codec, nal)
		if kind == setNone || !cloned && n.sets.has(kind, nal) {
			continue
		}
		if !cloned {
			sets, cloned = n.sets.clone(), true
		}
		news, err := sets.put(n.codec, kind, nal)
		if err != nil {
			return err
		}
		changed = changed || news
	}
	if !changed {
		return nil
	}
	t, err := sets.track(n.r.id, n.codec)
	if err != nil {
		return err
	}
	n.sets = sets
	if t != nil {
		n.r.setTrack(t)
	}
	return nil
}

// splitNALs appends the NAL units in b, which is one, or several with start codes between them (H.264, annex B).
func splitNALs(dst [][]byte, b []byte) [][]byte {
	code := []byte{0, 0, 1}
	for len(b) > 0 {
		at := bytes.Index(b, code)
		if at < 0 {
			return append(dst, b)
		}
		if nal := bytes.TrimRight(b[:at], "\x00"); len(nal) > 0 {
			dst = append(dst, nal)
		}
		b = b[at+len(code):]
	}
	return dst
}
