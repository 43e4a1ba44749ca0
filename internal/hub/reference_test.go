package hub

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// reference is what the hub ought to be, told without locks, goroutines and streams: the model test compares the hub with it. Errors
// are the kinds that the hub's wrap.
type reference struct {
	cfg     PublishConfig
	limits  LimitsConfig
	permits map[string]Permit // what the authorizer answers, by query: others are denied; nil: there is no authorizer

	now     int64         // the hub's clock
	wall    time.Duration // the other one
	paths   map[Key]*refPath
	pubs    []*refPub // that count as sessions
	views   []*refView
	known   map[attempt]refVerdict
	renames map[attempt]*refPub // the newest that the authorizer gave another key, by what they asked for
	asked   int                 // questions to the authorizer
	closed  bool
	counts  Figures
	seen    map[string]uint64 // how often what has come

	told []*refPub // whose contest has been decided just now
}

type refPath struct {
	live      *refLive
	owner     *refPub
	standby   *refPub
	rivals    []*refPub
	displaced []int64
	held      int64
}

// refLive is a broadcast.
type refLive struct {
	ready   bool
	viewers int
	idle    int64
	told    bool
	until   int64
	over    bool  // its owner left for good
	lapsed  bool  // viewers wait for another
	end     error // why it has ended; nil: it has not
}

type stage int

const (
	rivals stage = iota
	standsBy
	owns
	over
)

type refPub struct {
	id, query, identity string
	asked               attempt
	key                 Key
	policy              Policy
	stage               stage
	owned               bool // its key, now or earlier
	started             bool // with a key unit
	progress, deadline  int64
	usual               int64 // between units
	begun               bool  // a unit has come
	cause               error // with which its context has ended; nil: it has not
	ended               int64 // when
	refused             error // why it did not get the key
}

type refView struct {
	id     string
	key    Key
	live   *refLive
	kicked bool
	ended  int64 // when it was
}

type refVerdict struct {
	at     time.Duration
	query  string
	permit Permit
	err    error
	owner  *refPub
}

var errPeer, errDone = errors.New("connection reset"), errors.New("the encoder has stopped")

func (r *reference) end(p *refPub, cause error) {
	if p.cause == nil {
		p.cause, p.ended = cause, r.now
		r.seen[Reason(cause)]++
	}
}

func (r *reference) ownerOf(k Key) *refPub {
	if path := r.paths[k]; path != nil {
		return path.owner
	}
	return nil
}

func (r *reference) wellFor(p *refPub, d time.Duration) bool { return r.now-p.progress <= int64(d) }

// well is about stalls: a second, or thrice what is usual for the publisher.
func (r *reference) well(p *refPub) bool {
	return r.wellFor(p, max(time.Second, 3*time.Duration(p.usual)))
}

// moved is for a unit of p.
func (r *reference) moved(p *refPub) {
	switch gap := r.now - p.progress; {
	case gap == 0 || !p.begun:
	case p.usual == 0:
		p.usual = gap
	default:
		p.usual += (gap - p.usual) / 4
	}
	p.progress, p.begun = r.now, true
}

func (r *reference) wellOwned(p *refPub) bool {
	return p != nil && p.stage == owns && p.cause == nil && r.well(p)
}

// publish says what becomes of p: nothing (it rivals), an error, or that it was let in.
func (r *reference) publish(p *refPub) error {
	permit, err := r.permit(p)
	if err != nil {
		return err
	}
	p.key, p.policy, p.identity = p.asked.key, permit.OnConflict, permit.Identity
	if permit.Key != (Key{}) {
		p.key = permit.Key
	}
	if p.policy == "" {
		p.policy = r.policyFor(p.key)
	}
	p.progress = r.now
	if err = r.claim(p); err != nil || p.stage != rivals {
		r.settle(p, err)
	}
	return err
}

func (r *reference) policyFor(k Key) Policy {
	if p, ok := r.cfg.Conflicts[k.App+"/"+k.Name[:1]+"*"]; ok { // the only form that the model test has
		return p
	}
	return r.cfg.OnConflict
}

func (r *reference) recent(t attempt) (refVerdict, bool) {
	v, ok := r.known[t]
	return v, ok && r.wall-v.at < time.Second
}

