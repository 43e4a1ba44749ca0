package rtp

import (
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// nalWriter writes H.264 (RFC 6184, packetization mode 1) and H.265 (RFC 7798).
type nalWriter struct {
	codec av.Codec
	size  int      // bytes of the largest payload
	nals  [][]byte // scratch
}

// unit writes an access unit. Before a key unit that lacks them come the track's parameter sets, behind the access unit delimiter.
func (n *nalWriter) unit(w *out, u *av.AccessUnit) {
	nals := n.nals[:0]
	data := u.Data
	if u.Key && n.lacksSets(u) {
		if len(data) > 0 && n.delimits(data[0]) {
			nals, data = append(nals, data[0]), data[1:]
		}
		nals = append(nals, u.Track.Sets...)
	}
	for _, b := range data {
		if len(b) >= n.head() {
			nals = append(nals, b)
		}
	}
	for at := 0; at < len(nals); {
		if run, size := n.run(nals[at:]); run > 1 {
			n.aggregate(w, nals[at:at+run], size, at+run == len(nals))
			at += run
			continue
		}
		if last := at == len(nals)-1; len(nals[at]) <= n.size {
			w.whole(nals[at], last)
		} else {
			n.fragments(w, nals[at], last)
		}
		at++
	}
	clear(nals)
	n.nals = nals[:0]
}

// head is the size of a NAL unit's header.
func (n *nalWriter) head() int {
	if n.codec == av.H264 {
		return 1
	}
	return 2
}

func (n *nalWriter) delimits(b []byte) bool {
	return len(b) >= n.head() && nal.KindOf(n.codec, b) == nal.Delimiter
}

// lacksSets says whether a kind of parameter sets that the track has is not among the unit's NAL units.
func (n *nalWriter) lacksSets(u *av.AccessUnit) bool {
	var has [nal.Delimiter + 1]bool
	for _, b := range u.Data {
		has[nal.KindOf(n.codec, b)] = true
	}
	for _, b := range u.Track.Sets {
		if kind := nal.KindOf(n.codec, b); kind.IsSet() && !has[kind] {
			return true
		}
	}
	return false
}

// run counts the NAL units at the front that fit into one packet together, and the size of its payload.
func (n *nalWriter) run(nals [][]byte) (count, size int) {
	size = n.head()
	for _, b := range nals {
		if size+2+len(b) > n.size {
			break
		}
		size += 2 + len(b)
		count++
	}
	return count, size
}

// aggregate writes a STAP-A (RFC 6184, 5.7.1) or AP (RFC 7798, 4.4.2). Its header has the greatest importance of the NAL units in it,
// or the lowest layer and temporal sub-layer.
func (n *nalWriter) aggregate(w *out, nals [][]byte, size int, last bool) {
	w.begin(size, last)
	if n.codec == av.H264 {
		forbidden, importance := byte(0), byte(0)
		for _, b := range nals {
			forbidden, importance = forbidden|b[0]&0x80, max(importance, b[0]&0x60)
		}
		w.add(forbidden | importance | h264STAPA)
	} else {
		forbidden, layer, sub := byte(0), uint16(63), byte(7)
		for _, b := range nals {
			forbidden = forbidden | b[0]&0x80
			layer = min(layer, uint16(b[0]&1)<<5|uint16(b[1]>>3))
			sub = min(sub, b[1]&7)
		}
		w.add(forbidden|h265AP<<1|byte(layer>>5), byte(layer)<<3|sub)
	}
	for _, b := range nals {
		w.add(byte(len(b)>>8), byte(len(b)))
		w.dst = append(w.dst, b...)
	}
}

// fragments writes a NAL unit in FU-A packets (RFC 6184, 5.8) or FU packets (RFC 7798, 4.4.3), all of the same size but the last.
func (n *nalWriter) fragments(w *out, unit []byte, last bool) {
	head := n.head()
	room := n.size - head - 1
	for b, first := unit[head:], true; len(b) > 0; first = false {
		part := b[:min(len(b), room)]
		b = b[len(part):]
		flags := byte(0)
		if first {
			flags = fuStart
		}
		if len(b) == 0 {
			flags |= fuEnd
		}
		w.begin(head+1+len(part), last && len(b) == 0)
		if n.codec == av.H264 {
			w.add(unit[0]&0xe0|h264FUA, flags|unit[0]&31)
		} else {
			w.add(unit[0]&0x81|h265FU<<1, unit[1], flags|unit[0]>>1&63)
		}
		w.dst = append(w.dst, part...)
	}
}
