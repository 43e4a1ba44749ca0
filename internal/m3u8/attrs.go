package m3u8

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Attr is one attribute of a list (4.2).
type Attr struct {
	Name   string
	Value  string // without its quotes
	Quoted bool
}

// Attrs is an attribute list, in the order of the line.
type Attrs []Attr

// Get returns the value of an attribute.
func (a Attrs) Get(name string) (value string, ok bool) {
	for i := range a {
		if a[i].Name == name {
			return a[i].Value, true
		}
	}
	return "", false
}

// Has says whether the attribute is there.
func (a Attrs) Has(name string) bool {
	_, ok := a.Get(name)
	return ok
}

// yes says whether an enumerated string is YES. Anything else is as if it were not there.
func (a Attrs) yes(name string) bool {
	v, _ := a.Get(name)
	return v == "YES"
}

const attrsMax = 256 // of one tag

// parseAttrs reads an attribute list. The text of the error tells what is wrong; "" if nothing is.
func parseAttrs(s string) (list Attrs, bad string) {
	for {
		name, rest, found := strings.Cut(s, "=")
		if !found || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return nil, "no attribute name and = at " + strconv.Quote(short(s))
		}
		if list.Has(name) {
			return nil, "attribute " + name + " twice"
		}
		if len(list) == attrsMax {
			return nil, "more than " + strconv.Itoa(attrsMax) + " attributes"
		}
		a := Attr{Name: name}
		if strings.HasPrefix(rest, `"`) {
			a.Quoted = true
			if a.Value, rest, found = strings.Cut(rest[1:], `"`); !found {
				return nil, name + ": no closing quote"
			}
			if rest != "" && rest[0] != ',' {
				return nil, name + ": something behind the closing quote"
			}
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			a.Value, rest = rest[:end], rest[end:]
			if a.Value == "" || strings.ContainsAny(a.Value, "\" \t") {
				return nil, name + ": unquoted value " + strconv.Quote(short(a.Value))
			}
		}
		list = append(list, a)
		if rest == "" {
			return list, ""
		}
		s = rest[1:]
	}
}

func short(s string) string {
	const most = 40
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// parseInteger reads a decimal-integer, 0 to 2^64-1 in 1 to 20 digits (4.2). Those beyond 2^63-1 are refused: nothing of ours
// counts so far.
func parseInteger(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 20 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseSeconds reads a decimal-floating-point of seconds, or a signed one, exactly to the nanosecond.
func parseSeconds(s string, signed bool) (time.Duration, bool) {
	negative := false
	if signed && strings.HasPrefix(s, "-") {
		negative, s = true, s[1:]
	}
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 10 || point && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n >= math.MaxInt64/int64(time.Second) {
		return 0, false
	}
	d := time.Duration(n) * time.Second
	if len(fraction) > 9 {
		fraction = fraction[:9]
	}
	if fraction != "" {
		f, err := strconv.ParseInt(fraction+"000000000"[len(fraction):], 10, 64)
		if err != nil {
			return 0, false
		}
		d += time.Duration(f)
	}
	if negative {
		d = -d
	}
	return d, true
}

// parseFloat reads a decimal-floating-point: digits and a point, no sign, no exponent.
func parseFloat(s string) (float64, bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || point && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// parseResolution reads a decimal-resolution, such as 1280x720.
func parseResolution(s string) (w, h int, ok bool) {
	a, b, found := strings.Cut(s, "x")
	wide, ok1 := parseInteger(a)
	high, ok2 := parseInteger(b)
	const most = 1 << 20
	if !found || !ok1 || !ok2 || wide > most || high > most {
		return 0, 0, false
	}
	return int(wide), int(high), true
}

// parseRange reads <n>[@<o>].
func parseRange(s string) (*ByteRange, bool) {
	length, start, at := strings.Cut(s, "@")
	n, ok := parseInteger(length)
	if !ok {
		return nil, false
	}
	r := &ByteRange{Length: n, Implicit: !at}
	if at {
		if r.Start, ok = parseInteger(start); !ok {
			return nil, false
		}
	}
	return r, true
}

// parseDate reads an ISO 8601 date and time as the specification wants it (4.4.4.6): with a zone, to the millisecond or finer.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