func (r *reference) permit(p *refPub) (Permit, error) {
	v, known := r.recent(p.asked)
	switch {
	case known && v.err != nil:
		return Permit{}, v.err
	case known && r.wellOwned(v.owner):
		return Permit{}, ErrBusy
	case known && v.query == p.query:
		return v.permit, nil
	case known:
		return Permit{}, ErrLimit
	case r.permits == nil && r.policyFor(p.asked.key) == Reject && r.wellOwned(r.ownerOf(p.asked.key)):
		return Permit{}, ErrBusy
	}
	instead := r.ownerOf(p.asked.key)
	if before := r.renames[p.asked]; before != nil {
		instead = before
	}
	if err := r.room(p, instead); err != nil {
		return Permit{}, err
	}
	v = refVerdict{at: r.wall, query: p.query}
	if r.permits != nil {
		r.asked++
		var ok bool
		if v.permit, ok = r.permits[p.query]; !ok {
			v.err = ErrDenied
		}
	}
	if p.asked.addr.IsValid() {
		r.known[p.asked] = v
	}
	return v.permit, v.err
}

// settle remembers how an attempt ended.
func (r *reference) settle(p *refPub, err error) {
	if err == nil {
		delete(r.known, p.asked)
	} else if v, ok := r.recent(p.asked); ok && errors.Is(err, ErrBusy) {
		v.owner = r.ownerOf(p.key)
		r.known[p.asked] = v
	}
}

func (r *reference) claim(p *refPub) error {
	path := r.paths[p.key]
	if path == nil {
		path = &refPath{}
	}
	terms := Takeover
	if o := path.owner; o != nil {
		if terms = p.policy; p.identity != "" && p.identity == o.identity {
			terms = Takeover
		}
		if terms == Takeover && p.identity != "" && p.identity == o.identity || o.cause != nil {
			terms = Takeover
		} else if terms == Takeover && r.now < path.held {
			terms = Challenge
		}
	}
	taken := path.standby != nil && r.well(path.standby) &&
		(p.identity == "" || p.identity != path.standby.identity)
	former := slices.IndexFunc(path.rivals, func(o *refPub) bool {
		return o.asked.addr.IsValid() && o.asked.addr == p.asked.addr
	})
	if terms == Reject || terms == Standby && taken || terms == Challenge && former < 0 && len(path.rivals) >= rivalsMax {
		if !r.well(path.owner) {
			r.counts.Ghosts++
		}
		return ErrBusy
	}
	instead := path.owner
	if terms == Standby {
		instead = path.standby
	}
	if err := r.room(p, instead); err != nil {
		return err
	}
	r.pubs = append(r.pubs, p)
	if p.key != p.asked.key {
		r.renames[p.asked] = p
	}
	r.paths[p.key] = path
	switch terms {
	case Standby:
		if path.standby != nil {
			r.free(path.standby, ErrReplaced, false)
		}
		p.stage, path.standby = standsBy, p
	case Challenge:
		r.counts.Challenges++
		p.stage, p.deadline = rivals, r.now+int64(r.cfg.ChallengeTimeout+tick)
		if former < 0 {
			path.rivals = append(path.rivals, p)
			break
		}
		r.seen["took its own place"]++
		o := path.rivals[former]
		p.deadline, path.rivals[former] = o.deadline, p
		o.refused = ErrBusy
		r.forget(o)
		r.told = append(r.told, o)
	case Takeover, Reject:
		if o := path.owner; o != nil && o.cause == nil && r.well(o) && (p.identity == "" || p.identity != o.identity) {
			r.displace(path)
		}
		r.install(path, p)
	}
	return nil
}

// room says whether there is room for p, if one session ends instead, or nil.
func (r *reference) room(p, instead *refPub) error {
	if r.closed {
		return ErrClosing
	}
	all, same := 0, 0
	for _, o := range r.pubs {
		if o == instead {
			continue
		}
		all++
		if o.asked.addr == p.asked.addr {
			same++
		}
	}
	if all >= r.limits.Publishers || same >= r.limits.PublishersPerAddress {
		return ErrLimit
	}
	return nil
}

