package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// byteArrayMax is the longest byte array that AMF3 can hold.
const byteArrayMax = 1<<28 - 1

// Append appends values to dst as AMF0. It takes the types that decoding gives, and int, int64, uint32 and uint64 as
// numbers. Another type, or a name of more than 65535 bytes, is a mistake of the caller: Append panics.
func Append(dst []byte, values ...any) []byte {
	for _, v := range values {
		dst = appendValue(dst, v)
	}
	return dst
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, markNull)
	case Undefined:
		return append(dst, markUndefined)
	case bool:
		if v {
			return append(dst, markBoolean, 1)
		}
		return append(dst, markBoolean, 0)
	case float64:
		return appendNumber(dst, v)
	case int:
		return appendNumber(dst, float64(v))
	case int64:
		return appendNumber(dst, float64(v))
	case uint32:
		return appendNumber(dst, float64(v))
	case uint64:
		return appendNumber(dst, float64(v))
	case string:
		if len(v) > math.MaxUint16 {
			return appendText(append(dst, markLongString), v)
		}
		return appendName(append(dst, markString), v)
	default:
		return appendComplex(dst, v)
	}
}

func appendComplex(dst []byte, v any) []byte {
	switch v := v.(type) {
	case Object:
		return appendProperties(append(dst, markObject), v)
	case ECMAArray:
		dst = binary.BigEndian.AppendUint32(append(dst, markECMAArray), uint32(len(v)))
		return appendProperties(dst, v)
	case TypedObject:
		return appendProperties(appendName(append(dst, markTypedObject), v.Class), v.Properties)
	case []any:
		dst = binary.BigEndian.AppendUint32(append(dst, markStrictArray), uint32(len(v)))
		return Append(dst, v...)
	case Date:
		dst = appendFloat(append(dst, markDate), v.Millis)
		return binary.BigEndian.AppendUint16(dst, uint16(v.Zone))
	case XML:
		return appendText(append(dst, markXML), string(v))
	case []byte:
		return appendByteArray(append(dst, markSwitch, mark3ByteArray), v)
	default:
		panic(fmt.Sprintf("amf: cannot encode a %T", v))
	}
}

func appendProperties(dst []byte, properties []Property) []byte {
	for _, p := range properties {
		dst = appendValue(appendName(dst, p.Name), p.Value)
	}
	return append(dst, 0, 0, markObjectEnd)
}

func appendNumber(dst []byte, f float64) []byte { return appendFloat(append(dst, markNumber), f) }

func appendFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
}

// appendName appends a string with a length of 16 bits.
func appendName(dst []byte, s string) []byte {
	if len(s) > nameMax {
		panic(fmt.Sprintf("amf: cannot encode a name of %d bytes", len(s)))
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// appendText appends a string with a length of 32 bits.
func appendText(dst []byte, s string) []byte {
	if uint64(len(s)) > math.MaxUint32 {
		panic(fmt.Sprintf("amf: cannot encode a string of %d bytes", len(s)))
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// appendByteArray appends an AMF3 byte array without its marker.
func appendByteArray(dst, b []byte) []byte {
	if len(b) > byteArrayMax {
		panic(fmt.Sprintf("amf: cannot encode an array of %d bytes", len(b)))
	}
	return append(appendUint29(dst, uint32(len(b))<<1|1), b...)
}

// appendUint29 appends an integer of at most 29 bits in AMF3's form.
func appendUint29(dst []byte, u uint32) []byte {
	switch {
	case u < 1<<7:
		return append(dst, byte(u))
	case u < 1<<14:
		return append(dst, byte(u>>7)|0x80, byte(u)&0x7F)
	case u < 1<<21:
		return append(dst, byte(u>>14)|0x80, byte(u>>7)|0x80, byte(u)&0x7F)
	default:
		return append(dst, byte(u>>22)|0x80, byte(u>>15)|0x80, byte(u>>8)|0x80, byte(u))
	}
}
