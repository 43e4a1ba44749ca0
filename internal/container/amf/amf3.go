package amf

import (
	"fmt"
	"strconv"
)

// Type markers of AMF3, section 3.1. Those above are vectors and dictionaries.
const (
	mark3Undefined   = 0x00
	mark3Null        = 0x01
	mark3False       = 0x02
	mark3True        = 0x03
	mark3Integer     = 0x04
	mark3Double      = 0x05
	mark3String      = 0x06
	mark3XMLDocument = 0x07
	mark3Date        = 0x08
	mark3Array       = 0x09
	mark3Object      = 0x0A
	mark3XML         = 0x0B
	mark3ByteArray   = 0x0C
	mark3Dictionary  = 0x11
)

// decoder3 adds AMF3's reference tables, which begin anew at each AVM+ mark.
type decoder3 struct {
	*decoder
	strings []string
	objects []slot
	traits  []traits
}

// traits are the class of an object: the names of its fixed members, and whether others may follow.
type traits struct {
	class   string
	names   []string
	dynamic bool
}

// DecodeAMF3 reads one AMF3 value and returns the bytes behind it.
func DecodeAMF3(b []byte) (v any, rest []byte, err error) {
	d := decoder3{decoder: &decoder{src: b}}
	if v, err = d.value(); err != nil {
		return nil, b, err
	}
	return v, b[d.off:], nil
}

// value reads a value of any type.
func (d *decoder3) value() (any, error) {
	at := d.off
	mark, err := d.uint8("marker")
	if err != nil {
		return nil, err
	}
	if err := d.charge(at, 1, 0); err != nil {
		return nil, err
	}
	switch mark {
	case mark3Undefined:
		return Undefined{}, nil
	case mark3Null:
		return nil, nil //nolint:nilnil // null is a value
	case mark3False, mark3True:
		return mark == mark3True, nil
	case mark3Integer:
		u, err := d.uint29("integer")
		return float64(int32(u<<3) >> 3), err
	case mark3Double:
		return d.float64("double")
	case mark3String:
		return d.string("string")
	case mark3XMLDocument, mark3XML, mark3Date, mark3ByteArray, mark3Array, mark3Object:
		return d.referable(mark, at)
	default:
		if mark <= mark3Dictionary {
			return nil, fail(at, "value", ErrUnsupported)
		}
		return nil, fail(at, "value", ErrMarker)
	}
}

// referable reads a value of a type that may come as a reference to an earlier one: bit 0 of its head is then 0.
func (d *decoder3) referable(mark byte, at int) (any, error) {
	head, err := d.uint29("head")
	if err != nil {
		return nil, err
	}
	if head&1 == 0 {
		return d.resolve(d.objects, head>>1, at)
	}
	switch mark {
	case mark3Array:
		return d.container(&d.objects, at, func() (any, error) { return d.array(head >> 1) })
	case mark3Object:
		return d.container(&d.objects, at, func() (any, error) { return d.object(head, at) })
	default:
		text := d.text
		v, err := d.leaf(mark, head>>1)
		if err != nil {
			return nil, err
		}
		d.objects = append(d.objects, slot{value: v, done: true, values: 1, text: d.text - text})
		return v, nil
	}
}

// leaf reads a referable value that contains no others; n is the length of those that have one.
func (d *decoder3) leaf(mark byte, n uint32) (any, error) {
	switch mark {
	case mark3Date:
		millis, err := d.float64("date")
		return Date{Millis: millis}, err
	case mark3ByteArray:
		at := d.off
		b, err := d.take(n, "byte array")
		if err != nil {
			return nil, err
		}
		return append([]byte{}, b...), d.charge(at, 0, len(b))
	default:
		s, err := d.decoder.string(n, "XML document")
		return XML(s), err
	}
}

// array reads named members and then n dense ones.
func (d *decoder3) array(n uint32) (any, error) {
	named, err := d.members(nil)
	if err != nil {
		return nil, err
	}
	dense := []any{}
	for range n {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		dense = append(dense, v)
	}
	if len(named) == 0 {
		return dense, nil
	}
	for i, v := range dense {
		named = append(named, Property{Name: strconv.Itoa(i), Value: v})
	}
	return ECMAArray(named), nil
}

func (d *decoder3) object(head uint32, at int) (any, error) {
	t, err := d.class(head, at)
	if err != nil {
		return nil, err
	}
	if err = d.charge(at, 0, len(t.class)); err != nil {
		return nil, err
	}
	properties := []Property{}
	for _, name := range t.names {
		if err = d.charge(at, 0, len(name)); err != nil {
			return nil, err
		}
		p := Property{Name: name}
		if p.Value, err = d.value(); err != nil {
			return nil, err
		}
		properties = append(properties, p)
	}
	if t.dynamic {
		if properties, err = d.members(properties); err != nil {
			return nil, err
		}
	}
	if t.class != "" {
		return TypedObject{Class: t.class, Properties: properties}, nil
	}
	return Object(properties), nil
}

// class reads traits, or finds them in their table: bit 1 of the head is then 0.
func (d *decoder3) class(head uint32, at int) (traits, error) {
	if head&2 == 0 {
		i := head >> 2
		if uint64(i) >= uint64(len(d.traits)) {
			return traits{}, fail(at, "traits", fmt.Errorf("number %d of %d: %w", i, len(d.traits), ErrReference))
		}
		return d.traits[i], nil
	}
	if head&4 != 0 {
		return traits{}, fail(at, "externalizable object", ErrUnsupported)
	}
	t := traits{dynamic: head&8 != 0}
	var err error
	if t.class, err = d.name("class name"); err != nil {
		return traits{}, err
	}
	for range head >> 4 {
		name, err := d.name("member name")
		if err != nil {
			return traits{}, err
		}
		t.names = append(t.names, name)
	}
	d.traits = append(d.traits, t)
	return t, nil
}

// members appends named values up to an empty name.
func (d *decoder3) members(p []Property) ([]Property, error) {
	for {
		name, err := d.name("member name")
		if err != nil || name == "" {
			return p, err
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		p = append(p, Property{Name: name, Value: v})
	}
}

// name reads a string that AMF0, too, could use as a name.
func (d *decoder3) name(what string) (string, error) {
	at := d.off
	s, err := d.string(what)
	if err == nil && len(s) > nameMax {
		return "", fail(at, what, fmt.Errorf("%d bytes: %w", len(s), ErrLimit))
	}
	return s, err
}

// string reads a string or a reference to an earlier one. The empty string is never in the table.
func (d *decoder3) string(what string) (string, error) {
	at := d.off
	head, err := d.uint29(what)
	if err != nil {
		return "", err
	}
	i := head >> 1
	if head&1 == 0 {
		if uint64(i) >= uint64(len(d.strings)) {
			return "", fail(at, what, fmt.Errorf("string %d of %d: %w", i, len(d.strings), ErrReference))
		}
		return d.strings[i], d.charge(at, 0, len(d.strings[i]))
	}
	s, err := d.decoder.string(i, what)
	if s != "" {
		d.strings = append(d.strings, s)
	}
	return s, err
}

// uint29 reads an integer of 1 to 4 bytes, section 1.3.1: 7 bits each, but 8 in the fourth.
func (d *decoder3) uint29(what string) (uint32, error) {
	var u uint32
	for range 3 {
		b, err := d.uint8(what)
		if err != nil {
			return 0, err
		}
		u = u<<7 | uint32(b&0x7F)
		if b < 0x80 {
			return u, nil
		}
	}
	b, err := d.uint8(what)
	return u<<8 | uint32(b), err
}
