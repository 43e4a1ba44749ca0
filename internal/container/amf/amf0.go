package amf

// Type markers of AMF0, section 2.1.
const (
	markNumber      = 0x00
	markBoolean     = 0x01
	markString      = 0x02
	markObject      = 0x03
	markMovieClip   = 0x04
	markNull        = 0x05
	markUndefined   = 0x06
	markReference   = 0x07
	markECMAArray   = 0x08
	markObjectEnd   = 0x09
	markStrictArray = 0x0A
	markDate        = 0x0B
	markLongString  = 0x0C
	markUnsupported = 0x0D
	markRecordSet   = 0x0E
	markXML         = 0x0F
	markTypedObject = 0x10
	markSwitch      = 0x11
)

// Decode reads a sequence of AMF0 values up to the end of b. With an error come the values before it.
func Decode(b []byte) ([]any, error) {
	d := decoder{src: b}
	var values []any
	for d.off < len(b) && (len(values) == 0 || !isTrailer(b[d.off:])) {
		v, err := d.value0()
		if err != nil {
			return values, err
		}
		values = append(values, v)
	}
	return values, nil
}

// DecodeFlex is [Decode] for the envelope of AMF3 commands: a 0 byte, which may be missing, and then AMF0 values,
// those of AMF3 behind the AVM+ mark. The first value must not be a number.
func DecodeFlex(b []byte) ([]any, error) {
	if len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return Decode(b)
}

// DecodeValue reads one AMF0 value and returns the bytes behind it.
func DecodeValue(b []byte) (v any, rest []byte, err error) {
	d := decoder{src: b}
	if v, err = d.value0(); err != nil {
		return nil, b, err
	}
	return v, b[d.off:], nil
}

// isTrailer reports whether b, behind the last value, is something that some encoders leave there.
func isTrailer(b []byte) bool {
	return b[0] > markSwitch || b[0] == markObjectEnd || string(b) == "\x00\x00\x09"
}

// value0 reads a value of any type.
func (d *decoder) value0() (any, error) {
	at := d.off
	mark, err := d.uint8("marker")
	if err != nil {
		return nil, err
	}
	if mark == markSwitch {
		return (&decoder3{decoder: d}).value()
	}
	if err := d.charge(at, 1, 0); err != nil {
		return nil, err
	}
	switch mark {
	case markNull:
		return nil, nil //nolint:nilnil // null is a value
	case markUndefined, markUnsupported:
		return Undefined{}, nil
	case markReference:
		i, err := d.uint16("reference")
		if err != nil {
			return nil, err
		}
		return d.resolve(d.refs, uint32(i), at)
	case markObject, markECMAArray, markStrictArray, markTypedObject:
		return d.container(&d.refs, at, func() (any, error) { return d.content0(mark) })
	case markMovieClip, markRecordSet:
		return nil, fail(at, "value", ErrUnsupported)
	default:
		return d.scalar0(mark, at)
	}
}

// scalar0 reads what follows the marker of a value that contains no others.
func (d *decoder) scalar0(mark byte, at int) (any, error) {
	switch mark {
	case markNumber:
		return d.float64("number")
	case markBoolean:
		b, err := d.uint8("boolean")
		return b != 0, err
	case markString:
		return d.string16("string")
	case markLongString:
		return d.string32("long string")
	case markXML:
		s, err := d.string32("XML document")
		return XML(s), err
	case markDate:
		millis, err := d.float64("date")
		if err != nil {
			return nil, err
		}
		zone, err := d.uint16("time zone")
		return Date{Millis: millis, Zone: int16(zone)}, err
	default:
		return nil, fail(at, "value", ErrMarker)
	}
}

// content0 reads what follows the marker of an object or array.
func (d *decoder) content0(mark byte) (any, error) {
	switch mark {
	case markECMAArray:
		if _, err := d.uint32("array count"); err != nil { // a hint only, and often wrong
			return nil, err
		}
		p, err := d.properties0()
		return ECMAArray(p), err
	case markStrictArray:
		return d.array0()
	case markTypedObject:
		class, err := d.string16("class name")
		if err != nil {
			return nil, err
		}
		p, err := d.properties0()
		return TypedObject{Class: class, Properties: p}, err
	default:
		p, err := d.properties0()
		return Object(p), err
	}
}

func (d *decoder) array0() (any, error) {
	n, err := d.uint32("array count")
	if err != nil {
		return nil, err
	}
	array := []any{}
	for range n {
		v, err := d.value0()
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	return array, nil
}

// properties0 reads named values up to the end mark: an empty name and the marker of an object's end.
func (d *decoder) properties0() ([]Property, error) {
	properties := []Property{}
	for {
		if d.isOpenEnd() {
			return properties, nil
		}
		name, err := d.string16("property name")
		if err != nil {
			return nil, err
		}
		if name == "" {
			if d.isOpenEnd() {
				return properties, nil
			}
			if d.off < len(d.src) && d.src[d.off] == markObjectEnd {
				d.off++
				return properties, nil
			}
		}
		v, err := d.value0()
		if err != nil {
			return nil, err
		}
		properties = append(properties, Property{Name: name, Value: v})
	}
}

// isOpenEnd reports whether the input ends here, in an outermost object which may then lack its end mark.
func (d *decoder) isOpenEnd() bool { return d.off == len(d.src) && d.depth == 1 }

func (d *decoder) string16(what string) (string, error) {
	n, err := d.uint16(what)
	if err != nil {
		return "", err
	}
	return d.string(uint32(n), what)
}

func (d *decoder) string32(what string) (string, error) {
	n, err := d.uint32(what)
	if err != nil {
		return "", err
	}
	return d.string(n, what)
}
