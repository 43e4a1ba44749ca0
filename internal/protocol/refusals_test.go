package protocol

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// book is a log, and the refusals that thin it out.
type book struct {
	*Refusals
	t   testing.TB
	out bytes.Buffer
	log *slog.Logger
}

func newBook(t testing.TB) *book {
	t.Helper()
	b := &book{Refusals: NewRefusals(), t: t}
	b.log = slog.New(slog.NewTextHandler(&b.out, nil))
	return b
}

// refuse logs a refusal, if it may; want is the end of the line, or "" for none.
func (b *book) refuse(reason, addr, want string) {
	b.t.Helper()
	b.out.Reset()
	b.Logger(b.log, reason, netip.MustParseAddr(addr)).Info("refused")
	line := strings.TrimSpace(b.out.String())
	if line == "" && want == "" {
		return
	}
	if _, end, ok := strings.Cut(line, "msg=refused"); !ok || strings.TrimSpace(end) != strings.TrimSpace(want) || want == "" {
		b.t.Errorf("%s, %s: %q, want %q", reason, addr, line, want)
	}
}

// One line a second for each reason and address, and none is forgotten (card L01, S08).
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		const line, none = " ", ""
		b.refuse("busy", "192.0.2.1", line)
		b.refuse("busy", "192.0.2.1", none)
		b.refuse("denied", "192.0.2.1", line) // another reason
		b.refuse("busy", "192.0.2.2", line)   // another address
		time.Sleep(999 * time.Millisecond)
		b.refuse("busy", "192.0.2.1", none)
		time.Sleep(time.Millisecond)
		b.refuse("busy", "192.0.2.1", "unlogged=2")
		time.Sleep(time.Second)
		b.refuse("busy", "192.0.2.1", line)
		b.refuse("busy", "2001:db8::1", line)
		b.refuse("busy", "2001:db8::2", none) // the same network
		if n := b.Sweep(); n != 0 {
			t.Errorf("%d lines were left out of those that go on", n)
		}
		time.Sleep(2 * time.Second)
		if n := b.Sweep(); n != 1 || len(b.seen) != 0 {
			t.Errorf("%d lines were left out, %d are known", n, len(b.seen))
		}
	})
}

// Many addresses do not make it grow: those that are too many share a line.
func TestRefusalsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		lines := 0
		for i := range 2 * refusalsMax {
			b.out.Reset()
			b.Logger(b.log, "busy", netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i>>8, i&0xff))).Info("refused")
			lines += b.out.Len() / max(1, b.out.Len())
		}
		if lines != refusalLinesMax || len(b.seen) != refusalsMax+1 {
			t.Errorf("%d lines, %d are known", lines, len(b.seen))
		}
		time.Sleep(time.Second)
		b.refuse("busy", "10.255.0.1", fmt.Sprintf("unlogged=%d", refusalsMax))
	})
}

// However many addresses there are, the log grows by a few lines a second, and tells of all (card L01).
func TestRefusalsOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		const seconds, each = 10, 1000
		lines, told := 0, uint64(0)
		for i := range seconds * each {
			b.out.Reset()
			b.Logger(b.log, "busy", netip.MustParseAddr(fmt.Sprintf("10.%d.%d.1", i>>8, i&0xff))).Info("refused")
			lines += strings.Count(b.out.String(), "refused")
			time.Sleep(time.Second / each)
			told += b.Sweep()
		}
		time.Sleep(2 * time.Second)
		told += b.Sweep()
		if most := refusalLinesMax * (seconds + 1); lines > most || lines < most/2 || uint64(lines)+told != seconds*each {
			t.Errorf("%d lines, %d are told of besides", lines, told)
		}
		b.refuse("busy", "10.0.0.1", " ")
	})
}

// Peers at fault have a line each, up to as many a second, and the others are told of once a second.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		time.Sleep(2 * time.Second)
		b.Sweep()
		for range 2 {
			b.out.Reset()
			for range 3 * refusalLinesMax {
				b.Fault(b.log).Info("failed")
			}
			if lines := strings.Count(b.out.String(), "failed"); lines != refusalLinesMax {
				t.Errorf("%d lines", lines)
			}
			b.refuse("busy", "192.0.2.1", " ") // which has nothing to do with it
			time.Sleep(time.Second)
			if n := b.Sweep(); n != 2*refusalLinesMax {
				t.Errorf("%d lines were left out", n)
			}
		}
	})
}

// Without refusals every line is logged.
func TestNoRefusals(t *testing.T) {
	b := newBook(t)
	b.Refusals = nil
	b.refuse("busy", "192.0.2.1", " ")
	b.refuse("busy", "192.0.2.1", " ")
}
