package log

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// lineBytesMax bounds a line of text, newline not counted; what is longer is cut.
const lineBytesMax = 16 << 10

// textHandler formats records for people.
type textHandler struct {
	out      fan
	level    slog.Leveler
	buffers  *sync.Pool // of *[]byte
	protocol string     // columns, ready to print
	session  string
	attrs    []byte // of With, ready to print
	group    string // prefix of keys, with its dot
}

func newText(out fan, level slog.Leveler) *textHandler {
	return &textHandler{out: out, level: level, buffers: &sync.Pool{New: func() any {
		b := make([]byte, 0, 1024)
		return &b
	}}}
}

// Enabled implements slog.Handler.
func (h *textHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// WithGroup implements slog.Handler.
func (h *textHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group += name + "."
	return &c
}

// WithAttrs implements slog.Handler.
func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(c.attrs)
	for _, a := range attrs {
		switch column := h.column(a); column {
		case ProtocolKey:
			c.protocol = string(appendColumn(nil, a.Value))
		case SessionKey:
			c.session = string(appendColumn(nil, a.Value))
		default:
			c.attrs = appendAttr(c.attrs, h.group, a)
		}
	}
	return &c
}

// column gives the attribute's key when it is a column, "" otherwise.
func (h *textHandler) column(a slog.Attr) string {
	if h.group == "" && (a.Key == ProtocolKey || a.Key == SessionKey) {
		return a.Key
	}
	return ""
}

// Handle implements slog.Handler. It never blocks and never fails.
func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	buf, _ := h.buffers.Get().(*[]byte)
	b := (*buf)[:0]
	if !r.Time.IsZero() {
		b = append(appendTime(b, r.Time), ' ')
	}
	b = append(appendLevel(b, r.Level), ' ')
	b = h.appendColumns(b, &r)
	b = appendEscaped(b, cut(r.Message))
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		if h.column(a) == "" {
			b = appendAttr(b, h.group, a)
		}
		return len(b) <= lineBytesMax
	})
	if len(b) > lineBytesMax {
		b = append(b[:lineBytesMax], '.', '.', '.')
	}
	b = append(b, '\n')
	_, _ = h.out.Write(b)
	if cap(b) <= 4*1024 {
		*buf = b
		h.buffers.Put(buf)
	}
	return nil
}

// appendColumns writes protocol and session, the record's own before the handler's.
func (h *textHandler) appendColumns(b []byte, r *slog.Record) []byte {
	for _, c := range [...]struct{ key, text string }{{ProtocolKey, h.protocol}, {SessionKey, h.session}} {
		start := len(b)
		r.Attrs(func(a slog.Attr) bool {
			if h.column(a) == c.key {
				b = appendColumn(b[:start], a.Value)
			}
			return true
		})
		if len(b) == start {
			b = append(b, c.text...)
		}
	}
	return b
}

// appendColumn writes a column and a space, or nothing for an empty one.
func appendColumn(b []byte, v slog.Value) []byte {
	if v = v.Resolve(); v.Kind() == slog.KindString && v.String() == "" {
		return b
	}
	return append(appendValue(b, v), ' ')
}

// appendTime writes the local time of day to the millisecond.
func appendTime(b []byte, t time.Time) []byte {
	h, m, s := t.Clock()
	ms := t.Nanosecond() / 1e6
	two := func(n int, sep byte) { b = append(b, '0'+byte(n/10), '0'+byte(n%10), sep) }
	two(h, ':')
	two(m, ':')
	two(s, '.')
	return append(b, '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10))
}

// appendLevel writes the level in three letters.
func appendLevel(b []byte, l slog.Level) []byte {
	switch l {
	case slog.LevelDebug:
		return append(b, "DBG"...)
	case slog.LevelInfo:
		return append(b, "INF"...)
	case slog.LevelWarn:
		return append(b, "WRN"...)
	case slog.LevelError:
		return append(b, "ERR"...)
	}
	return append(b, l.String()...)
}
