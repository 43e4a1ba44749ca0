package mpegts

import (
	"bytes"
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Muxer makes transport packets of units, the same for all viewers. It has the methods of a muxer of a share. The zero Muxer is
// ready for use, and must not be copied. Head and Config may be called from any goroutine; the rest belongs to one.
type Muxer struct {
	marks marks

	tracks   []*av.Track // as they were at the last unit
	lanes    []*lane     // of tracks that have a form, and of those that were there
	main     *lane       // with the PCR
	tables   *tables
	pat, pmt byte  // next counters of the tables
	due      bool  // tables come before the next unit
	fresh    bool  // nothing came after the tables
	tablesAt int64 // ticks, of the last tables
	ref      reference

	head   []byte   // scratch: what is before a unit in its PES packet
	pieces [][]byte // scratch: the PES packet
}

// lane is the packets of one track.
type lane struct {
	track  *av.Track // nil: it is gone
	sets   *av.Track // whose parameter sets were written last
	form   form
	adts   [4]byte
	pid    uint16
	cc     byte // of the next packet
	splice bool // what follows does not continue what was before
}

const lanesMost = 64

// Head appends nothing: a transport stream has no file header.
func (m *Muxer) Head(dst []byte, _ []*av.Track) []byte { return dst }

// Config appends PAT and PMT for a newcomer, whose prev is empty; their counters lead to those of the tables that come next.
// For others it appends nothing: Unit notices changes, and splices, by itself.
func (m *Muxer) Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte {
	if len(prev) > 0 {
		return dst
	}
	k, ok := m.marks.find(ticks(at))
	t := newTables(appendPMTBody(nil, tracks), k.version)
	if ok && k.at == ticks(at)&(1<<stampBits-1) { // the same will follow
		k.pat, k.pmt = k.pat-1, k.pmt-t.count()
	} else if !ok {
		k.pat, k.pmt = 15, -t.count()
	}
	return t.append(dst, k.pat, k.pmt)
}

// AppendTables appends PAT and PMT of tracks at the time at, which is that of the unit that follows: for who cuts segments where Unit
// would write none. Unit does not write them again.
func (m *Muxer) AppendTables(dst []byte, tracks []*av.Track, at time.Duration) []byte {
	m.arrange(tracks)
	m.fresh = false
	return m.appendTables(dst, ticks(at))
}

func (m *Muxer) appendTables(dst []byte, at int64) []byte {
	if m.fresh {
		return dst
	}
	m.marks.add(mark{at, m.pat, m.pmt, m.tables.version})
	dst = m.tables.append(dst, m.pat, m.pmt)
	m.pat, m.pmt = (m.pat+1)&15, (m.pmt+m.tables.count())&15
	m.tablesAt, m.due, m.fresh = at, false, true
	return dst
}

// Unit appends the packets of a unit, and before a key picture, after a change of the tracks, and every 400 ms PAT and PMT. It appends nothing if
// the track has no form, or the unit comes too late for the clock of the others.
func (m *Muxer) Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte {
	m.arrange(tracks)
	l := m.lane(u.Track)
	if l == nil {
		m.due = m.due || u.Key && u.Track.Kind() == av.Video // who begins with it sees the next unit first
		return dst
	}
	pts, dts := ticks(u.PTS), ticks(u.DTS)
	if !m.ref.admit(dts, l == m.main) {
		return dst
	}
	size := m.payload(l, u)
	if size == 0 {
		return dst
	}
	defer clear(m.pieces)
	random := u.Key && (l.form.stream == idVideo || l == m.main)
	if m.due || random && l.form.stream == idVideo || dts-m.tablesAt >= tableEvery {
		dst = m.appendTables(dst, dts)
	}
	m.fresh = false
	dst = m.fill(dst, l)
	var room [1 + 6]byte
	field := m.field(room[:0], l, random)
	pieces := m.pes(l, size, pts, dts)
	return l.packets(dst, field, pieces, len(m.head)+size)
}

// field appends the adaptation field of the first packet of a unit, without its length, or nothing.
func (m *Muxer) field(dst []byte, l *lane, random bool) []byte {
	flags, t := byte(0), m.ref.next()
	if random {
		flags |= fieldRandom
	}
	if l.splice || l == m.main && !m.ref.sent && m.ref.again {
		flags |= fieldDiscontinue
		l.splice = false
	}
	if l == m.main && (!m.ref.sent || t > m.ref.pcr || random) {
		m.ref.send(t)
		return appendPCR(append(dst, flags|fieldPCR), t)
	}
	if flags != 0 {
		dst = append(dst, flags)
	}
	return dst
}

// fill appends the PCRs that are due before a unit of l, in packets of their own.
func (m *Muxer) fill(dst []byte, l *lane) []byte {
	t := m.ref.next()
	if !m.ref.sent {
		if m.ref.again && l != m.main { // the times of l are not those of the old clock
			dst = m.appendPCR(dst, fieldPCR|fieldDiscontinue, t)
		}
		return dst
	}
	if t-m.ref.pcr <= pcrFill {
		for t-m.ref.pcr > pcrMost {
			dst = m.appendPCR(dst, fieldPCR, m.ref.pcr+pcrEvery)
		}
	}
	if l != m.main && t-m.ref.pcr >= pcrEvery {
		dst = m.appendPCR(dst, fieldPCR, t)
	}
	return dst
}

// appendPCR appends a packet with a PCR and nothing else. It has the counter of the packet before (2.4.3.3).
func (m *Muxer) appendPCR(dst []byte, flags byte, t int64) []byte {
	m.ref.send(t)
	l := m.main
	dst = append(dst, syncByte, byte(l.pid>>8), byte(l.pid), flagField|(l.cc-1)&15, payloadMost-1, flags)
	dst = appendPCR(dst, t)
	return append(dst, stuffing[:payloadMost-8]...)
}

func (m *Muxer) lane(t *av.Track) *lane {
	for _, l := range m.lanes {
		if l.track == t {
			return l
		}
	}
	return nil
}

// arrange notices that the tracks are others.
func (m *Muxer) arrange(tracks []*av.Track) {
	if m.tables != nil && slices.Equal(tracks, m.tracks) {
		return
	}
	splice := len(m.tracks) > 0 && !slices.ContainsFunc(tracks, func(t *av.Track) bool { return slices.Contains(m.tracks, t) })
	m.tracks = slices.Clone(tracks)
	for _, l := range m.lanes {
		l.track = nil
	}
	if len(m.lanes) > lanesMost {
		m.lanes = nil
	}
	m.main = nil
	clock := clockTrack(tracks)
	for _, t := range tracks {
		f, ok := formOf(t)
		if !ok {
			continue
		}
		l := m.laneOf(pidOf(t))
		l.track, l.form = t, f
		if t.Codec == av.AAC {
			l.adts, _ = adtsOf(t.Config)
		}
		l.splice = l.splice || splice
		if t == clock {
			m.main = l
		}
	}
	if splice {
		m.ref = reference{again: m.ref.again || m.ref.sent}
	}
	m.setTables(tracks)
}

// setTables makes the tables of tracks. Their version rises when the PMT is another.
func (m *Muxer) setTables(tracks []*av.Track) {
	body := appendPMTBody(nil, tracks)
	switch {
	case m.tables == nil:
		m.tables = newTables(body, 0)
	case !bytes.Equal(body, m.tables.body):
		m.tables = newTables(body, (m.tables.version+1)&31)
	}
	m.due, m.fresh = true, false
}

// laneOf finds the lane of a PID, or begins it.
func (m *Muxer) laneOf(pid uint16) *lane {
	for _, l := range m.lanes {
		if l.pid == pid {
			return l
		}
	}
	l := &lane{pid: pid}
	m.lanes = append(m.lanes, l)
	return l
}
