package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestSlowBody: who sends a body slowly, or not at all, is told so, and does not keep the connection.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	r := run(t)
	for _, head := range []string{
		"POST /index/api/getMediaList HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		"POST /INDEX/api/getMediaList HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			status, lasted := trickle(t, r, head)
			if status != http.StatusRequestTimeout {
				t.Errorf("answered %d", status)
			}
			if lasted > 5*time.Second {
				t.Errorf("the connection was kept for %v", lasted)
			}
		})
	}
	t.Run("large", func(t *testing.T) {
		t.Parallel()
		head := "POST /index/api/getMediaList HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + string(make([]byte, 50000))
		status, lasted := trickle(t, r, head)
		if status != http.StatusRequestEntityTooLarge || lasted > 5*time.Second {
			t.Errorf("answered %d, closed after %v", status, lasted)
		}
	})
}

// trickle sends a request and then a byte now and then, and returns what was answered and when the connection was closed.
func trickle(t *testing.T, r *running, head string) (status int, lasted time.Duration) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr("HTTP").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	_ = conn.SetDeadline(began.Add(10 * time.Second))
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				if _, err := io.WriteString(conn, " "); err != nil {
					return
				}
			}
		}
	}()
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	_, _ = io.Copy(io.Discard, in)
	return res.StatusCode, time.Since(began)
}

// TestAnswersAtTheEnd: a request that is under way when the server ends is answered, and one that stays under way does not delay the end.
func TestAnswersAtTheEnd(t *testing.T) {
	t.Parallel()
	answered := false
	for range 5 { // a quarter of a second may be too short for a machine that has other things to do
		r := run(t)
		conn, from := underway(t, r)
		idle, _ := underway(t, r)
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- r.stop() }()
		for { // until nobody is let in any more
			c, err := net.Dial("tcp", r.Addr("HTTP").String())
			if err != nil {
				break
			}
			c.Close()
		}
		_, _ = io.WriteString(conn, "hello")
		res, err := http.ReadResponse(from, nil)
		if err == nil {
			res.Body.Close()
			answered = res.StatusCode == http.StatusOK
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the end took %v", took)
		}
		idle.Close()
		if answered {
			return
		}
	}
	t.Error("nobody was answered")
}

// underway begins a request, whose handler waits for its body of five bytes.
func underway(t *testing.T, r *running) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr("HTTP").String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	head := "POST /index/api/version HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	if line, err := from.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = from.Discard(len("\r\n"))
	return conn, from
}
