package mpegts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vigil-media/vigil/internal/av"
)

// section puts sections of a PID together (2.4.4).
type section struct {
	buf  []byte // as far as it has come
	open bool
	seen bool
	cc   byte
	last []byte // the newest that was taken
}

// packet takes a packet; take is given each section that is whole and new.
func (s *section) packet(p *packet, take func([]byte)) {
	if p.payload == nil {
		return
	}
	if s.seen && p.cc == s.cc && !p.discontinuity {
		return // a duplicate (2.4.3.3)
	}
	lost := s.seen && p.cc != (s.cc+1)&15
	s.seen, s.cc = true, p.cc
	b := p.payload
	if lost {
		s.open = false
	}
	if p.start {
		pointer := int(b[0])
		if b = b[1:]; pointer > len(b) {
			s.open = false
			return
		}
		if s.open {
			s.add(b[:pointer], take)
		}
		b = b[pointer:]
		s.open, s.buf = true, s.buf[:0]
	}
	for s.open && len(b) > 0 {
		b = s.add(b, take)
	}
}

// add adds bytes to the section under way, and returns those behind it.
func (s *section) add(b []byte, take func([]byte)) (rest []byte) {
	const stuffed = 0xff // where a table_id should be: there is no more in the packet
	if len(s.buf) == 0 && len(b) > 0 && b[0] == stuffed {
		s.open = false
		return nil
	}
	for len(b) > 0 {
		want := 3
		if len(s.buf) >= 3 {
			want += int(binary.BigEndian.Uint16(s.buf[1:]) & 0x0fff)
		}
		if want > sectionMax {
			s.open = false
			return nil
		}
		if len(s.buf) >= 3 && len(s.buf) == want {
			break
		}
		n := min(want-len(s.buf), len(b))
		s.buf = append(s.buf, b[:n]...)
		b = b[n:]
	}
	if len(s.buf) < 3 || len(s.buf) < 3+int(binary.BigEndian.Uint16(s.buf[1:])&0x0fff) {
		return b
	}
	if !bytes.Equal(s.buf, s.last) {
		s.last = append(s.last[:0], s.buf...)
		take(s.buf)
	}
	s.buf = s.buf[:0]
	return b
}

// content checks a section and returns its number (program or stream), its place among the parts of its table, and its body. A table
// that is not in force yet, or another one, has no body.
func content(b []byte, table byte) (number uint16, part byte, body []byte, err error) {
	if len(b) < sectionMin {
		return 0, 0, nil, errShort
	}
	if checksum(b) != 0 {
		return 0, 0, nil, errCRC
	}
	const current = 1
	if b[0] != table || b[5]&current == 0 {
		return 0, 0, nil, nil
	}
	return binary.BigEndian.Uint16(b[3:]), b[6], b[8 : len(b)-crcSize], nil
}

// readPAT reads a section of the PAT (2.4.4.3): which program is it, and where is its PMT?
func (d *Demuxer) readPAT(b []byte) error {
	_, part, body, err := content(b, tablePAT)
	if err != nil {
		return fmt.Errorf("PAT: %w", err)
	}
	if d.Program == 0 && part != 0 {
		return nil // the first program is in the first
	}
	for ; len(body) >= 4; body = body[4:] {
		number, pid := binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])&pidMost
		if number == 0 || d.Program != 0 && number != d.Program || pid == patPID || pid == pidMost {
			continue // 0: the network PID
		}
		if pid != d.pmtPID || number != d.number {
			d.pmtPID, d.number, d.pmt = pid, number, section{}
		}
		return nil
	}
	return nil
}

// readPMT reads a PMT (2.4.4.9).
func (d *Demuxer) readPMT(b []byte) error {
	number, part, body, err := content(b, tablePMT)
	if err != nil {
		return fmt.Errorf("PMT: %w", err)
	}
	if body == nil || number != d.number || part != 0 {
		return nil
	}
	if len(body) < 4 {
		return fmt.Errorf("PMT: %w", errShort)
	}
	info := int(binary.BigEndian.Uint16(body[2:]) & 0x0fff)
	if body = body[4:]; info > len(body) {
		return fmt.Errorf("PMT: %w", errShort)
	}
	var found []*elementary
	for body = body[info:]; len(body) >= 5; {
		typ, pid := body[0], binary.BigEndian.Uint16(body[1:])&pidMost
		size := int(binary.BigEndian.Uint16(body[3:]) & 0x0fff)
		if body = body[5:]; size > len(body) {
			err = fmt.Errorf("PMT: %w", errShort)
			break
		}
		c, detail := codecOf(typ, body[:size])
		body = body[size:]
		if c == 0 {
			err = &UnsupportedError{fmt.Sprintf("stream type %#02x", typ)}
			continue
		}
		if len(found) == av.MaxTracks {
			err = &UnsupportedError{fmt.Sprintf("more than %d streams", av.MaxTracks)}
			break
		}
		if !slices.ContainsFunc(found, func(e *elementary) bool { return e.pid == pid }) {
			found = append(found, d.known(pid, c, detail))
		}
	}
	d.replace(found)
	return err
}

// known returns the stream that was there already, or begins one.
func (d *Demuxer) known(pid uint16, c av.Codec, detail byte) *elementary {
	for _, e := range d.streams {
		if e.pid == pid && e.codec == c && e.detail == detail {
			return e
		}
	}
	return &elementary{pid: pid, codec: c, detail: detail, need: c.Kind() == av.Video}
}

// replace makes found the streams. New ones get the lowest ids that are free.
func (d *Demuxer) replace(found []*elementary) {
	for _, e := range d.streams {
		if !slices.Contains(found, e) {
			d.reset(e)
		}
	}
	d.streams = found
	for _, e := range found {
		if e.id != 0 {
			continue
		}
		first, by := 1, 2
		switch e.codec.Kind() {
		case av.Video:
		case av.Audio:
			first = 2
		case av.Data:
			first, by = 2*av.MaxTracks+1, 1
		}
		for e.id = first; slices.ContainsFunc(found, func(o *elementary) bool { return o != e && o.id == e.id }); {
			e.id += by
		}
	}
}
