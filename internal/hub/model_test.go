package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

const (
	modelSeeds = 2000
	modelSteps = 60
)

// The hub against a reference, in random order. A failure names its seed, which VIGIL_SEED=n repeats, and its last steps:
//
//	VIGIL_SEED=17 go test -run TestModel ./internal/hub
func TestModel(t *testing.T) {
	if text := os.Getenv("VIGIL_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		modelRun(t, seed, map[string]uint64{})
		return
	}
	var seen [2]map[string]uint64
	t.Run("seeds", func(t *testing.T) {
		for shard := range seen {
			seen[shard] = map[string]uint64{}
			t.Run(strconv.Itoa(shard), func(t *testing.T) {
				t.Parallel()
				for seed := shard; seed < modelSeeds && !t.Failed(); seed += len(seen) {
					modelRun(t, uint64(seed), seen[shard]) //nolint:gosec // not negative
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	for _, what := range []string{
		"takeovers", "challenges", "lapses", "resumes", "fenced", "duels", "ghosts", "crowned", "stepped in", "unwatched",
		"busy", "limit", "denied", "closing", "peer", "kicked", "replaced", "silent",
	} {
		if n := seen[0][what] + seen[1][what]; n < modelSeeds/20 {
			t.Errorf("%q has come %d times in %d seeds: the model does not prove much about it", what, n, modelSeeds)
		}
	}
}

// modelRun counts in seen what has come.
func modelRun(t *testing.T, seed uint64, seen map[string]uint64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, seed)
		if err := m.run(); err != nil {
			t.Errorf("VIGIL_SEED=%d: %v\n%s", seed, err, m.log)
		}
		m.shut()
		m.count(seen)
		if !t.Failed() {
			empty(t, m.hub)
			m.journal.check(t)
		}
		if t.Failed() {
			t.Errorf("VIGIL_SEED=%d", seed)
		}
	})
}

// model drives a hub and its reference.
type model struct {
	ref     *reference
	rnd     *rand.Rand
	hub     *Hub
	stop    func()
	life    context.Context
	die     context.CancelFunc
	journal *journal
	keys    []string
	queries []string
	pubs    []*modelPub // with a lease, or waiting for one
	views   []*modelView
	asked   int
	ids     int
	epochs  map[Key]uint64 // the newest of each
	origin  byte
	log     []byte
}

type modelPub struct {
	*refPub
	lease   *Lease
	cancel  context.CancelCauseFunc
	result  chan published
	epoch   uint64
	encoder *sim.Encoder
	unit    *av.AccessUnit // the next one
}

type published struct {
	lease *Lease
	err   error
}

type modelView struct {
	*refView
	v      *Viewing
	reader *stream.Reader
	check  sim.Checker
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0))
	cfg := config(func(c *Config) {
		c.Publish.Conflicts = map[string]Policy{"live/t*": Takeover, "live/r*": Reject, "live/s*": Standby}
		c.Publish.ChallengeTimeout = oneOf(rnd, 500*time.Millisecond, 2*time.Second)
		c.Publish.ResumeWindow = oneOf(rnd, 0, time.Second, 3*time.Second, 15*time.Second)
		c.Publish.MaxSilence = oneOf(rnd, time.Second, 2*time.Second, 5*time.Second)
		c.Publish.IdleDelay, c.Publish.CloseIdle = oneOf(rnd, 3*time.Second, 20*time.Second), rnd.IntN(3) == 0
		c.Play.Wait = 0
		c.Limits.Publishers, c.Limits.PublishersPerAddress, c.Limits.Viewers, c.Limits.RingUnits = 9, 5, 5, 64
	})
	m := &model{
		rnd: rnd, journal: &journal{}, queries: []string{""}, epochs: map[Key]uint64{},
		ref: &reference{
			cfg: cfg.Publish, limits: cfg.Limits, paths: map[Key]*refPath{}, known: map[attempt]refVerdict{}, renames: map[attempt]*refPub{}, seen: map[string]uint64{},
		},
	}
	for range 1 + rnd.IntN(3) {
		m.keys = append(m.keys, oneOf(rnd, "c", "c", "t", "r", "s")+strconv.Itoa(rnd.IntN(2)))
	}
	var auth Authorizer
	if rnd.IntN(2) == 0 {
		m.permits()
		permits := m.ref.permits
		auth = authorizer(func(_ context.Context, a Action, q Request) (Permit, error) {
			if a == ActionPlay {
				return Permit{}, nil
			}
			m.asked++ // one at a time: each step waits until nobody has anything to do
			if p, ok := permits[q.Query]; ok {
				return p, nil
			}
			return Permit{}, fmt.Errorf("%w: %q", ErrDenied, q.Query)
		})
	}
	m.hub = New(cfg, auth, m.journal)
	m.life, m.die = context.WithCancel(t.Context())
	m.stop = run(m.hub)
	synctest.Wait()
	time.Sleep(tick / 2) // whatever happens, happens between two ticks
	return m
}

// permits makes up what the authorizer answers.
func (m *model) permits() {
	m.ref.permits = map[string]Permit{"": {}}
	for i := range 5 {
		p := Permit{Identity: oneOf(m.rnd, "", "anna", "bert"), OnConflict: oneOf(m.rnd, "", "", Takeover, Standby, Reject, Challenge)}
		if m.rnd.IntN(4) == 0 {
			p.Key = key(oneOf(m.rnd, m.keys...))
		}
		q := "permit" + strconv.Itoa(i)
		m.queries, m.ref.permits[q] = append(m.queries, q), p
	}
	m.queries = append(m.queries, "wrong")
}

func oneOf[T any](rnd *rand.Rand, from ...T) T { return from[rnd.IntN(len(from))] }

// run takes all steps.
func (m *model) run() error {
	for i := range modelSteps {
		op, err := m.step(i)
		m.log = fmt.Appendf(m.log, "%d %v: %s\n", i, time.Duration(m.ref.now), op)
		if err == nil {
			err = m.after()
		}
		if err != nil {
			return fmt.Errorf("step %d, %s: %w", i, op, err)
		}
	}
	return m.finish()
}

func (m *model) step(i int) (string, error) {
	n := m.rnd.IntN(100)
	var p *modelPub
	if len(m.pubs) > 0 {
		p = oneOf(m.rnd, m.pubs...)
	}
	switch {
	case n < 23:
		return m.publish()
	case n < 40:
		n := 1 + m.rnd.IntN(4)
		return fmt.Sprintf("pass %d ticks", n), m.pass(n)
	case n < 42:
		n := 5 + m.rnd.IntN(30)
		return fmt.Sprintf("pass %d ticks", n), m.pass(n)
	case n < 50:
		return m.play()
	case n < 54 && len(m.views) > 0:
		v := oneOf(m.rnd, m.views...)
		return "stop " + v.id, m.release(v)
	case n < 55:
		k := key(oneOf(m.rnd, m.keys...))
		return fmt.Sprintf("end %v", k), m.found(m.hub.End(gone(), k), m.ref.kill(k))
	case n < 56 && i > modelSteps*9/10:
		m.hub.Close()
		m.ref.close()
		return "close", nil
	case n < 57 && len(m.views) > 0:
		return m.kick(oneOf(m.rnd, m.views...).id)
	case p == nil:
		return "nothing", nil
	case n < 61:
		return m.kick(p.id)
	case n < 65:
		m.ref.vanish(p.refPub, errPeer)
		p.cancel(errPeer)
		return fmt.Sprint("vanish ", p), nil
	case n < 70 && p.lease != nil:
		m.leave(p, m.rnd.IntN(2) == 0)
		return fmt.Sprint("leave ", p), nil
	case p.lease != nil:
		n := 1 + m.rnd.IntN(3)
		return fmt.Sprintf("write %d units of %v", n, p), m.write(p, n)
	}
	return "nothing", nil
}

func (m *model) id() string {
	m.ids++
	return "s" + strconv.Itoa(m.ids)
}

func (m *model) publish() (string, error) {
	k, query, addr := key(oneOf(m.rnd, m.keys...)), oneOf(m.rnd, m.queries...), m.rnd.IntN(4)
	q := Request{Key: k, Session: m.id(), Query: query, Protocol: oneOf(m.rnd, "one", "other")}
	if addr > 0 {
		q.Remote = address(addr)
	}
	p := &modelPub{refPub: &refPub{id: q.Session, query: query, asked: attempt{q.Remote.Addr(), k}}, result: make(chan published, 1)}
	op := fmt.Sprintf("publish %v from %d with %q as %s", k, addr, query, p.id)
	var life context.Context
	life, p.cancel = context.WithCancelCause(m.life)
	before := m.ref.ownerOf(k)
	go func() {
		l, err := m.hub.Publish(life, q)
		p.result <- published{l, err}
	}()
	synctest.Wait()
	if err := m.ref.publish(p.refPub); err != nil {
		p.refused = err
		m.ref.seen[Reason(err)]++
		return op, p.collect(m)
	}
	m.pubs = append(m.pubs, p)
	if p.stage == rivals {
		return op + ": contest", nil
	}
	if err := p.collect(m); err != nil {
		return op, err
	}
	if before != nil && before.key == p.key && before.stage == owns && p.stage == owns && before != p.refPub {
		return op, errors.New("two owners")
	}
	return op, nil
}

// collect takes what the hub has answered to p, and compares it with what it ought to.
func (p *modelPub) collect(m *model) error {
	var got published
	select {
	case got = <-p.result:
	default:
		return fmt.Errorf("%v waits, want an answer: %w", p, errOr(p.refused))
	}
	if !errors.Is(got.err, p.refused) || (got.err == nil) != (p.refused == nil) {
		return fmt.Errorf("%v: %w, want %w", p, errOr(got.err), errOr(p.refused))
	}
	if p.lease = got.lease; p.lease == nil {
		p.cancel(nil)
	} else {
		p.lease.Declare(true, false)
		m.encode(p)
	}
	return nil
}

func errOr(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// encode gives p a new encoder, that begins somewhere in a group of pictures. Of encoders, those that come later own the key later.
func (m *model) encode(p *modelPub) {
	m.origin++
	p.encoder = sim.New(sim.Options{Video: av.H264, GOP: 4, Origin: m.origin % 128, KeySize: 90, Size: 60})
	p.encoder.Take(m.rnd.IntN(5))
	p.unit = p.encoder.Next()
}

func (m *model) write(p *modelPub, n int) error {
	for range n {
		if m.ref.stepsIn(p.refPub, p.unit.Key) {
			m.encode(p)
			for !p.unit.Key {
				p.unit = p.encoder.Next()
			}
		}
		u := p.unit
		p.unit = p.encoder.Next()
		got, want := p.lease.Write(u), m.ref.write(p.refPub, u.Key)
		if !errors.Is(got, want) || (got == nil) != (want == nil) {
			return fmt.Errorf("write: %w, want %w", errOr(got), errOr(want))
		}
	}
	return nil
}

func (m *model) leave(p *modelPub, clean bool) {
	m.ref.leave(p.refPub, clean)
	if clean {
		p.lease.Finish(errDone)
	} else {
		p.lease.Release(errDone)
	}
	p.cancel(nil)
	m.pubs = slices.DeleteFunc(m.pubs, func(o *modelPub) bool { return o == p })
}

func (m *model) kick(id string) (string, error) {
	m.ref.kick(id)
	return "kick " + id, m.found(m.hub.Kick(gone(), id), true)
}

// found judges the answer of one who does not wait for the sessions to end.
func (m *model) found(err error, want bool) error {
	if got := !errors.Is(err, ErrNotFound); got != want || got && err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w, to be found: %v", errOr(err), want)
	}
	return nil
}

// gone is the context of one who does not wait.
func gone() context.Context {
	c, cancel := context.WithCancel(context.Background())
	cancel()
	return c
}

func (m *model) play() (string, error) {
	k := key(oneOf(m.rnd, m.keys...))
	if path := m.ref.paths[k]; path != nil && path.live != nil && !path.live.ready {
		return "nothing", nil // it would wait
	}
	v := &modelView{refView: &refView{id: m.id(), key: k}}
	op := fmt.Sprintf("play %v as %s", k, v.id)
	want := m.ref.play(v.refView)
	var err error
	v.v, err = m.hub.Play(m.life, m.life, Request{Key: k, Session: v.id})
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		return op, fmt.Errorf("%w, want %w", errOr(err), errOr(want))
	}
	if err == nil {
		v.reader = v.v.Stream().NewReader()
		m.views = append(m.views, v)
	}
	return op, nil
}

