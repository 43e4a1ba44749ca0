package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, never negative. It is written as 64MiB, 500KB or 1048576.
type Size int64

// sizeUnit is a suffix and its worth in bytes.
type sizeUnit struct {
	suffix string
	bytes  int64
}

// sizeUnits lists what may follow the number, longest suffix first and the larger unit first.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"KB", 1e3},
		{"B", 1},
	}
}

// ParseSize reads a size: a whole number, then B, KB, MB, GB, TB, KiB, MiB, GiB, TiB (in any case) or nothing.
func ParseSize(text string) (Size, error) {
	number, scale := text, int64(1)
	for _, u := range sizeUnits() {
		cut := len(text) - len(u.suffix)
		if cut > 0 && strings.EqualFold(text[cut:], u.suffix) {
			number, scale = strings.TrimRight(text[:cut], " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0, fmt.Errorf(`"%s" is not a size such as 64MiB, 500KB or 1048576`, printable(text))
	}
	if n > math.MaxInt64/uint64(scale) {
		return 0, fmt.Errorf(`"%s" is too large for a size`, printable(text))
	}
	return Size(n) * Size(scale), nil
}

// String writes the size with the largest unit that divides it, so that ParseSize gives the same size back.
func (s Size) String() string {
	for _, u := range sizeUnits() {
		if n := int64(s); n != 0 && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	v, err := ParseSize(string(text))
	if err == nil {
		*s = v
	}
	return err
}
