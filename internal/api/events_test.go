package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/api"
	"github.com/vigil-media/vigil/internal/hub"
)

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := api.NewEvents()
		observe(e, hub.Published, 0) // before anybody reads
		all, mine := newReader(100), newReader(100)
		stop, done := read(t, e, "", "", all)
		_, _ = read(t, e, "?kind=stopped,published&stream=live/2", "", mine)
		if _, last := parse(t, all.text()); !strings.HasSuffix(last, "-1") {
			t.Errorf("begins behind %q", last)
		}
		mine.text()
		observe(e, hub.Published, 1)
		observe(e, hub.Published, 2)
		observe(e, hub.Played, 2)
		e.Observe(hub.Event{Kind: hub.Stopped, Cause: fmt.Errorf("hidden: %w", hub.ErrKicked), Session: peer("00b1", "live/2")})
		text := all.text()
		events, last := parse(t, text)
		if got := fmt.Sprint(names(events)); got != "[published live/1 published live/2 played live/2 stopped live/2]" {
			t.Error(got)
		}
		if strings.Contains(text, "hidden") {
			t.Errorf("a secret: %s", text)
		}
		if s := events[3].Data; s.Reason != "kicked" || s.Session != "00b1" || s.Protocol != "p" || s.Remote != "192.0.2.1:5000" || !s.Time.Equal(time.Now()) {
			t.Errorf("%+v", s)
		}
		if s := events[0].Data; s.Epoch != 3 || s.Reason != "" || s.Kind != "published" {
			t.Errorf("%+v", s)
		}
		if events, _ := parse(t, mine.text()); fmt.Sprint(names(events)) != "[published live/2 stopped live/2]" {
			t.Error(names(events))
		}
		if all.status != http.StatusOK || all.header.Get("Content-Type") != "text/event-stream" || all.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", all.status, all.header)
		}
		begin := time.Now()
		stop()
		if <-done; time.Since(begin) > 0 {
			t.Error("it stays when its reader has left")
		}
		// It comes back, and is sent what it has missed.
		observe(e, hub.Closed, 5)
		again := newReader(100)
		stop, _ = read(t, e, "", last, again)
		if events, _ := parse(t, again.text()); fmt.Sprint(names(events)) != "[closed live/5]" {
			t.Error(names(events))
		}
		stop()
		e.Close()
	})
}

// TestEventsKeepAlive: where nothing happens there are comments, and a filter does not keep a reader from getting on.
func TestEventsKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := api.NewEvents()
		defer e.Close()
		r := newReader(100)
		_, _ = read(t, e, "?kind=duel", "", r)
		_, first := parse(t, r.text())
		observe(e, hub.Played, 1)
		if text := r.text(); text != "" {
			t.Errorf("sent %q", text)
		}
		time.Sleep(14 * time.Second)
		if text := r.text(); text != "" {
			t.Errorf("sent %q", text)
		}
		time.Sleep(time.Second)
		text, ok := strings.CutPrefix(r.text(), ": still here\n")
		if events, last := parse(t, text); !ok || len(events) > 0 || last == first || !strings.HasSuffix(last, "-1") {
			t.Errorf("%q: %v %s", text, events, last)
		}
	})
}

// TestEventsLost: one that falls behind is told how much it has missed, and goes on. Nobody waits for it.
func TestEventsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := api.NewEvents()
		defer e.Close()
		slow, quick := newReader(0), newReader(10000)
		_, _ = read(t, e, "", "", slow)
		_, _ = read(t, e, "", "", quick)
		<-slow.got // it takes the beginning
		synctest.Wait()
		const all = 3000
		begin := time.Now()
		for n := range all {
			observe(e, hub.Played, n)
			if n%500 == 0 {
				synctest.Wait() // the quick one keeps up
			}
		}
		if time.Since(begin) > 0 {
			t.Error("events wait for somebody who is slow")
		}
		events, _ := parse(t, quick.text())
		if len(events) != all {
			t.Errorf("the quick one got %d", len(events))
		}
		var b strings.Builder
		for range 100 {
			synctest.Wait()
			select {
			case s := <-slow.got:
				b.WriteString(s)
			default:
			}
		}
		events, last := parse(t, b.String())
		lost, next := uint64(0), uint64(0)
		for _, s := range events {
			if s.Kind == "lost" {
				lost += s.Data.Events
				next += s.Data.Events
				continue
			}
			if want := "live/" + strconv.FormatUint(next, 10); s.Data.Stream != want || !strings.HasSuffix(s.ID, "-"+strconv.FormatUint(next+1, 10)) {
				t.Fatalf("%s %s, want %s", s.ID, s.Data.Stream, want)
			}
			next++
		}
		if next != all || lost < all-1024-64 || !strings.HasSuffix(last, "-3000") {
			t.Errorf("%d came or were lost, %d lost, the last was %s", next, lost, last)
		}
	})
}

