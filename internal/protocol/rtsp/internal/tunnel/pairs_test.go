package tunnel

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const age = 10 * time.Second

// lend runs Post as a session would, and gives its end of the connection and what Post returns.
func lend(ctx context.Context, p *Pairs, cookie, rest string) (client net.Conn, ended <-chan error) {
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() {
		err := p.Post(ctx, cookie, server, []byte(rest))
		server.Close()
		done <- err
	}()
	return client, done
}

func say(t *testing.T, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(to, base64.StdEncoding.EncodeToString([]byte(text))); err != nil {
		t.Error(err)
	}
}

func hear(t *testing.T, from io.Reader, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(from, b); err != nil || string(b) != text {
		t.Fatalf("heard %q, %v, want %q", b, err, text)
	}
}

func TestTunnel(t *testing.T) {
	for _, postFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := NewPairs(10, age)
			viewer, server := net.Pipe()
			var post net.Conn
			var ended <-chan error
			if postFirst {
				post, ended = lend(t.Context(), p, "a", "SGk=")
				synctest.Wait()
			}
			c, err := p.Get("a", server)
			if err != nil {
				t.Fatal(err)
			}
			if !postFirst {
				time.Sleep(age - 1)
				post, ended = lend(t.Context(), p, "a", "SGk=")
			}
			hear(t, c, "Hi")
			if p.Waiting() != 0 {
				t.Error("something waits")
			}
			go say(t, post, "more")
			hear(t, c, "more")
			go c.Write([]byte("answer")) //nolint:errcheck // it is heard
			hear(t, viewer, "answer")

			post.Close() // and another one takes its place, at once or later
			time.Sleep(time.Hour)
			go func() {
				time.Sleep(time.Hour)
				next, _ := lend(t.Context(), p, "a", "")
				say(t, next, "again")
			}()
			hear(t, c, "again")
			if err = <-ended; err != nil {
				t.Error(err)
			}
			c.Close()
			if _, err = viewer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if _, err = c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if len(p.tunnels)+len(p.posts)+p.waiting != 0 {
				t.Error("something is left")
			}
		})
	}
}

// TestNextPost: one POST waits for the end of that before it, a third is refused.
func TestNextPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPairs(10, age)
		_, server := net.Pipe()
		c, err := p.Get("a", server)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		first, ended := lend(t.Context(), p, "a", "MQ==")
		synctest.Wait()
		second, ended2 := lend(t.Context(), p, "a", "Mg==")
		synctest.Wait()
		_, ended3 := lend(t.Context(), p, "a", "")
		if err = <-ended3; !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
		hear(t, c, "1")
		go func() {
			say(t, first, "one")
			first.Close()
		}()
		hear(t, c, "one2")
		if err = <-ended; err != nil {
			t.Error(err)
		}
		_, ended4 := lend(t.Context(), p, "a", "")
		if err = <-ended4; !errors.Is(err, ErrNoGet) { // the second does not end
			t.Error(err)
		}
		go say(t, second, "two")
		hear(t, c, "two")
		_, ended5 := lend(t.Context(), p, "a", "")
		synctest.Wait()
		start := time.Now()
		c.Close()
		for _, e := range []<-chan error{ended2, ended5} {
			if err = <-e; err != nil || time.Since(start) != 0 {
				t.Error(err, time.Since(start))
			}
		}
		if _, err = second.Write([]byte("x")); err == nil {
			t.Error("the POST is open after the tunnel's end")
		}
	})
}

func TestHalvesThatStayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPairs(10, age)
		start := time.Now()
		_, ended := lend(t.Context(), p, "a", "")
		if err := <-ended; !errors.Is(err, ErrNoGet) || time.Since(start) != age {
			t.Error(err, time.Since(start))
		}
		_, server := net.Pipe()
		c, err := p.Get("a", server)
		if err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		if _, err = c.Read(make([]byte, 1)); !errors.Is(err, ErrNoPost) || time.Since(start) != age {
			t.Error(err, time.Since(start))
		}
		c.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		_, ended = lend(ctx, p, "a", "")
		synctest.Wait()
		cancel(errors.New("over"))
		if err = <-ended; err == nil || err.Error() != "over" {
			t.Error(err)
		}
		if p.Waiting() != 0 || len(p.tunnels)+len(p.posts) != 0 {
			t.Error("something is left")
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPairs(2, age)
		_, server := net.Pipe()
		for _, cookie := range []string{"a", "b"} {
			if _, err := p.Get(cookie, server); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Get("a", server); !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
		if _, err := p.Get("c", server); !errors.Is(err, ErrMany) {
			t.Error(err)
		}
		if err := p.Post(t.Context(), "c", server, nil); !errors.Is(err, ErrMany) {
			t.Error(err)
		}
		time.Sleep(age)
		c, err := p.Get("c", server)
		if err != nil || p.Waiting() != 1 || len(p.tunnels) != 1 {
			t.Error(err, p.Waiting())
		}
		lend(t.Context(), p, "c", "")
		synctest.Wait()
		if _, err = p.Get("d", server); err != nil {
			t.Error(err)
		}
		if _, err = p.Get("e", server); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if _, err = p.Get("f", server); err != nil || len(p.tunnels) != 2 || p.tunnels["c"] != c {
			t.Error("a tunnel that is joined was forgotten", err)
		}
		p.tunnels["f"].Close()
		c.Close()
		c.Close()
		if p.Waiting() != 0 {
			t.Error("closing twice counts twice")
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPairs(2, age)
		_, server := net.Pipe()
		c, err := p.Get("a", server)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		expect := func(after time.Duration) {
			t.Helper()
			start := time.Now()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != after {
				t.Error(err, time.Since(start))
			}
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		expect(time.Second) // no POST
		c.SetDeadline(time.Now().Add(5 * time.Second))
		post, _ := lend(t.Context(), p, "a", "")
		defer post.Close()
		expect(5 * time.Second) // a POST that came after the deadline was set
		c.SetReadDeadline(time.Time{})
		for _, wait := range []time.Duration{time.Second, time.Minute} { // while a read waits
			go func() {
				time.Sleep(wait)
				c.SetReadDeadline(time.Unix(1, 0))
			}()
			expect(wait)
			c.SetReadDeadline(time.Time{})
		}
		go say(t, post, "x")
		hear(t, c, "x")
		if _, err = c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		post.Close() // and while it waits for another one
		go func() {
			time.Sleep(time.Minute)
			c.SetReadDeadline(time.Unix(1, 0))
		}()
		expect(time.Minute)
	})
}

func TestCloseEndsRead(t *testing.T) {
	for _, withPost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := NewPairs(2, age)
			_, server := net.Pipe()
			c, err := p.Get("a", server)
			if err != nil {
				t.Fatal(err)
			}
			if withPost {
				lend(t.Context(), p, "a", "")
			}
			go func() {
				time.Sleep(time.Second)
				c.Close()
			}()
			if _, err = c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

func TestJunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPairs(2, age)
		_, server := net.Pipe()
		c, err := p.Get("a", server)
		if err != nil {
			t.Fatal(err)
		}
		_, ended := lend(t.Context(), p, "a", "SGk=<html>")
		hear(t, c, "Hi")
		if _, err = c.Read(make([]byte, 1)); !errors.Is(err, ErrBase64) {
			t.Error(err)
		}
		if err = <-ended; err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	p := NewPairs(1000, age)
	var wg sync.WaitGroup
	for i := range 50 {
		cookie := fmt.Sprint(i % 40)
		wg.Go(func() {
			_, server := net.Pipe()
			c, err := p.Get(cookie, server)
			if err != nil {
				return
			}
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(2 * time.Second))
			go c.SetDeadline(time.Now().Add(time.Second))
			io.ReadFull(c, make([]byte, 2)) //nolint:errcheck // some have no POST
		})
		wg.Go(func() {
			_, server := net.Pipe()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			p.Post(ctx, cookie, server, []byte("SGk=")) //nolint:errcheck // some have no GET
			server.Close()
		})
	}
	wg.Wait()
	if p.Waiting() != 0 || len(p.tunnels)+len(p.posts) != 0 {
		t.Error("something is left")
	}
}