// displace notes a change of owners. The fourth within 30 s is a duel.
func (r *reference) displace(path *refPath) {
	path.displaced = slices.DeleteFunc(path.displaced, func(at int64) bool { return r.now-at > int64(30*time.Second) })
	if path.displaced = append(path.displaced, r.now); len(path.displaced) > 3 {
		path.displaced, path.held = nil, r.now+int64(30*time.Second)
		r.counts.Duels++
	}
}

func (r *reference) install(path *refPath, p *refPub) {
	switch old := path.owner; {
	case old != nil:
		r.counts.Takeovers++
		old.stage = over
		if old.started {
			path.live.until = 0
		}
		r.end(old, ErrReplaced)
	case path.live != nil:
		if path.live.lapsed {
			r.counts.Resumes++
		}
	default:
		path.live = &refLive{}
	}
	path.live.lapsed = false
	path.live.idle, path.live.told = r.now, false
	if path.standby == p {
		r.seen["stepped in"]++
		path.standby = nil
	}
	p.stage, p.owned, p.progress, path.owner = owns, true, r.now, p
	for _, rival := range path.rivals {
		rival.deadline = r.now + int64(r.cfg.ChallengeTimeout+tick)
	}
}

// refuse refuses all rivals.
func (r *reference) refuse(path *refPath, err error) {
	for _, p := range path.rivals {
		p.refused = err
		r.forget(p)
		r.told = append(r.told, p)
	}
	path.rivals = nil
}

// forget is for one that is no session any more.
func (r *reference) forget(p *refPub) {
	r.pubs = slices.DeleteFunc(r.pubs, func(o *refPub) bool { return o == p })
	p.stage = over
	if r.renames[p.asked] == p {
		delete(r.renames, p.asked)
	}
}

func (r *reference) crown(path *refPath) {
	r.seen["crowned"]++
	p := path.rivals[0]
	path.rivals = path.rivals[1:]
	r.install(path, p)
	r.told = append(r.told, p)
}

// vacate takes the key from the owner. why is what viewers are told if that is the end of it.
func (r *reference) vacate(path *refPath, why error, clean bool) {
	p, live := path.owner, path.live
	p.stage, path.owner = over, nil
	r.end(p, why)
	window := r.cfg.ResumeWindow
	live.over = clean || window == 0
	if path.standby != nil {
		window = max(window, r.cfg.MaxSilence)
	}
	if live.until == 0 || p.started {
		live.until = r.now + int64(window+tick)
	}
	switch {
	case len(path.rivals) > 0:
		r.crown(path)
	case path.standby == nil && (live.over || live.viewers == 0 || !live.ready):
		r.finish(path, why)
	case live.viewers > 0:
		live.lapsed = true
		r.counts.Lapses++
	}
}

func (r *reference) finish(path *refPath, why error) { path.live.end, path.live = why, nil }

// free takes from p what it has of its key.
func (r *reference) free(p *refPub, why error, clean bool) {
	path := r.paths[p.key]
	switch {
	case path == nil:
	case path.owner == p:
		r.vacate(path, why, clean)
	case path.standby == p:
		r.end(p, why)
		path.standby, p.stage = nil, over
		if path.owner == nil && path.live != nil && path.live.over {
			r.finish(path, ErrUnpublished)
		}
	}
}

// leave is Release, or Finish.
func (r *reference) leave(p *refPub, clean bool) {
	r.end(p, errDone)
	r.free(p, ErrUnpublished, clean)
	r.forget(p)
}

// vanish is the end of the session's context. Whoever has a lease keeps it until it is released, or silent for too long.
func (r *reference) vanish(p *refPub, cause error) {
	r.end(p, cause)
	if path := r.paths[p.key]; path != nil && p.stage == rivals {
		path.rivals = slices.DeleteFunc(path.rivals, func(o *refPub) bool { return o == p })
		p.refused = cause
		r.forget(p)
	}
}

// stepsIn says whether the next unit of one that stands by makes it the owner.
func (r *reference) stepsIn(p *refPub, key bool) bool {
	path := r.paths[p.key]
	return p.stage == standsBy && p.cause == nil && key && (path.owner == nil || !r.well(path.owner))
}

