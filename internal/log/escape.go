package log

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"
)

// valueBytesMax bounds one message or value; it leaves room for the stack of a goroutine.
const valueBytesMax = 8 << 10

// cut bounds s, at the border of a character.
func cut(s string) string {
	if len(s) <= valueBytesMax {
		return s
	}
	n := valueBytesMax
	for n > valueBytesMax-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// appendAttr writes " key=value"; a group's attributes become "group.key".
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			if len(b) > 2*lineBytesMax {
				break
			}
			b = appendAttr(b, prefix, inner)
		}
		return b
	}
	if a.Key == "" && v.Kind() == slog.KindAny && v.Any() == nil {
		return b
	}
	if prefix == "" {
		switch a.Key {
		case StreamKey:
			return appendEscaped(append(b, ' '), text(v))
		case TracksKey, CauseKey:
			return appendEscaped(append(b, ": "...), text(v))
		}
	}
	b = append(b, ' ')
	if prefix == "" {
		b = appendWord(b, a.Key)
	} else {
		b = appendWord(b, prefix+a.Key)
	}
	return appendValue(append(b, '='), v)
}

// text is a value that is resolved, as it would be printed.
func text(v slog.Value) string {
	if v.Kind() == slog.KindString {
		return cut(v.String())
	}
	return cut(fmt.Sprintf("%+v", v.Any())) // fmt catches panics of String and Error
}

// appendValue writes a value that is resolved, in quotes when it is more than a word.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() { //nolint:exhaustive // the others go through fmt
	case slog.KindString:
		return appendWord(b, cut(v.String()))
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	}
	return appendWord(b, text(v))
}

// appendWord writes s, in quotes when it is not one plain word.
func appendWord(b []byte, s string) []byte {
	if plain(s, true) && s != "" {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// appendEscaped writes s as it is, but for what does not print: control bytes, line ends, invalid UTF-8, invisible
// characters and those that change the direction of text.
func appendEscaped(b []byte, s string) []byte {
	if plain(s, false) {
		return append(b, s...)
	}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b = append(b, s[:n]...)
		} else {
			start := len(b)
			b = strconv.AppendQuote(b, s[:n])
			b = append(b[:start], b[start+1:len(b)-1]...)
		}
		s = s[n:]
	}
	return b
}

// plain reports whether s can stand in a line as it is; as a word, if it must need no quotes either.
func plain(s string, word bool) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return plainUnicode(s[i:], word)
		}
		if c < ' ' || c == 0x7f || word && (c == ' ' || c == '"' || c == '=' || c == '\\') {
			return false
		}
	}
	return true
}

func plainUnicode(s string, word bool) bool {
	for i, r := range s {
		if !strconv.IsPrint(r) || word && (r == ' ' || r == '"' || r == '=' || r == '\\') {
			return false
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
	}
	return true
}