func (m *model) release(v *modelView) error {
	err := v.read()
	m.ref.stop(v.refView)
	v.v.Release(nil)
	m.views = slices.DeleteFunc(m.views, func(o *modelView) bool { return o == v })
	return err
}

// read takes what is there for the viewer: it can be decoded, and time goes on.
func (v *modelView) read() error {
	now, units := gone(), make([]stream.Entry, 16)
	for {
		n, err := v.reader.Read(now, units)
		for _, u := range units[:n] {
			if wrong := v.check.Unit(u.AccessUnit); wrong != nil {
				return fmt.Errorf("viewer %s: %w", v.id, wrong)
			}
		}
		if err != nil { // there is no more
			return nil //nolint:nilerr // which is no fault
		}
	}
}

// pass lets ticks of the hub's clock pass. Sessions that are told to end do so before the audit has to.
func (m *model) pass(ticks int) error {
	for range ticks {
		for _, p := range slices.Clone(m.pubs) {
			if p.cause != nil && p.lease != nil && m.ref.now-p.ended > int64(orphanAge*3/4) {
				m.leave(p, false)
			}
		}
		for _, v := range slices.Clone(m.views) {
			if v.kicked && m.ref.now-v.ended > int64(orphanAge*3/4) {
				if err := m.release(v); err != nil {
					return err
				}
			}
		}
		m.ref.judge()
		time.Sleep(tick)
		if err := m.after(); err != nil {
			return err
		}
	}
	return nil
}