// TestEventsTooSlow: who takes nothing for five seconds is gone.
func TestEventsTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := api.NewEvents()
		r := newReader(0)
		begin := time.Now()
		_, done := read(t, e, "", "", r)
		<-done
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// TestEventsOfAnother: ids of another process, and those that are none, are answered with all that there is.
func TestEventsOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := api.NewEvents()
		defer e.Close()
		for n := range 1500 {
			observe(e, hub.Played, n)
		}
		now := newReader(100)
		_, _ = read(t, e, "", "", now)
		_, last := parse(t, now.text())
		run, _, _ := strings.Cut(last, "-")
		for _, id := range []string{"other-3", "x", "-", run, run + "-", run + "-1501", run + "--1", run + "-18446744073709551616"} {
			r := newReader(100)
			stop, _ := read(t, e, "", id, r)
			events, end := parse(t, r.text())
			if len(events) != 1025 || events[0].Kind != "lost" || !events[0].Data.Restarted || events[1].Data.Stream != "live/476" || end != last {
				t.Errorf("%s: %d events, up to %s", id, len(events), end)
			}
			stop()
		}
		// An id that is known, but too old, is told by how much.
		r := newReader(100)
		_, _ = read(t, e, "", run+"-400", r)
		events, _ := parse(t, r.text())
		if len(events) != 1025 || events[0].Data.Events != 76 || events[0].Data.Restarted || events[0].ID != run+"-476" {
			t.Errorf("%d events, the first is %+v", len(events), events[0])
		}
	})
}

// TestEventsLimit: a bounded number may read, and all end with Close.
func TestEventsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := api.NewEvents()
		stop, gone := read(t, e, "", "", newReader(10))
		var all []<-chan struct{}
		for range 63 {
			_, done := read(t, e, "", "", newReader(10))
			all = append(all, done)
		}
		refused := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", nil))
			return w
		}
		if w := refused(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"limit"`) {
			t.Errorf("one more: %d %s", w.Code, w.Body)
		}
		stop()
		<-gone
		_, done := read(t, e, "", "", newReader(10))
		select {
		case <-done:
			t.Error("there is room, and it was refused")
		default:
		}
		e.Close()
		e.Close()
		for _, d := range append(all, done) {
			<-d
		}
		if w := refused(); w.Code != http.StatusServiceUnavailable {
			t.Errorf("after Close: %d", w.Code)
		}
		observe(e, hub.Played, 1) // as the hub's last events come later
	})
}

// TestEventsNeedDeadlines: a write that could last for ever is not begun.
func TestEventsNeedDeadlines(t *testing.T) {
	w := httptest.NewRecorder()
	api.NewEvents().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d", w.Code)
	}
}

// TestEventsOverHTTP reads events of a hub through a server whose own write deadline is shorter than they last.
func TestEventsOverHTTP(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- r.hub.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()
	srv := httptest.NewUnstartedServer(r)
	srv.Config.WriteTimeout = time.Millisecond
	srv.Start()
	defer srv.Close()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/events?stream=live/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	l := publish(t, r.hub, "live/a")
	l.Release(nil)
	var got []string
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && len(got) < 4 {
		if kind, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			got = append(got, kind)
			if kind == "closed" {
				r.events.Close()
			}
		}
	}
	if fmt.Sprint(got) != "[published opened unpublished closed]" && fmt.Sprint(got) != "[published opened closed unpublished]" {
		t.Errorf("%v", got)
	}
	r.events.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// TestEventsHead: HEAD is answered at once.
func TestEventsHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w, begin := newRig(t), newReader(0), time.Now()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/api/v1/events", nil))
		if w.status != http.StatusOK || w.header.Get("Content-Type") != "text/event-stream" || time.Since(begin) > 0 {
			t.Errorf("%d %v after %v", w.status, w.header, time.Since(begin))
		}
	})
}

// TestEventKinds: every kind of the hub's may be asked for.
func TestEventKinds(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../hub/events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && fmt.Sprint(spec.Type) == "EventKind" {
			kind, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			kinds = append(kinds, kind)
		}
		return true
	})
	if len(kinds) < 14 {
		t.Fatalf("found %v", kinds)
	}
	e := api.NewEvents()
	e.Close()
	for _, kind := range kinds {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events?kind="+kind, nil))
		if w.Code != http.StatusServiceUnavailable { // and not 400
			t.Errorf("%s: %d", kind, w.Code)
		}
	}
}
