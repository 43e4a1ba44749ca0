package stream

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// Muxer turns units into the bytes of one format, the same for all its viewers. Head and Config depend on their
// arguments only and may be called from any goroutine; Unit is called for each unit in order, by one
// goroutine at a time, and may keep state. All append to dst and return it. None does I/O or waits.
//
// A muxer that may have to give up also has a method Err() error. It is asked after each call of Unit, and of Config where that was for
// what the share gets next. An error ends the share: its viewers get what is there already, and then that error, as it is; so does whoever
// wants to be the first viewer, if it comes while the share is filled back. The next viewer makes another share, with another muxer. Config
// may run for newcomers at the same time: what it notes for Err it must note safely, and Err is not asked after that.
type Muxer interface {
	// Head appends what a viewer gets first, once: a file header.
	Head(dst []byte, tracks []*av.Track) []byte
	// Config appends what a decoder needs before the first unit of tracks. prev are the tracks that the viewer has had
	// the configuration of, nil for a newcomer; at is the time of the unit that follows.
	//
	// This is also the mark of a splice. When another publisher goes on with the stream, Config is called before its first unit, with
	// a prev that is not empty and of which no track is among tracks, even where a track's parameters are the same: what
	// follows does not continue what was before, though the time does. A format that marks discontinuities does so here.
	Config(dst []byte, tracks, prev []*av.Track, at time.Duration) []byte
	// Unit appends a unit, or nothing if the format does not carry its track.
	Unit(dst []byte, tracks []*av.Track, u *av.AccessUnit) []byte
}

const (
	chunkSize    = 256 << 10 // packets are cut out of chunks of this size, so that neighbours are contiguous
	chunkSizeMin = 16 << 10  // the first chunk of a share
	chunksMin    = 8         // that a ring's bound has room for while memory is short: of a chunk is kept all or nothing
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
	wakers atomic.Pointer[[]Waker]
	opener atomic.Pointer[opener] // of the newest newcomer

	// Under the stream's mu.
	tracks    []*av.Track // of the newest packet
	chunk     []byte
	nextChunk int  // bytes
	chunkMost int  // bytes, unless a packet needs more
	start     bool // a viewer may start at the next packet: the key unit before it is of a track that the format lacks
	viewers   int
	idle      time.Time // since when nobody watches
}

// Waker is told when a share has grown: by whoever sends its bytes to viewers.
type Waker interface {
	// Wake says that at now the share got a packet, or its end. prompt says that it should not wait for company: it is a
	// picture, or the end. Wake is called on the publisher's goroutine, without a lock, and must not wait.
	Wake(now time.Time, prompt bool)
}

// subscribe adds a waker, until the function that it returns is called.
func (sh *Share) subscribe(w Waker) (cancel func()) {
	change := func(f func([]Waker) []Waker) {
		sh.stream.mu.Lock()
		defer sh.stream.mu.Unlock()
		next := f(slices.Clone(*sh.wakers.Load()))
		sh.wakers.Store(&next)
	}
	change(func(all []Waker) []Waker { return append(all, w) })
	return func() {
		change(func(all []Waker) []Waker {
			return slices.DeleteFunc(all, func(o Waker) bool { return o == w })
		})
	}
}

// wake tells the wakers. Not under mu.
func (sh *Share) wake(now time.Time, prompt bool) {
	for _, w := range *sh.wakers.Load() {
		w.Wake(now, prompt)
	}
}

// end makes viewers that have taken everything get cause. Not under mu.
func (sh *Share) end(cause error) {
	sh.ring.end(cause)
	sh.wake(time.Now(), true)
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
		sh = &Share{stream: s, key: key, mux: mux(), ring: newRing[packet](s.opt), nextChunk: chunkSizeMin, chunkMost: chunkSize}
		sh.ring.read.Store(true)
		sh.wakers.Store(&[]Waker{})
		sh.squeeze(s.squeezed)
		if err := sh.fill(); err != nil {
			return nil, err
		}
		s.shares[key] = sh
		s.publishShares()
	}
	sh.viewers++
	v := &Viewer{cursor: cursor[packet]{ring: sh.ring}, share: sh}
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

