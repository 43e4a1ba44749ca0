package stream

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Muxer turns units into the bytes of one format, the same for all its viewers. Head and Config depend on their
// arguments only and may be called from any goroutine; Unit is called for each unit in order, by one
// goroutine at a time, and may keep state. All append to dst and return it. None does I/O or waits.
type Muxer interface {
	// Head appends what a viewer gets first, once: a file header.
	Head(dst []byte, tracks []*av.Track) []byte
	// Config appends what a decoder needs before the first unit of tracks. prev are the tracks that the viewer has had
	// the configuration of, nil for a newcomer; at is the time of the unit that follows.
	Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte
	// Unit appends a unit, or nothing if the format does not carry its track.
	Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte
}

const (
	chunkSize    = 256 << 10 // packets are cut out of chunks of this size, so that neighbours are contiguous
	chunkSizeMin = 16 << 10  // the first chunk of a share
)

// packet is one unit in the bytes of a share's format.
type packet struct {
	bytes  []byte // starts with the configuration if that changed with this unit; capacity reaches the chunk's end
	config int    // length of the configuration
}

// Share is a muxer that is attached to a stream while somebody watches its format, with its ring of bytes.
type Share struct {
	stream *Stream
	key    any
	mux    Muxer
	ring   *ring[packet]

	// Under the stream's mu.
	tracks  []*av.Track // of the newest packet
	scratch []byte
	chunk   []byte
	start   bool // a viewer may start at the next packet: the key unit before it is of a track that the format lacks
	viewers int
	idle    time.Time // since when nobody watches
}

// Watch returns a viewer of the stream in the format that key names, starting at the newest key unit. The first viewer
// of a format makes its share with mux, and fills it back from there. Close the viewer.
func (s *Stream) Watch(key any, mux func() Muxer) (*Viewer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Ended(); err != nil {
		return nil, err
	}
	sh := s.shares[key]
	if sh == nil {
		sh = &Share{stream: s, key: key, mux: mux(), ring: newRing[packet](s.opt)}
		if err := sh.fill(); err != nil {
			return nil, err
		}
		s.shares[key] = sh
		s.publishShares()
	}
	sh.viewers++
	v := &Viewer{cursor: cursor[packet]{ring: sh.ring, nudge: make(chan struct{}, 1)}, share: sh}
	v.join()
	return v, nil
}

// fill muxes what the ring of units holds from the newest key unit on. Under mu.
func (sh *Share) fill() error {
	units := sh.stream.units
	key := units.key.Load()
	if key <= units.tail.Load() {
		return nil
	}
	for seq := key - 1; seq < units.head.Load(); seq++ {
		if err := sh.write(units.at(seq)); err != nil {
			return err
		}
	}
	return nil
}

// writeShares muxes a unit for each active share and drops the shares that nobody has watched for long. Under mu.
func (s *Stream) writeShares(it *item[*av.AccessUnit]) {
	dropped := false
	for _, sh := range *s.active.Load() {
		if sh.viewers == 0 && it.at.Sub(sh.idle) > s.opt.ShareIdle {
			delete(s.shares, sh.key)
			dropped = true
			continue
		}
		if err := sh.write(it); err != nil {
			delete(s.shares, sh.key)
			sh.ring.end(err)
			dropped = true
		}
	}
	if dropped {
		s.publishShares()
	}
}

func (s *Stream) publishShares() {
	active := make([]*Share, 0, len(s.shares))
	for _, sh := range s.shares {
		active = append(active, sh)
	}
	s.active.Store(&active)
}

// write muxes one unit into the ring of bytes. A muxer that panics costs its share, never the publisher. Under mu.
func (sh *Share) write(it *item[*av.AccessUnit]) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", ErrMuxer, v)
		}
	}()
	sh.scratch = sh.scratch[:0]
	if !slices.Equal(it.tracks, sh.tracks) {
		sh.scratch = sh.mux.Config(sh.scratch, it.tracks, sh.tracks, it.dts)
		sh.tracks = it.tracks
	}
	config := len(sh.scratch)
	sh.scratch = sh.mux.Unit(sh.scratch, it.tracks, it.value)
	sh.start = sh.start || it.key
	if len(sh.scratch) == 0 {
		return nil
	}
	b := sh.store(sh.scratch)
	sh.ring.append(item[packet]{
		value:  packet{bytes: b, config: config},
		tracks: it.tracks, dts: it.dts, at: it.at, size: len(b), key: sh.start,
	})
	sh.start = false
	return nil
}

// store copies b to the end of the current chunk, or begins a new one. Bytes that were stored never change.
func (sh *Share) store(b []byte) []byte {
	if cap(sh.chunk)-len(sh.chunk) < len(b) {
		size := min(max(2*cap(sh.chunk), chunkSizeMin), chunkSize)
		sh.chunk = make([]byte, 0, max(size, len(b)))
	}
	from := len(sh.chunk)
	sh.chunk = append(sh.chunk, b...)
	return sh.chunk[from:]
}

