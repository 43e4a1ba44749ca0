package mpegts

import (
	"bytes"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// single emits a unit of one element, a copy of b.
func (d *Demuxer) single(e *elementary, b []byte, at time.Duration) error {
	u := av.NewUnit(1)
	u.Key, u.Data = true, append(u.Data, bytes.Clone(b))
	u.PTS, u.DTS = at, at
	return d.put(e, u)
}

// put gives u its track and emits it.
func (d *Demuxer) put(e *elementary, u *av.AccessUnit) error {
	u.Track = e.track
	u.Held = u.Size() + elementSize*cap(u.Data) + unitOverhead
	if e.held != e.track { // lest a track that changes with every unit be had for nothing
		e.held = e.track
		u.Held += trackSize(e.track)
	}
	if err := d.emit(u); err != nil {
		return &emitError{err}
	}
	return nil
}

// trackSize is the memory that a track takes, in bytes.
func trackSize(t *av.Track) int {
	n := trackOverhead + len(t.Config) + elementSize*cap(t.Sets)
	for _, s := range t.Sets {
		n += len(s)
	}
	return n
}

// picture emits a picture of H.264 or H.265. Parameter sets go to the track, access unit delimiters say nothing that the unit does not.
func (d *Demuxer) picture(e *elementary, b []byte, t stamps) error {
	defer func() {
		clear(e.nals)
		e.nals = e.nals[:0]
	}()
	if e.nals = splitNALs(e.nals[:0], b); len(e.nals) > elementsMax {
		return errTooMany
	}
	if err := d.update(e); err != nil {
		d.fail(err) // the track stays what it is
	}
	count, size, picture, key := 0, 0, false, false
	for _, n := range e.nals {
		kind := nal.KindOf(e.codec, n)
		picture, key = picture || kind.IsPicture(), key || kind == nal.Key || nal.Recovers(e.codec, n)
		if !kind.IsSet() && kind != nal.Delimiter {
			count, size = count+1, size+len(n)
		}
	}
	if !picture || e.track == nil || e.need && !key {
		return nil
	}
	e.need = false
	u := av.NewUnit(count)
	u.Key, u.PTS, u.DTS = key, mediaTime(t.pts), mediaTime(t.dts)
	memory := make([]byte, 0, size)
	for _, n := range e.nals {
		if kind := nal.KindOf(e.codec, n); kind.IsSet() || kind == nal.Delimiter {
			continue
		}
		at := len(memory)
		memory = append(memory, n...)
		u.Data = append(u.Data, memory[at:len(memory):len(memory)])
	}
	return d.put(e, u)
}

// update takes the parameter sets of the picture.
func (d *Demuxer) update(e *elementary) error {
	sets, changed := e.sets.Share(), false
	for _, b := range e.nals {
		news, err := sets.Put(e.codec, b)
		if err != nil {
			return err
		}
		changed = changed || news
	}
	if !changed {
		return nil
	}
	t, err := sets.Track(e.id, e.codec)
	if err != nil {
		return fmt.Errorf("parameter sets: %w", err)
	}
	e.sets = sets
	if t == nil {
		return nil
	}
	return e.adopt(t, nil)
}

// splitNALs appends the NAL units of a byte stream (H.264 and H.265, annex B), of which there may be one too many for the limit. What is
// before the first start code is none.
func splitNALs(dst [][]byte, b []byte) [][]byte {
	code := []byte{0, 0, 1}
	at := bytes.Index(b, code)
	for at >= 0 && len(dst) <= elementsMax {
		b = b[at+len(code):]
		n := b
		if at = bytes.Index(b, code); at >= 0 {
			n = b[:at]
		}
		if n = bytes.TrimRight(n, "\x00"); len(n) > 0 {
			dst = append(dst, n)
		}
	}
	return dst
}
