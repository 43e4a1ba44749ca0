package mpegts

import "bytes"

const (
	strideMost = 204
	syncs      = 4 // sync bytes at equal distances that make a stream
	huntMax    = 1024
)

// strides are the distances of packets that are in use: plain; behind a time stamp (M2TS); with Reed-Solomon bytes.
//
//nolint:gochecknoglobals // a constant table
var strides = [...]int{PacketSize, 192, strideMost}

// step takes some bytes of b, one at least unless it loses the packets, and says how many.
func (d *Demuxer) step(b []byte) (n int, err error) {
	if d.stride == 0 {
		return d.hunt(b)
	}
	if d.skip > 0 {
		n = min(d.skip, len(b))
		d.skip -= n
		return n, nil
	}
	if len(d.part) == 0 && b[0] != syncByte {
		d.stride = 0 // the next step hunts
		return 0, nil
	}
	whole := b
	if len(d.part) > 0 || len(b) < PacketSize {
		n = min(PacketSize-len(d.part), len(b))
		d.part = append(d.part, b[:n]...)
		if len(d.part) < PacketSize {
			return n, nil
		}
		whole = d.part
		d.part = d.part[:0]
	} else {
		n = PacketSize
	}
	d.skip = d.stride - PacketSize
	return n, d.packet(whole[:PacketSize])
}

// hunt looks for packets in what came since they were lost, and b.
func (d *Demuxer) hunt(b []byte) (n int, err error) {
	n = min(huntMax-len(d.part), len(b))
	d.part = append(d.part, b[:n]...)
	for d.stride == 0 {
		at, stride := find(d.part)
		if d.junk += at; at > 0 && (d.packets > 0 || d.junk >= strideMost) { // a stream may begin with a part of a packet
			d.pid = 0
			d.fail(ErrSync)
		}
		if stride == 0 {
			d.part = append(d.part[:0], d.part[at:]...)
			return n, nil
		}
		if err = d.resume(at, stride); err != nil {
			return n, err
		}
	}
	return n, nil
}

// find looks where packets begin. Without a stride nothing before at can be the first.
func find(b []byte) (at, stride int) {
	for {
		next := bytes.IndexByte(b[at:], syncByte)
		if next < 0 {
			return len(b), 0
		}
		at += next
		for _, s := range strides {
			if runs(b[at:], s, syncs) {
				return at, s
			}
		}
		if at+(syncs-1)*strideMost >= len(b) {
			return at, 0
		}
		at++
	}
}

// runs says whether there are count sync bytes at the distance s.
func runs(b []byte, s, count int) bool {
	if len(b) <= (count-1)*s {
		return false
	}
	for i := range count {
		if b[i*s] != syncByte {
			return false
		}
	}
	return true
}

// resume takes the packets that were found.
func (d *Demuxer) resume(at, stride int) error {
	d.again = append(d.again[:0], d.part[at:]...)
	d.part, d.stride, d.skip = d.part[:0], stride, 0
	for rest := d.again; len(rest) > 0; {
		if d.stride == 0 { // lost again, behind what was found
			d.part = append(d.part[:0], rest...)
			return nil
		}
		n, err := d.step(rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// settle takes the packets of the end of a stream, of which there are too few to be sure.
func (d *Demuxer) settle() error {
	for at, v := range d.part {
		if v != syncByte {
			continue
		}
		for _, s := range strides {
			whole := (len(d.part) - at + s - PacketSize) / s
			if whole > 0 && runs(d.part[at:], s, (len(d.part)-at+s-1)/s) {
				return d.resume(at, s)
			}
		}
	}
	return nil
}