// write is a picture. It says what the writer gets to hear.
func (r *reference) write(p *refPub, key bool) error {
	if p.stage == standsBy && p.cause == nil {
		if r.moved(p); !r.stepsIn(p, key) {
			return nil
		}
		r.install(r.paths[p.key], p)
	}
	if p.stage != owns {
		if p.owned {
			r.counts.Fenced++
		}
		return p.cause
	}
	if p.started = p.started || key; !p.started {
		return nil
	}
	path := r.paths[p.key]
	path.live.ready = true
	r.moved(p)
	r.refuse(path, ErrBusy)
	return nil
}

// kick ends a session.
func (r *reference) kick(id string) {
	for _, p := range slices.Clone(r.pubs) {
		if p.id == id {
			r.vanish(p, ErrKicked)
			r.free(p, ErrKicked, true)
		}
	}
	for _, v := range r.views {
		r.kickView(v, v.id == id)
	}
}

func (r *reference) kickView(v *refView, meant bool) {
	if meant && !v.kicked {
		v.kicked, v.ended = true, r.now
	}
}

// kill ends a stream and says whether there was anybody.
func (r *reference) kill(k Key) (found bool) {
	for _, p := range r.pubs {
		found = found || p.key == k
	}
	if path := r.paths[k]; path != nil {
		found = found || path.live != nil
		r.clear(path, ErrKicked)
	}
	for _, p := range r.pubs {
		if p.key == k {
			r.end(p, ErrKicked)
		}
	}
	for _, v := range r.views {
		found = found || v.key == k
		r.kickView(v, v.key == k)
	}
	return found
}

func (r *reference) clear(path *refPath, why error) {
	r.refuse(path, why)
	if path.standby != nil {
		r.free(path.standby, why, true)
	}
	if path.owner != nil {
		r.vacate(path, why, true)
	}
	if path.live != nil {
		r.finish(path, why)
	}
}

func (r *reference) close() {
	r.closed = true
	for _, path := range r.paths {
		r.clear(path, ErrClosing)
	}
}

// play says whether a viewer is let in at once.
func (r *reference) play(v *refView) error {
	path := r.paths[v.key]
	switch {
	case r.closed:
		return ErrClosing
	case len(r.views) >= r.limits.Viewers:
		return ErrLimit
	case path == nil || path.live == nil:
		return ErrNotFound
	}
	v.live = path.live
	v.live.viewers++
	v.live.told = false
	r.views = append(r.views, v)
	return nil
}

func (r *reference) stop(v *refView) {
	r.views = slices.DeleteFunc(r.views, func(o *refView) bool { return o == v })
	if v.live.viewers--; v.live.viewers == 0 {
		v.live.idle = r.now
		if path := r.paths[v.key]; path != nil && path.live == v.live && path.owner == nil && path.standby == nil {
			r.finish(path, ErrUnpublished)
		}
	}
}

// judge is a tick of the hub's clock.
func (r *reference) judge() {
	r.wall += tick
	r.now += int64(tick)
	for _, path := range r.paths {
		if s := path.standby; s != nil && !r.wellFor(s, r.cfg.MaxSilence) {
			r.free(s, ErrSilent, false)
		}
		if len(path.rivals) > 0 && r.now >= path.rivals[0].deadline {
			r.crown(path)
		}
		if path.owner != nil && !r.wellFor(path.owner, r.cfg.MaxSilence) {
			r.vacate(path, ErrSilent, false)
		}
		if path.live != nil && path.owner == nil && r.now >= path.live.until {
			r.finish(path, ErrUnpublished)
		}
		if l := path.live; l != nil && path.owner != nil && l.viewers == 0 && !l.told && r.now-l.idle >= int64(r.cfg.IdleDelay+tick) {
			l.told = true
			if r.cfg.CloseIdle {
				r.vacate(path, ErrUnwatched, true)
			}
		}
	}
}

// tidy does what follows from a step: those who waited for an outcome go their ways, names that nobody needs are forgotten.
func (r *reference) tidy() (decided []*refPub) {
	decided, r.told = r.told, nil
	for _, p := range decided {
		if p.refused != nil {
			r.end(p, p.refused)
		}
		r.settle(p, p.refused)
	}
	for k, p := range r.paths {
		if p.live == nil && p.owner == nil && p.standby == nil && len(p.rivals) == 0 {
			delete(r.paths, k)
		}
	}
	return decided
}

func (p *refPub) String() string { return fmt.Sprintf("%s of %v, stage %d", p.id, p.key, p.stage) }
