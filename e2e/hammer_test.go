package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// hammerTime is how long TestHammer, TestChurn and TestSlowReaders last: VIGIL_HAMMER, or the ordinary time.
func hammerTime(t testing.TB, ordinary time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("VIGIL_HAMMER")
	if text == "" {
		return ordinary
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		t.Fatalf("VIGIL_HAMMER=%q is no duration of a second or more", text)
	}
	return d
}

// What TestHammer holds the server to.
const (
	hammerKeys  = 20
	hammerEvery = 500 * time.Millisecond
	answerMost  = time.Second            // of a refusal, and of a kick
	listMost    = 200 * time.Millisecond // of the API: of 99 of 100 answers
	cameEvery   = time.Second / 20       // one viewer
)

// hammer is a server with taken keys, and what is done to it.
type hammer struct {
	t  testing.TB
	s  *server
	wg sync.WaitGroup

	refused, visits, kicks atomic.Int64

	mu       sync.Mutex
	refusals time.Duration   // the longest
	kicked   time.Duration   // the longest
	answers  []time.Duration // of the API
	faults   int
}

// fail fails the test, and says why a few times.
func (h *hammer) fail(format string, args ...any) {
	h.mu.Lock()
	h.faults++
	n := h.faults
	h.mu.Unlock()
	if n <= 10 {
		h.t.Errorf(format, args...)
	}
}

func (h *hammer) key(i int) string { return fmt.Sprintf("taken-%d", i) }

// TestHammer has 20 encoders ask for 20 keys that are taken, each twice a second, while 8 clients read every list as fast as they can, and
// 20 viewers a second come and go: by their own will, by a reset, or kicked, some at that very moment (cards L01, S07; C06, C07 as far
// as there is anything like it). The API answers, the log goes on, each refusal comes soon, and who watches notices nothing.
//
// It is about times, so it has the machine to itself, and the program has no race detector.
func TestHammer(t *testing.T) {
	path := built(t, buildPlain)
	s := serveFrom(t, path, "log.level=info")
	h := &hammer{t: t, s: s}
	for i := range hammerKeys {
		broadcast(t, s, h.key(i), sim.Options{Video: av.H264, Audio: av.AAC, Size: 1200})
	}
	var stay []*watcher
	for i := range 4 {
		stay = append(stay, audience(t, s.target(h.key(i)), 3)...)
	}
	h.run(time.Second) // so that what grows once has grown
	alone := func() bool { return s.has(t, hammerKeys, len(stay)) }
	within(t, 20*time.Second, "those of the warm-up are gone", alone)
	h.answers, h.refusals, h.kicked = nil, 0, 0
	h.refused.Store(0)
	base, length := s.footprint(t), hammerTime(t, 8*time.Second)
	h.run(length)
	h.judge(length)
	end := footprint{}
	if !eventually(40*time.Second, func() bool { end = s.footprint(t); return alone() && end.within(base) }) {
		st := s.streams(t)
		t.Errorf("before %v, after %v: %v; %d publishers, %d viewers, %v wait, %d sockets", base, length, end, st.Publishers, st.Viewers,
			st.Waiting, s.sockets(t))
	}
	judgeAll(t, stay)
}

// run does all of it at the same time for a while.
func (h *hammer) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(h.t.Context(), d)
	defer cancel()
	for i := range hammerKeys {
		h.wg.Go(func() { h.encoder(ctx, i) })
	}
	for range 8 {
		h.wg.Go(func() { h.reader(ctx) })
	}
	h.wg.Go(func() { h.comers(ctx) })
	h.wg.Go(func() { h.log(ctx) })
	h.wg.Wait()
}

// encoder wants a key that is taken.
func (h *hammer) encoder(ctx context.Context, i int) {
	n, longest, err := faults.Again(ctx, h.s.target(h.key(i)), hammerEvery)
	if err != nil {
		h.fail("%v", err)
	}
	h.refused.Add(int64(n))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusals = max(h.refusals, longest)
}

// reader reads all that the API has, on one connection.
func (h *hammer) reader(ctx context.Context) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	paths := []string{"/api/v1/streams", "/api/v1/streams/live/" + h.key(0), "/metrics", "/livez", "/readyz"}
	var took []time.Duration
	for i := 0; ctx.Err() == nil; i++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.s.http+paths[i%len(paths)], nil)
		if err != nil {
			h.fail("%v", err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+h.s.secret)
		at := time.Now()
		res, err := c.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil || res.StatusCode != http.StatusOK {
			h.fail("%s: %v", req.URL.Path, err)
		}
		took = append(took, time.Since(at))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers = append(h.answers, took...)
}

// comers has viewers come, twenty a second.
func (h *hammer) comers(ctx context.Context) {
	tick := time.NewTicker(cameEvery)
	defer tick.Stop()
	for i := uint64(0); ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		h.wg.Go(func() { h.visit(ctx, rand.New(rand.NewPCG(i, 7))) })
	}
}

// visit comes, stays for a while and goes, in one way or another.
func (h *hammer) visit(ctx context.Context, r *rand.Rand) {
	coming, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // the last one is let in too
	way := plainWays[r.IntN(len(plainWays))]
	p, err := faults.Play(coming, h.s.target(h.key(r.IntN(hammerKeys))), way, false)
	cancel()
	if err != nil {
		h.fail("a viewer that comes: %v", err)
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = p.Discard()
	}()
	between(ctx, r, 0, 2*time.Second)
	switch r.IntN(3) {
	case 0:
		_ = p.Close()
	case 1:
		h.kickID(h.find(p, way), true)
		_ = p.Close()
	default:
		id := h.find(p, way)
		h.wg.Go(func() {
			between(ctx, r, 0, 3*time.Millisecond)
			_ = p.Reset()
		})
		h.kickID(id, false)
	}
	<-gone
	h.visits.Add(1)
}

