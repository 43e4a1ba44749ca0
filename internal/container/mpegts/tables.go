package mpegts

import (
	"encoding/binary"
	"slices"

	"github.com/vigil-media/vigil/internal/av"
)

const (
	patPID     = 0
	program    = 1 // the number of the only one that we write
	tablePAT   = 0
	tablePMT   = 2
	sectionMax = 3 + 1021 // bytes of a section of these tables (2.4.4.3, 2.4.4.8)
	sectionMin = 3 + 5 + crcSize
	crcSize    = 4
	noPCR      = pidMost // PCR_PID of a program without one
)

// checksum is the CRC of a section (annex A). That of a whole section, its CRC included, is 0.
func checksum(b []byte) uint32 {
	const polynomial = 0x04c11db7
	crc := ^uint32(0)
	for _, v := range b {
		crc ^= uint32(v) << 24
		for range 8 {
			crc = crc<<1 ^ polynomial&-(crc>>31)
		}
	}
	return crc
}

// newSection makes a section: its head, the body, and the CRC.
func newSection(table byte, number uint16, version byte, body []byte) []byte {
	const syntax, reserved, current = 0xb0, 0xc0, 1
	size := 5 + len(body) + crcSize
	dst := append([]byte{
		table, syntax | byte(size>>8), byte(size), byte(number >> 8), byte(number), reserved | version<<1 | current, 0, 0,
	}, body...)
	return binary.BigEndian.AppendUint32(dst, checksum(dst))
}

// appendPMTBody appends what a PMT has between its head and the CRC (2.4.4.9): the PID with the PCR, and the tracks that have a form.
func appendPMTBody(dst []byte, tracks []*av.Track) []byte {
	const reserved3, reserved4 = 0xe0, 0xf0
	pcr := uint16(noPCR)
	if t := clockTrack(tracks); t != nil {
		pcr = pidOf(t)
	}
	dst = append(dst, reserved3|byte(pcr>>8), byte(pcr), reserved4, 0)
	for _, t := range tracks {
		f, ok := formOf(t)
		if !ok {
			continue
		}
		pid := pidOf(t)
		dst = append(dst, f.typ, reserved3|byte(pid>>8), byte(pid), reserved4, byte(len(f.descriptors)))
		dst = append(dst, f.descriptors...)
	}
	return dst
}

func pidOf(t *av.Track) uint16 { return uint16(firstPID + t.ID - 1) } //nolint:gosec // formOf bounds it

// clockTrack is the track whose packets carry the PCR: the first of video, or of audio, or any; nil without tracks.
func clockTrack(tracks []*av.Track) *av.Track {
	for _, kind := range []av.Kind{av.Video, av.Audio, av.Data} {
		for _, t := range tracks {
			if t.Kind() == kind && Carries(t) {
				return t
			}
		}
	}
	return nil
}

// tables are PAT and PMT as packets, side by side, with counters of 0.
type tables struct {
	body    []byte // of the PMT: what the version depends on
	version byte
	packets []byte // the first is the PAT's
}

// newTables makes the tables of tracks.
func newTables(body []byte, version byte) *tables {
	t := &tables{body: body, version: version}
	pat := newSection(tablePAT, 1, 0, []byte{0, program, 0xe0 | pmtPID>>8, pmtPID & 0xff})
	t.packets = appendSectionPackets(nil, patPID, pat)
	t.packets = appendSectionPackets(t.packets, pmtPID, newSection(tablePMT, program, version, body))
	return t
}

// appendSectionPackets appends the packets of a section, the last filled with 0xff.
func appendSectionPackets(dst []byte, pid uint16, section []byte) []byte {
	const pointer = 0
	section = slices.Insert(slices.Clone(section), 0, pointer)
	for start := byte(flagStart); len(section) > 0; start = 0 {
		n := min(len(section), payloadMost)
		dst = append(dst, syncByte, start|byte(pid>>8), byte(pid), flagPayload)
		dst = append(dst, section[:n]...)
		for range payloadMost - n {
			dst = append(dst, 0xff)
		}
		section = section[n:]
	}
	return dst
}

// append appends the packets with these counters. The counters after them are 1 and count further.
func (t *tables) append(dst []byte, pat, pmt byte) []byte {
	at := len(dst)
	dst = append(dst, t.packets...)
	dst[at+3] |= pat & 15
	for i := at + PacketSize; i < len(dst); i += PacketSize {
		dst[i+3] |= pmt & 15
		pmt++
	}
	return dst
}

// count is how many packets the PMT has.
func (t *tables) count() byte { return byte(len(t.packets)/PacketSize - 1) } //nolint:gosec // few
