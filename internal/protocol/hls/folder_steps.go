package hls

import (
	"slices"
	"time"

	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// choose returns what is to be done next, or nil. What can be shown is shown, what is due goes, so that there is room, and then the next
// segment is written. Under mu, as all that follows.
func (m *mirror) choose(now time.Time) *operation {
	if m.gone {
		return nil
	}
	if !m.until.IsZero() && now.After(m.until) {
		return m.clear(now)
	}
	m.trim()
	for _, step := range []func(time.Time) *operation{m.show, m.remove, m.sweep, m.write} {
		if op := step(now); op != nil {
			return op
		}
	}
	return nil
}

// trim gives up segments that have waited for too long.
func (m *mirror) trim() {
	if m.newest == nil {
		return
	}
	wait := m.newest.Range(m.next, m.newest.Next())
	bytes := 0
	for _, s := range wait {
		bytes += s.Size
	}
	for len(wait) > behindMost || len(wait) > 1 && bytes > behindBytes {
		bytes -= wait[0].Size
		wait = wait[1:]
	}
	if len(wait) > 0 && wait[0].Number > m.next {
		m.lost += int(wait[0].Number - m.next) //nolint:gosec // they were cut since
		m.begin, m.next = wait[0].Number, wait[0].Number
	}
}

// pausing is what follows a failure to write: the next try is a while later.
func (m *mirror) pausing(now time.Time) { m.failed, m.pause = true, now.Add(againAfter) }

// in returns the name of a file, with that of its folder.
func (m *mirror) in(name string) string { return m.path + "/" + name }

// show writes the playlist of what is there, if that shows something new.
func (m *mirror) show(time.Time) *operation {
	e := m.newest
	if e == nil {
		return nil
	}
	all := e.Range(m.begin, m.next)
	next := shown{token: m.token, to: m.next, ended: e.Ended && m.next == e.Next()}
	for _, s := range all {
		next.span += s.Duration
	}
	if len(all) == 0 || m.shown.token == next.token && m.shown.to == next.to && m.shown.ended == next.ended {
		return nil
	}
	body := e.Plain(m.begin, m.next)
	return &operation{
		begin: func(done func(error)) error {
			return m.folder.Write(m.in(playlistOf(m.format)), [][]byte{body}, done)
		},
		done: func(now time.Time) {
			hold := m.hold(e)
			m.shown = next
			if m.token == next.token {
				m.retire(e, all, now.Add(hold))
			}
		},
		failed: m.pausing,
	}
}

// retire says of the files that are none of these segments when they are to go.
func (m *mirror) retire(e *segment.Edition, named []*segment.Segment, due time.Time) {
	stay := map[string]bool{}
	for _, s := range named {
		stay[e.SegmentName(s.Number)] = true
		if s.Init != nil {
			stay[e.InitName(s.Init.Number)] = true
		}
	}
	for i, f := range m.files {
		if f.due.IsZero() && !stay[f.name] {
			m.files[i].due = due
		}
	}
	extra := len(m.files) - keptMost
	m.files = slices.DeleteFunc(m.files, func(f kept) bool {
		if extra <= 0 || f.due.IsZero() {
			return false
		}
		extra--
		m.swept = false // it cannot be removed: it is found again
		return true
	})
}

// write writes the next segment, or the initialization section that it needs.
func (m *mirror) write(time.Time) *operation {
	e := m.newest
	if e == nil {
		return nil
	}
	wait := e.Range(m.next, e.Next())
	if len(wait) == 0 {
		return nil
	}
	s := wait[0]
	if s.Init != nil && !slices.ContainsFunc(m.files, func(f kept) bool { return f.name == e.InitName(s.Init.Number) && f.due.IsZero() }) {
		return m.file(e, e.InitName(s.Init.Number), [][]byte{s.Init.Data}, func() {})
	}
	var pieces [][]byte
	for _, p := range s.Parts {
		pieces = append(pieces, p.Data)
	}
	return m.file(e, e.SegmentName(s.Number), pieces, func() {
		if m.next == s.Number {
			m.next++
		}
	})
}

// file writes a file of the rendition. done is called under mu, unless another is copied by then.
func (m *mirror) file(e *segment.Edition, name string, pieces [][]byte, done func()) *operation {
	token := m.token
	return &operation{
		begin: func(told func(error)) error { return m.folder.Write(m.in(name), pieces, told) },
		done: func(now time.Time) {
			m.files = slices.DeleteFunc(m.files, func(f kept) bool { return f.name == name })
			if m.token != token { // nothing will name it
				m.files = append(m.files, kept{name, now.Add(m.hold(e))})
				return
			}
			m.files = append(m.files, kept{name: name})
			done()
		},
		failed: m.pausing,
	}
}

// remove removes what is due.
func (m *mirror) remove(now time.Time) *operation {
	if now.Before(m.tidy) {
		return nil
	}
	var names []string
	for _, f := range m.files {
		if !f.due.IsZero() && !now.Before(f.due) && len(names) < tidyMost {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return m.removal(names, nil, func(now time.Time) { m.tidy = now.Add(tidyAfter) })
}

// removal removes files of the stream, and then folders, and forgets them.
func (m *mirror) removal(names, folders []string, failed func(time.Time)) *operation {
	var paths []string
	for _, name := range names {
		paths = append(paths, m.in(name))
	}
	paths = append(paths, folders...)
	return &operation{
		begin: func(done func(error)) error { return m.folder.Remove(paths, done) },
		done: func(time.Time) {
			m.files = slices.DeleteFunc(m.files, func(f kept) bool { return !f.due.IsZero() && slices.Contains(names, f.name) })
		},
		failed: failed,
	}
}

// sweep removes what an earlier process has left. That waits until there is a playlist that names none of it, unless there is no room for that.
func (m *mirror) sweep(now time.Time) *operation {
	if m.swept || now.Before(m.tidy) || m.shown.token != m.token && !m.failed {
		return nil
	}
	known := map[string]bool{playlistOf(m.format): true}
	for _, f := range m.files {
		known[f.name] = true
	}
	format, removed := m.format, 0
	unwanted := func(name string, temporary bool) bool {
		return oursOf(format, name) && (temporary || !known[name])
	}
	return &operation{
		begin: func(done func(error)) error {
			return m.folder.Sweep(m.path, unwanted, func(n int, err error) { removed = n; done(err) })
		},
		done:   func(time.Time) { m.swept = removed == 0 },
		failed: func(now time.Time) { m.tidy = now.Add(tidyAfter) },
	}
}

// clear removes all: the playlist first, at last the folders.
func (m *mirror) clear(now time.Time) *operation {
	if len(m.files) == 0 && m.shown == (shown{}) && !m.failed || now.Sub(m.until) > giveUp {
		m.gone = true
		return nil
	}
	names := []string{playlistOf(m.format)}
	for i := range m.files {
		m.files[i].due = now
		if len(names) <= tidyMost {
			names = append(names, m.files[i].name)
		}
	}
	var folders []string
	last := len(names) > len(m.files)
	if last {
		folders = emptied(m.path)
	}
	op := m.removal(names, folders, func(now time.Time) { m.pause = now.Add(againAfter) })
	forget := op.done
	op.done = func(now time.Time) {
		forget(now)
		m.shown = shown{}
		if last && !m.until.IsZero() {
			m.gone = true
		}
	}
	return op
}