// after compares, when everybody has done what he had to.
func (m *model) after() error {
	synctest.Wait()
	m.ref.tidy()
	for _, p := range slices.Clone(m.pubs) {
		if p.lease != nil || p.stage == rivals {
			continue
		}
		if err := p.collect(m); err != nil {
			return err
		}
		if p.refused != nil {
			m.pubs = slices.DeleteFunc(m.pubs, func(o *modelPub) bool { return o == p })
		}
	}
	for _, p := range m.pubs {
		if err := p.compare(m); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	for _, v := range m.views {
		if err := v.compare(m); err != nil {
			return fmt.Errorf("viewer %s: %w", v.id, err)
		}
	}
	return m.compare()
}

func (p *modelPub) compare(m *model) error {
	if p.lease == nil {
		if len(p.result) > 0 {
			got := <-p.result
			return fmt.Errorf("the contest is over: %w", errOr(got.err))
		}
		return nil
	}
	if cause := context.Cause(p.lease.Context()); !errors.Is(cause, p.cause) || (cause == nil) != (p.cause == nil) {
		return fmt.Errorf("ended with %w, want %w", errOr(cause), errOr(p.cause))
	}
	e := p.lease.Epoch()
	switch {
	case (e > 0) != p.owned, p.lease.Key() != p.key:
		return fmt.Errorf("epoch %d of %v, owned: %v", e, p.lease.Key(), p.owned)
	case p.epoch == 0 && e > 0:
		if p.epoch = e; e <= m.epochs[p.key] {
			return fmt.Errorf("epoch %d after %d", e, m.epochs[p.key])
		}
		m.epochs[p.key] = e
	case e != p.epoch:
		return fmt.Errorf("epoch %d becomes %d", p.epoch, e)
	}
	return nil
}

func (v *modelView) compare(m *model) error {
	if ended := v.v.Stream().Ended(); !errors.Is(ended, v.live.end) || (ended == nil) != (v.live.end == nil) {
		return fmt.Errorf("its stream has ended: %w, want %w", errOr(ended), errOr(v.live.end))
	}
	if kicked := errors.Is(context.Cause(v.v.Context()), ErrKicked); kicked != v.kicked || !kicked && v.v.Context().Err() != nil {
		return fmt.Errorf("%w, kicked: %v", errOr(context.Cause(v.v.Context())), v.kicked)
	}
	if path := m.ref.paths[v.key]; v.live.end == nil && path.owner != nil && m.find(path.owner).lease.Stream() != v.v.Stream() {
		return errors.New("the owner writes to another stream")
	}
	if m.rnd.IntN(8) == 0 {
		return v.read()
	}
	return nil
}

func (m *model) find(p *refPub) *modelPub {
	return m.pubs[slices.IndexFunc(m.pubs, func(o *modelPub) bool { return o.refPub == p })]
}

func (m *model) compare() error {
	s, live := m.hub.Snapshot(), 0
	for _, p := range m.ref.paths {
		if p.live != nil {
			live++
		}
	}
	if s.Publishers != len(m.ref.pubs) || s.Viewers != len(m.ref.views) || len(s.Streams) != live {
		return fmt.Errorf("%d publishers, %d viewers, %d streams, want %d, %d, %d",
			s.Publishers, s.Viewers, len(s.Streams), len(m.ref.pubs), len(m.ref.views), live)
	}
	viewers := map[Key]int{}
	for _, v := range m.ref.views {
		viewers[v.key]++
	}
	for _, st := range s.Streams {
		path := m.ref.paths[st.Key]
		if path == nil || path.live == nil || !same(st.Publisher, path.owner) || !same(st.Standby, path.standby) ||
			len(st.Viewers) != viewers[st.Key] || (st.Epoch > 0) != (path.owner != nil) {
			return fmt.Errorf("stream %v: %+v, want %+v", st.Key, st, path)
		}
	}
	got, want := m.hub.figures.read(), m.ref.counts
	got.Refused = nil
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("figures %+v, want %+v", got, want)
	}
	if m.asked != m.ref.asked {
		return fmt.Errorf("the authorizer was asked %d times, want %d", m.asked, m.ref.asked)
	}
	return nil
}

