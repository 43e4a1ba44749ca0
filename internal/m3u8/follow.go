package m3u8

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// target is a piece that is to be fetched.
type target struct {
	segment *Segment
	part    int // -1: whole
}

// start chooses where to begin (6.3.3). It returns false while there is nothing.
func (p *Player) start() bool {
	m := p.now.Media
	all := p.places()
	if len(all) == 0 {
		return false
	}
	chosen := all[0]
	if !p.o.FromStart && !m.Ended {
		back := 3 * m.TargetDuration
		if c := m.Control; c != nil && c.HoldBack > 0 {
			back = c.HoldBack
		}
		if c := m.Control; p.o.LowLatency && c != nil && c.PartHoldBack > 0 && m.PartTarget > 0 {
			back = c.PartHoldBack
		}
		for _, place := range all {
			if place.entry && place.end >= back {
				chosen = place
			}
		}
	}
	p.msn, p.part, p.begun = chosen.msn, max(chosen.part, 0), true
	return true
}

// place is where a player may begin.
type place struct {
	msn   int64
	part  int
	entry bool          // decoding can begin there
	end   time.Duration // from its beginning to the end of the playlist
}

// places lists what can be fetched now.
func (p *Player) places() []place {
	var all []place
	var at time.Duration
	each(p.now.Media, func(s *Segment) {
		if p.o.LowLatency && len(s.Parts) > 0 {
			begin := at
			for i := range s.Parts {
				all = append(all, place{s.MSN, i, s.Parts[i].Independent || i == 0 && p.now.IndependentSegments, begin})
				begin += s.Parts[i].Duration
			}
		} else if s.URI != "" {
			all = append(all, place{s.MSN, -1, true, at})
		}
		if s.URI != "" {
			at += s.Duration
		} else {
			at += s.sum()
		}
	})
	for i := range all {
		all[i].end = at - all[i].end
	}
	return all
}

// pick finds the next piece in the newest playlist. What is gone is missed.
func (p *Player) pick() (target, bool) {
	for {
		m := p.now.Media
		for p.msn < m.MediaSequence {
			if m.MediaSequence-p.msn > problemsMax {
				p.miss(p.msn, -1, strconv.FormatInt(m.MediaSequence-p.msn, 10)+" segments from here on are no longer in the playlist")
				p.msn = m.MediaSequence
			} else {
				p.miss(p.msn, -1, "no longer in the playlist")
				p.msn++
			}
			p.part = 0
		}
		s := m.Segment(p.msn)
		switch {
		case p.msn > m.Last()+1:
			p.miss(p.msn, -1, "the playlist went back, playing begins anew")
			p.begun = false
			return target{}, false
		case s == nil:
			return target{}, false
		case p.o.LowLatency && p.part < len(s.Parts):
			return target{s, p.part}, true
		case s.URI == "":
			return target{}, false
		case p.part > 0 && len(s.Parts) == 0:
			p.miss(p.msn, -1, "its parts are no longer in the playlist")
		case p.part == 0:
			return target{s, -1}, true
		}
		p.msn, p.part = p.msn+1, 0
	}
}

// reload gets the next version of the playlist, when it is time for it.
func (p *Player) reload(ctx context.Context) error {
	if p.address == "" {
		return p.first(ctx)
	}
	m := p.now.Media
	query := url.Values{}
	if c := m.Control; c != nil && c.CanBlockReload && !p.o.NoBlock {
		msn, part := m.Edge()
		switch {
		case !p.o.LowLatency || m.PartTarget == 0:
			query.Set("_HLS_msn", strconv.FormatInt(m.Last()+1, 10))
		case msn == m.Last():
			query.Set("_HLS_msn", strconv.FormatInt(msn+1, 10))
			query.Set("_HLS_part", "0")
		default:
			query.Set("_HLS_msn", strconv.FormatInt(msn, 10))
			query.Set("_HLS_part", strconv.Itoa(part+1))
		}
	} else {
		pause := m.TargetDuration // 6.3.4
		if !p.changed {
			pause /= 2
		}
		if err := wait(ctx, time.Until(p.asked.Add(max(pause, time.Millisecond)))); err != nil {
			return err
		}
	}
	if c := m.Control; c != nil && c.CanSkipUntil > 0 && !p.o.NoDelta && time.Since(p.at) < c.CanSkipUntil/2 {
		query.Set("_HLS_skip", "YES")
	}
	return p.load(ctx, p.address, query)
}

// first gets the playlist, and through a Multivariant Playlist the one that it leads to.
func (p *Player) first(ctx context.Context) error {
	for range 2 {
		address := p.root
		if p.multi != nil {
			var err error
			if address, err = p.choose(); err != nil {
				return err
			}
		}
		if err := p.load(ctx, address, nil); err != nil || p.now != nil {
			return err
		}
	}
	return errors.New("m3u8: a Multivariant Playlist in a Multivariant Playlist")
}

func (p *Player) choose() (string, error) {
	m, i := p.multi.Multivariant, 0
	if p.o.Variant != nil {
		i = p.o.Variant(m)
	}
	if i < 0 || i >= len(m.Variants) {
		return "", errors.New("m3u8: no variant to play")
	}
	return p.resolve(m.Variants[i].URI)
}

func (p *Player) resolve(uri string) (string, error) {
	u, err := p.base.Parse(uri)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// load gets a playlist and takes it in.
func (p *Player) load(ctx context.Context, address string, query url.Values) error {
	full, err := withQuery(address, query)
	if err != nil {
		return err
	}
	timeout := p.o.Timeout
	if p.now != nil && query.Has("_HLS_msn") {
		timeout = max(timeout, 4*p.now.Media.TargetDuration)
	}
	asked := time.Now()
	a, err := p.get(ctx, request{url: full, limit: PlaylistMax, gzip: !p.o.NoGzip, timeout: timeout})
	if err != nil {
		return err
	}
	switch {
	case a.code == http.StatusServiceUnavailable && p.now != nil && p.refusals < refusalsMax:
		p.refusals++
		return wait(ctx, p.now.Media.TargetDuration/2)
	case a.code != http.StatusOK:
		p.refusals = 0
		return &StatusError{full, a.code}
	}
	p.refusals = 0
	at := time.Now()
	before := p.history.Playlist()
	list, problems := p.history.Add(Response{
		Asked: asked, At: at, URL: full, Gzip: !p.o.NoGzip, Header: a.header, Body: a.body,
	})
	p.report(problems)
	p.stats.Playlists++
	switch {
	case list == nil && query.Has("_HLS_skip"):
		query.Del("_HLS_skip") // 6.3.7
		return p.load(ctx, address, query)
	case list == nil:
		_, err := Parse(a.body)
		return err
	}
	p.base = a.url
	if list.Multivariant != nil {
		p.multi = list
		return nil
	}
	if strings.Contains(string(a.body), "#EXT-X-SKIP:") {
		p.stats.Deltas++
	}
	p.address, p.now, p.asked, p.at = address, list, asked, at
	p.changed = before == nil || newer(before.Media, list.Media)
	return nil
}

// newer says whether there is something new in a version.
func newer(old, now *Media) bool {
	a, i := old.Edge()
	b, j := now.Edge()
	return b > a || b == a && j > i || now.Ended != old.Ended
}

// withQuery adds parameters, in the order of their names (6.3.2).
func withQuery(address string, query url.Values) (string, error) {
	if len(query) == 0 {
		return address, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	all := u.Query()
	maps.Copy(all, query)
	u.RawQuery = all.Encode()
	return u.String(), nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
