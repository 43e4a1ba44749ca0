package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/watch"
)

// lines are both ends of a line.
func lines(t *testing.T) (ours, theirs *line) {
	t.Helper()
	ours, f, err := linePair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = newLine(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.conn.Close(); _ = theirs.conn.Close() })
	return ours, theirs
}

func TestLine(t *testing.T) {
	t.Parallel()
	ours, theirs := lines(t)
	f, err := memory("a file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.WriteString("evidence"); err != nil {
		t.Fatal(err)
	}
	if err = ours.send(&message{Retire: true}, -1); err != nil {
		t.Fatal(err)
	}
	if err = ours.send(&message{Bundle: &bundle{ID: 1, Reason: "a reason"}}, int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	closeFile(f)
	buf := make([]byte, messageMost)
	m, none, err := theirs.receive(buf)
	if err != nil || !m.Retire || none != nil {
		t.Errorf("%+v, file %v, %v", m, none, err)
	}
	m, got, err := theirs.receive(buf)
	if err != nil || m.Bundle == nil || m.Bundle.Reason != "a reason" || got == nil {
		t.Fatalf("%+v, file %v, %v", m, got, err)
	}
	if b := contents(got, 4); string(b) != "evid" {
		t.Errorf("the file holds %q", b)
	}
	closeFile(got)
	if err = ours.send(&message{Said: &said{Failed: strings.Repeat("x", messageMost)}}, -1); !errors.Is(err, errTooLong) {
		t.Errorf("a message that is too long: %v", err)
	}
	_ = ours.conn.Close()
	if m, _, err = theirs.receive(buf); err == nil {
		t.Errorf("after the end: %+v", m)
	}
}

// TestLastMessage: what has been said before the end is heard, even if who said it had not listened.
func TestLastMessage(t *testing.T) {
	t.Parallel()
	ours, theirs := lines(t)
	if err := ours.send(&message{Retire: true}, -1); err != nil {
		t.Fatal(err)
	}
	if err := theirs.send(&message{Said: &said{Failed: "the port is busy"}}, -1); err != nil {
		t.Fatal(err)
	}
	_ = theirs.conn.Close()
	m, _, err := ours.receive(make([]byte, messageMost))
	if err != nil || m.Said == nil {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestLineToTheDeaf: who does not read is waited for a moment only.
func TestLineToTheDeaf(t *testing.T) {
	t.Parallel()
	ours, _ := lines(t)
	var err error
	for range 10_000 {
		begun := time.Now()
		if err = ours.send(&message{Said: &said{Failed: strings.Repeat("x", 1000)}}, -1); err != nil {
			if took := time.Since(begun); took > 20*sendTime {
				t.Errorf("it took %v", took)
			}
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("err %v", err)
	}
}

// TestBeatsToTheDeaf: neither are heartbeats waited for; those that there is no room for are lost.
func TestBeatsToTheDeaf(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var pulse watch.Pulse
	_ = raw.Control(func(fd uintptr) {
		p := &Post{beats: int(fd)}
		for pulse.Scan = range uint64(1000) {
			p.Beat(&pulse, Vitals{})
		}
		if n := testing.AllocsPerRun(10, func() { p.Beat(&pulse, Vitals{}) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
	_ = w.Close()
	for n := uint64(0); ; n++ {
		var b [beatBytes]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if !errors.Is(err, io.EOF) || n < 100 || n == 1000 {
				t.Errorf("%d heartbeats, then %v", n, err)
			}
			return
		}
		if got := decodeBeat(&b); got.Scan != n {
			t.Fatalf("heartbeat %d is number %d", n, got.Scan)
		}
	}
}

// TestBoundedMemory: last words do not grow without end.
func TestBoundedMemory(t *testing.T) {
	t.Parallel()
	f, err := boundedMemory("last words", 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := written(f, 1<<20); len(got) != 0 {
		t.Errorf("%d bytes before the first", len(got))
	}
	all := []byte(nil)
	for i := range 100 {
		b := bytes.Repeat([]byte{byte(i + 1)}, 1000)
		n, err := f.Write(b)
		all = append(all, b[:n]...)
		if err != nil {
			break
		}
	}
	if len(all) < 1<<16-4096 || len(all) > 1<<16 {
		t.Errorf("%d bytes fit", len(all))
	}
	if got := written(f, 1<<20); !bytes.Equal(got, all) {
		t.Errorf("%d bytes are read, of %d", len(got), len(all))
	}
	if got := written(f, 10); !bytes.Equal(got, all[:10]) {
		t.Errorf("%d bytes are read, of 10", len(got))
	}
}