// find is the session of a viewer, or "" if there is none any more. One of another protocol may come from the same port.
func (h *hammer) find(p *faults.Player, way faults.Way) string {
	a, err := h.ask(http.MethodGet, "/api/v1/streams")
	var list apiStreams
	if err == nil {
		err = json.Unmarshal(a, &list)
	}
	if err != nil {
		h.fail("the list: %v", err)
	}
	for _, st := range list.Streams {
		for _, v := range st.Sessions {
			if v.Remote == p.Address() && strings.EqualFold(v.Protocol, string(way)) {
				return v.ID
			}
		}
	}
	return ""
}

// kickID ends a session. must says that it is there.
func (h *hammer) kickID(id string, must bool) {
	if id == "" {
		return // its request is still on its way
	}
	at := time.Now()
	_, err := h.ask(http.MethodDelete, "/api/v1/sessions/"+id)
	took := time.Since(at)
	if err != nil && must {
		h.fail("kick: %v", err)
	}
	h.kicks.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kicked = max(h.kicked, took)
}

// ask does one request of the API on a connection of its own.
func (h *hammer) ask(method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.s.http+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+h.s.secret)
	res, err := web.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return b, err
}

// log fails the test when nothing is logged for a while: there is always somebody who comes or goes.
func (h *hammer) log(ctx context.Context) {
	const silence = 2 * time.Second
	tick := time.NewTicker(silence)
	defer tick.Stop()
	for before := len(h.s.errors.String()); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := len(h.s.errors.String())
		if now == before {
			h.fail("nothing was logged for %v", silence)
		}
		before = now
	}
}

// judge judges what came of it.
func (h *hammer) judge(length time.Duration) {
	h.t.Helper()
	slices.Sort(h.answers)
	n := len(h.answers)
	if n < 100 {
		h.t.Fatalf("the API gave %d answers in %v", n, length)
	}
	p99, most := h.answers[n*99/100], h.answers[n-1]
	h.t.Logf("%v: %d refusals, the longest %v; %d answers of the API, median %v, p99 %v, the longest %v; %d visits; %d kicks, the longest %v",
		length, h.refused.Load(), h.refusals, n, h.answers[n/2], p99, most, h.visits.Load(), h.kicks.Load(), h.kicked)
	if p99 > listMost {
		h.t.Errorf("of 100 answers of the API one took %v or more", p99)
	}
	if h.refusals > answerMost || h.kicked > answerMost {
		h.t.Errorf("a refusal took %v, a kick %v", h.refusals, h.kicked)
	}
	if want := int64(hammerKeys * length / hammerEvery * 8 / 10); h.refused.Load() < want {
		h.t.Errorf("%d refusals, want %d or more", h.refused.Load(), want)
	}
}

// TestChurn has 50 peers a second come, each for 2 s, half of them for streams that nobody publishes (card C12): there are never more
// goroutines than they may have, and in the end everything is as it was.
func TestChurn(t *testing.T) {
	t.Parallel()
	const every, stay, each = time.Second / 50, 2 * time.Second, 3 // goroutines of a peer
	s := serveTLS(t, "play.wait=3s")
	broadcast(t, s, "churn", both(0))
	watchers := audience(t, s.target("churn"), len(ways))
	churn := func(length time.Duration) (most int) {
		var wg sync.WaitGroup
		tick, begin := time.NewTicker(every), time.Now()
		defer tick.Stop()
		for i := 0; time.Since(begin) < length; i++ {
			<-tick.C
			wg.Go(func() {
				name := []string{"churn", fmt.Sprintf("nobody-%d", i)}[i%2]
				ctx, cancel := context.WithTimeout(t.Context(), stay)
				defer cancel()
				p, err := faults.Play(ctx, s.target(name), ways[i/2%len(ways)], false) // who waits over RTMP waits here
				if err != nil {
					return
				}
				go func() { _ = p.Discard() }()
				<-ctx.Done()
				if i%3 == 0 {
					_ = p.Reset()
				} else {
					_ = p.Drop()
				}
			})
			if i%25 == 0 {
				most = max(most, int(s.figures(t)["go_goroutines"]))
			}
		}
		wg.Wait()
		return most
	}
	alone := func() bool { return s.has(t, 1, len(watchers)) }
	churn(stay) // so that what grows once has grown
	within(t, 30*time.Second, "those of the warm-up are gone", alone)
	base, length := s.footprint(t), hammerTime(t, 6*time.Second)
	most, end := churn(length), footprint{}
	ok := eventually(30*time.Second, func() bool { end = s.footprint(t); return alone() && end.within(base) })
	t.Logf("%v; before: %v; meanwhile %d goroutines; after: %v", length, base, most, end)
	if !ok {
		t.Errorf("before %v, after %v: %v", base, length, end)
	}
	if budget := base.goroutines + each*int(2*stay/every); most > budget {
		t.Errorf("%d goroutines, want %d or less", most, budget)
	}
	judgeAll(t, watchers)
}