// writeShares muxes a unit for each active share. It drops those that nobody has watched for long, and those whose
// muxer failed, which it returns. Under mu.
func (s *Stream) writeShares(it *item[*av.AccessUnit]) (failed []*Share) {
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
			failed = append(failed, sh)
			dropped = true
		}
	}
	if dropped {
		s.publishShares()
	}
	return failed
}

func (s *Stream) publishShares() {
	active := make([]*Share, 0, len(s.shares))
	for _, sh := range s.shares {
		active = append(active, sh)
	}
	s.active.Store(&active)
}

// write muxes one unit into the ring of bytes. A muxer that panics, or says that it failed, costs its share, never the publisher. Under mu.
func (sh *Share) write(it *item[*av.AccessUnit]) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", ErrMuxer, v)
		}
	}()
	b := sh.room(it.value.Size())
	if !slices.Equal(it.tracks, sh.tracks) {
		b = sh.mux.Config(b, it.tracks, sh.tracks, it.dts)
		sh.tracks = it.tracks
		if err = sh.err(); err != nil {
			return err
		}
	}
	config := len(b)
	b = sh.mux.Unit(b, it.tracks, it.value)
	if err = sh.err(); err != nil {
		return err
	}
	sh.start = sh.start || it.key
	if len(b) == 0 {
		return nil
	}
	b = sh.store(b)
	if it.value.Track.Kind() == av.Video && cap(sh.chunk)-len(sh.chunk) < min(2*len(b), sh.chunkMost/4) {
		sh.chunk = nil // what goes with the next picture would be cut in two, and sent with two system calls
	}
	sh.ring.append(item[packet]{
		value:  packet{bytes: b, config: config},
		tracks: it.tracks, dts: it.dts, at: it.at, size: len(b), key: sh.start,
	})
	sh.start = false
	return nil
}

// err is why the muxer has given up, or nil. Under mu.
func (sh *Share) err() error {
	if m, ok := sh.mux.(interface{ Err() error }); ok {
		return m.Err()
	}
	return nil
}

// room returns the free end of the current chunk, of no length, for the packet of a unit of the given size. Where it seems too
// small it is that of a new chunk.
func (sh *Share) room(size int) []byte {
	const overhead = 512 // and a sixteenth: what formats put around the payload
	if cap(sh.chunk)-len(sh.chunk) < size+size/16+overhead {
		sh.renew(size + size/16 + overhead)
	}
	return sh.chunk[len(sh.chunk):]
}

// renew begins a chunk with room for size bytes at least.
func (sh *Share) renew(size int) {
	sh.chunk = make([]byte, 0, max(sh.nextChunk, size))
	sh.nextChunk = min(2*sh.nextChunk, sh.chunkMost)
}

// squeeze bounds the ring of bytes to that many, and the chunks with it; 0: as the options say. Under mu.
func (sh *Share) squeeze(bytes int64) {
	sh.ring.squeeze(bytes)
	sh.chunkMost = chunkSize
	if bytes > 0 {
		sh.chunkMost = int(min(max(bytes/chunksMin, chunkSizeMin), chunkSize))
	}
	sh.nextChunk = min(sh.nextChunk, sh.chunkMost)
}

// store makes what was appended to room a part of the chunk. If it did not fit there, it lies elsewhere, and is copied to a
// new chunk. Bytes that are stored never change.
func (sh *Share) store(b []byte) []byte {
	from := len(sh.chunk)
	if free := sh.chunk[from:]; len(b) > cap(free) || &free[:1][0] != &b[0] {
		sh.renew(len(b))
		from = 0
		copy(sh.chunk[:len(b)], b)
	}
	sh.chunk = sh.chunk[:from+len(b)]
	return sh.chunk[from:]
}
