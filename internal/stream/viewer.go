package stream

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Viewer is a reader of a share's bytes: a position, and what is left of a packet of which a part has been sent. One goroutine
// at a time calls Peek, Advance and Rejoin; the other methods may be called by any.
type Viewer struct {
	rest   []byte // to be sent before what is at the position: of an opening, or of a packet
	bytes  atomic.Uint64
	opened uint64 // number of the packet before which an opening was made, plus 1
	joined bool
	closed atomic.Bool
	share  *Share
	cursor[packet]
	sent []*av.Track // whose configuration the viewer has
}

// Batch is what a viewer is to be sent next. It is filled by Peek, and good until the next. One Batch serves many viewers in turn.
type Batch struct {
	Bytes []byte // empty: there is nothing yet. Shared: do not change them
	More  bool   // there is more
	parts []part // the packets that they are made of; none: the rest of what is begun
}

type part struct {
	it  *item[packet]
	end int // in Bytes
}

// Share is what the viewer reads: viewers with the same one are sent the same bytes.
func (v *Viewer) Share() *Share { return v.share }

// Subscribe has w told whenever the viewer's share grows, until cancel is called. Wakers serve all viewers of a share that they
// know of: one is enough.
func (v *Viewer) Subscribe(w Waker) (cancel func()) { return v.share.subscribe(w) }

// Peek fills b with what the viewer is to be sent next: as many whole packets as are there and lie side by side, up to about limit
// bytes; or, when a part of a packet has been sent, its rest. A newcomer gets the format's head and configuration first, and so
// does, as far as it lacks that, one that had to jump. Bytes are the same until Advance, unless they have become too old: then
// the viewer jumps. Peek never waits. It fails with ErrTooSlow, ErrNoKey, or, after the last packet, the stream's end cause.
func (v *Viewer) Peek(b *Batch, limit int) error {
	clear(b.parts) // lest they keep a chunk alive
	b.Bytes, b.More, b.parts = nil, false, b.parts[:0]
	for {
		if len(v.rest) > 0 {
			b.Bytes, b.More = v.rest, true
			return nil
		}
		ended := v.ring.ended.Load() // before peek, which sees then all that was appended before the end
		it, jumped, err := v.peek()
		v.joined = v.joined && !jumped
		switch {
		case err != nil:
			return err
		case it == nil && ended != nil:
			return *ended
		case it == nil:
			return nil
		case !v.joined:
			v.open(it)
		case len(v.lacks(it)) == 0:
			v.take(it) // nothing but a configuration that the viewer has
		default:
			v.collect(b, it, limit)
			return nil
		}
	}
}

// collect fills b with the packets from it on that lie side by side.
func (v *Viewer) collect(b *Batch, it *item[packet], limit int) {
	b.Bytes = v.lacks(it)
	b.parts = append(b.parts, part{it, len(b.Bytes)})
	seq := it.seq + 1
	for ; len(b.Bytes) < limit && seq != v.ring.head.Load(); seq++ {
		it = v.ring.at(seq)
		if it == nil {
			break // lapped just now: the next Peek will see
		}
		next := v.lacks(it)
		if !adjacent(b.Bytes, next) {
			break
		}
		b.Bytes = b.Bytes[:len(b.Bytes)+len(next)]
		b.parts = append(b.parts, part{it, len(b.Bytes)})
	}
	b.Bytes, b.More = slices.Clip(b.Bytes), seq != v.ring.head.Load() || v.ring.ended.Load() != nil
}

// lacks returns what the viewer needs of a packet: all, or what follows a configuration that it was given when it joined.
func (v *Viewer) lacks(it *item[packet]) []byte {
	p := it.value
	if p.config > 0 && (v.opened == it.seq+1 || slices.Equal(v.sent, it.tracks)) {
		return p.bytes[p.config:]
	}
	return p.bytes
}

// Advance says that the first n bytes of what Peek put into b have been sent. It tells whether a packet's end was among them.
func (v *Viewer) Advance(b *Batch, n int) (ended bool) {
	v.bytes.Add(uint64(n)) //nolint:gosec // n is not negative
	if len(b.parts) == 0 {
		v.rest = v.rest[n:]
		if len(v.rest) == 0 {
			v.rest = nil
		}
		return v.rest == nil
	}
	from := 0
	for _, p := range b.parts {
		if n <= from {
			break
		}
		v.take(p.it)
		if n < p.end {
			v.rest = slices.Clip(b.Bytes[n:p.end])
			break
		}
		from = p.end
	}
	return from > 0
}

func (v *Viewer) take(it *item[packet]) {
	if it.value.config > 0 && v.opened != it.seq+1 {
		v.sent = it.tracks
	}
	v.next = it.seq + 1
}

// Behind says whether there may be something for the viewer.
func (v *Viewer) Behind() bool {
	return len(v.rest) > 0 || v.next != v.ring.head.Load() || v.ring.ended.Load() != nil
}

// Ended is the cause with which what the viewer reads has ended, though there may be more for it to take, or nil.
func (v *Viewer) Ended() error {
	if cause := v.ring.ended.Load(); cause != nil {
		return *cause
	}
	return nil
}

// Between says whether the viewer has been sent whole packets only: something else may be put here.
func (v *Viewer) Between() bool { return len(v.rest) == 0 }

// open makes what a newcomer, or a viewer that has jumped, needs before the packet.
func (v *Viewer) open(it *item[packet]) {
	tracks := v.share.stream.outlook(it.tracks, it.dts)
	v.rest = v.share.open(it, tracks, v.sent)
	v.joined, v.sent, v.opened = true, tracks, it.seq+1
}

// opener is what was made for a newcomer. Those that come before the next key packet get the same.
type opener struct {
	seq    uint64
	tracks []*av.Track
	bytes  []byte
}

// open returns what a viewer needs before the packet that has the configuration of the tracks sent, nil for a newcomer.
func (sh *Share) open(it *item[packet], tracks, sent []*av.Track) []byte {
	if len(sent) > 0 {
		if slices.Equal(sent, tracks) {
			return nil
		}
		return sh.mux.Config(nil, tracks, sent, it.dts)
	}
	if o := sh.opener.Load(); o != nil && o.seq == it.seq && slices.Equal(o.tracks, tracks) {
		return o.bytes
	}
	b := sh.mux.Head(nil, tracks)
	b = slices.Clip(sh.mux.Config(b, tracks, nil, it.dts))
	sh.opener.Store(&opener{it.seq, tracks, b})
	return b
}

// adjacent says whether next lies directly behind b in the same chunk.
func adjacent(b, next []byte) bool {
	return len(b) < cap(b) && len(next) > 0 && &b[:len(b)+1][len(b)] == &next[0]
}

// Muxer is what makes the share's bytes: of its methods, only those that may be called from any goroutine are the caller's.
func (v *Viewer) Muxer() Muxer { return v.share.mux }

// Skips is how often the viewer had to jump forward.
func (v *Viewer) Skips() uint64 { return v.skips.Load() }

// Rejoin moves the viewer forward to the newest key unit, unless it was sent that one already: for one that has let
// time pass. What is left of a packet comes first all the same.
func (v *Viewer) Rejoin() {
	at := v.next
	v.needKey = false
	v.join()
	if !v.needKey {
		v.next = max(v.next, at)
	}
	v.joined = v.joined && v.next == at && !v.needKey // who waits for a key unit misses what comes before it
}

// Sent is how many bytes the viewer was sent.
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
