package amf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits of one call of a decoding function.
const (
	// DepthMax is how many objects and arrays may lie in each other.
	DepthMax = 64
	// ValuesMax is how many values may be decoded, those behind references counted each time. The index of key
	// pictures that some tools add to a file's metadata is what needs thousands.
	ValuesMax = 32768
	// ExpandMax is how many bytes of text references may add to what really stands in the input.
	ExpandMax = 1 << 20
)

// nameMax is the longest name of a property or class that AMF0 can hold.
const nameMax = math.MaxUint16

// Causes that an [Error] may wrap, besides [io.ErrUnexpectedEOF].
var (
	ErrLimit       = errors.New("limit exceeded")
	ErrMarker      = errors.New("unknown type marker")
	ErrReference   = errors.New("reference to nothing or to what contains it")
	ErrUnsupported = errors.New("type not supported")
)

// Error says what could not be decoded, where it begins, and why.
type Error struct {
	Offset int
	What   string
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("amf: %s at offset %d: %v", e.What, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// decoder is a place in the input and an account of what was built so far. AMF0 and AMF3 share it, since a value of
// the one may contain values of the other.
type decoder struct {
	src     []byte
	off     int
	depth   int    // containers that are open
	deepest int    // greatest depth within the innermost container that is open
	values  int    // values built, with those behind references
	text    int    // bytes in strings, with those behind references
	refs    []slot // AMF0 reference table
}

// slot is an entry of a reference table, with what it costs to use it again.
type slot struct {
	value        any
	done         bool
	height       int // containers in each other, itself included
	values, text int
}

func fail(at int, what string, err error) error { return &Error{Offset: at, What: what, Err: err} }

// charge books values and text, and refuses what goes beyond the limits.
func (d *decoder) charge(at, values, text int) error {
	d.values += values
	d.text += text
	if d.values > ValuesMax {
		return fail(at, "value", fmt.Errorf("more than %d values: %w", ValuesMax, ErrLimit))
	}
	if d.text > len(d.src)+ExpandMax {
		return fail(at, "value", fmt.Errorf("more than %d bytes by reference: %w", ExpandMax, ErrLimit))
	}
	return nil
}

// container runs read as the content of an object or array that begins at offset at, and enters the result into the
// table. The place in the table is taken first, as inner containers number on from there.
func (d *decoder) container(table *[]slot, at int, read func() (any, error)) (any, error) {
	if d.depth == DepthMax {
		return nil, fail(at, "value", fmt.Errorf("nested more than %d deep: %w", DepthMax, ErrLimit))
	}
	i := len(*table)
	*table = append(*table, slot{})
	values, text, deepest := d.values, d.text, d.deepest
	d.depth++
	d.deepest = d.depth
	v, err := read()
	if err != nil {
		return nil, err
	}
	(*table)[i] = slot{
		value:  v,
		done:   true,
		height: d.deepest - d.depth + 1,
		values: d.values - values + 1,
		text:   d.text - text,
	}
	d.deepest = max(deepest, d.deepest)
	d.depth--
	return v, nil
}

// resolve returns entry i of a table. The value that refers has been charged for already.
func (d *decoder) resolve(table []slot, i uint32, at int) (any, error) {
	if uint64(i) >= uint64(len(table)) || !table[i].done {
		return nil, fail(at, "reference", fmt.Errorf("number %d of %d: %w", i, len(table), ErrReference))
	}
	s := table[i]
	if d.depth+s.height > DepthMax {
		return nil, fail(at, "reference", fmt.Errorf("nested more than %d deep: %w", DepthMax, ErrLimit))
	}
	d.deepest = max(d.deepest, d.depth+s.height)
	return s.value, d.charge(at, s.values-1, s.text)
}

// take returns the next n bytes of the input, not a copy.
func (d *decoder) take(n uint32, what string) ([]byte, error) {
	if uint64(n) > uint64(len(d.src)-d.off) {
		return nil, fail(d.off, what, io.ErrUnexpectedEOF)
	}
	b := d.src[d.off : d.off+int(n)]
	d.off += int(n)
	return b, nil
}

func (d *decoder) uint8(what string) (byte, error) {
	b, err := d.take(1, what)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (d *decoder) uint16(what string) (uint16, error) {
	b, err := d.take(2, what)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(b), nil
}

func (d *decoder) uint32(what string) (uint32, error) {
	b, err := d.take(4, what)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (d *decoder) float64(what string) (float64, error) {
	b, err := d.take(8, what)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

// string reads n bytes of text.
func (d *decoder) string(n uint32, what string) (string, error) {
	at := d.off
	b, err := d.take(n, what)
	if err != nil {
		return "", err
	}
	return string(b), d.charge(at, 0, len(b))
}