func same(got *SessionInfo, want *refPub) bool {
	return (got == nil) == (want == nil) && (got == nil || got.ID == want.id)
}

// finish has everybody leave. What waits to be resumed ends by itself, or because the hub closes.
func (m *model) finish() error {
	for _, v := range slices.Clone(m.views) {
		if m.rnd.IntN(2) == 0 {
			if err := m.release(v); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Clone(m.pubs) {
		if p.lease != nil {
			m.leave(p, false)
		} else {
			m.ref.vanish(p.refPub, errPeer)
			p.cancel(errPeer)
		}
		if err := m.after(); err != nil {
			return fmt.Errorf("the end of %v: %w", p, err)
		}
	}
	for _, p := range slices.Clone(m.pubs) { // rivals that have won meanwhile
		m.leave(p, true)
	}
	if m.rnd.IntN(2) == 0 {
		m.hub.Close()
		m.ref.close()
	}
	if err := m.pass(int((m.ref.cfg.ResumeWindow+m.ref.cfg.MaxSilence)/tick) + 2); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	for _, v := range slices.Clone(m.views) {
		if err := m.release(v); err != nil {
			return err
		}
	}
	return m.after()
}

func (m *model) count(seen map[string]uint64) {
	for what, n := range map[string]uint64{
		"takeovers": m.ref.counts.Takeovers, "challenges": m.ref.counts.Challenges, "lapses": m.ref.counts.Lapses,
		"resumes": m.ref.counts.Resumes, "fenced": m.ref.counts.Fenced, "duels": m.ref.counts.Duels, "ghosts": m.ref.counts.Ghosts,
	} {
		seen[what] += n
	}
	for what, n := range m.ref.seen {
		seen[what] += n
	}
}

// shut ends what the bubble still holds.
func (m *model) shut() {
	m.die()
	m.stop()
	synctest.Wait()
}