// Viewer is a reader of a share's bytes. One goroutine calls Next; the other methods may be called by any.
type Viewer struct {
	cursor[packet]
	share  *Share
	sent   []*av.Track // whose configuration the viewer has
	joined bool
	bytes  atomic.Uint64
	closed atomic.Bool

	before   []*av.Track // sent, before the latest Next
	from     uint64      // next, before the latest Next
	skipping bool        // Discard has been called since the last Rejoin
	resume   uint64      // next, before what was discarded
}

// Next waits for at least one packet and returns the bytes of as many as are there, up to about limit bytes, as one
// contiguous slice that the caller must not change. It always ends at the end of a packet. A newcomer gets the
// format's head and configuration first. It returns ErrTooSlow, ErrNoKey, the stream's end cause after the last packet, the
// context's cause, or nothing at all after Nudge.
func (v *Viewer) Next(ctx context.Context, limit int) ([]byte, error) {
	v.before, v.from = v.sent, v.next
	it, jumped, err := v.wait(ctx)
	v.joined = v.joined && !jumped
	if err != nil || it == nil {
		return nil, err
	}
	if !v.joined {
		return v.enter(it), nil
	}
	b := it.value.bytes
	if v.told(it) {
		b = b[it.value.config:]
	}
	v.take(it)
	for len(b) < limit {
		it, jumped, err = v.peek()
		if it == nil || jumped || err != nil || v.told(it) || !adjacent(b, it.value.bytes) {
			v.joined = !jumped // a jump is for the next call, since this one has bytes to return
			break
		}
		b = b[:len(b)+len(it.value.bytes)]
		v.take(it)
	}
	return slices.Clip(b), nil
}

// told says that the packet begins with a configuration that the viewer has had already, when it entered.
func (v *Viewer) told(it *item[packet]) bool {
	return it.value.config > 0 && slices.Equal(v.sent, it.tracks)
}

func (v *Viewer) take(it *item[packet]) {
	if it.value.config > 0 {
		v.sent = it.tracks
	}
	v.next++
}

// enter returns the packet with what a newcomer, or a viewer that has jumped, needs before it.
func (v *Viewer) enter(it *item[packet]) []byte {
	var b []byte
	mux, tracks := v.share.mux, v.outlook(it)
	if len(v.sent) == 0 {
		b = mux.Head(b, tracks)
	}
	if !slices.Equal(v.sent, tracks) {
		b = mux.Config(b, tracks, v.sent, it.dts)
	}
	v.joined, v.sent = true, tracks
	v.next++
	return append(b, it.value.bytes[it.value.config:]...)
}

// outlook returns the tracks of an item, and those that have joined the stream since and are of a kind that was not there: a
// newcomer is told at once of all kinds that it will meet, because players decide by the head which decoders they need.
// Another track of a kind may be the one that a format carries from there on, but is not yet at this item.
func (v *Viewer) outlook(it *item[packet]) []*av.Track {
	tracks := it.tracks
	for _, t := range v.share.stream.Tracks() {
		i, known := slices.BinarySearchFunc(tracks, t.ID, byID)
		if !known && !hasKind(it.tracks, t.Kind()) {
			tracks = slices.Insert(slices.Clone(tracks), i, t)
		}
	}
	return tracks
}

// adjacent says whether next lies directly behind b in the same chunk.
func adjacent(b, next []byte) bool {
	return len(b) < cap(b) && len(next) > 0 && &b[:len(b)+1][len(b)] == &next[0]
}

// Skips is how often the viewer had to jump forward.
func (v *Viewer) Skips() uint64 { return v.skips.Load() }

// Nudge makes a Next that waits, or the next one that would, return at once with nothing. It never waits.
func (v *Viewer) Nudge() {
	select {
	case v.nudge <- struct{}{}:
	default:
	}
}

// Rejoin moves the viewer forward to the newest key unit, or if it was sent that one already, to what follows the last that
// it was sent. Only the goroutine that calls Next may call it.
func (v *Viewer) Rejoin() {
	at := v.next
	if v.skipping {
		v.skipping, at = false, v.resume
	}
	v.needKey = false
	v.join()
	if !v.needKey {
		v.next = max(v.next, at)
	}
	v.joined = false
}

// Discard says that nothing of what the latest Next returned has been or will be sent, so that it is given again, as far as
// it is still of use, after Rejoin. Only the goroutine that calls Next may call it.
func (v *Viewer) Discard() {
	if !v.skipping {
		v.skipping, v.resume = true, v.from
	}
	v.sent, v.joined = v.before, false
}

// CountSent notes that n bytes have been handed to the viewer's socket.
func (v *Viewer) CountSent(n int) { v.bytes.Add(uint64(n)) } //nolint:gosec // n is not negative

// Sent is how many bytes have been handed to the viewer's socket.
func (v *Viewer) Sent() uint64 { return v.bytes.Load() }

// Close ends the viewer's claim on the share. It may be called more than once.
func (v *Viewer) Close() {
	if v.closed.Swap(true) {
		return
	}
	s := v.share.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	v.share.viewers--
	if v.share.viewers == 0 {
		v.share.idle = time.Now()
	}
}
