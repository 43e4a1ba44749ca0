package amf

import "slices"

// Undefined is the value undefined, which is not null.
type Undefined struct{}

// Date is a moment: milliseconds since 1970-01-01 UTC. The zone, in minutes, is reserved and normally 0.
type Date struct {
	Millis float64
	Zone   int16
}

// XML is the text of an XML document.
type XML string

// Property is a named value.
type Property struct {
	Name  string
	Value any
}

// Object is an anonymous object: its properties in order.
type Object []Property

// ECMAArray is an associative array. It differs from an Object only on the wire.
type ECMAArray []Property

// TypedObject is an object together with the name of its class.
type TypedObject struct {
	Class      string
	Properties Object
}

// Properties returns what v holds by name if it is any kind of object or associative array.
func Properties(v any) (Object, bool) {
	switch v := v.(type) {
	case Object:
		return v, true
	case ECMAArray:
		return Object(v), true
	case TypedObject:
		return v.Properties, true
	default:
		return nil, false
	}
}

// Get returns the value of the property name. Where a name occurs twice the last one counts, as in a player.
func (o Object) Get(name string) (any, bool) {
	for _, p := range slices.Backward(o) {
		if p.Name == name {
			return p.Value, true
		}
	}
	return nil, false
}

// String returns the property name if it is a string.
func (o Object) String(name string) (string, bool) { return property[string](o, name) }

// Number returns the property name if it is a number.
func (o Object) Number(name string) (float64, bool) { return property[float64](o, name) }

// Bool returns the property name if it is a boolean.
func (o Object) Bool(name string) (value, ok bool) { return property[bool](o, name) }

// Get is [Object.Get] for an array.
func (a ECMAArray) Get(name string) (any, bool) { return Object(a).Get(name) }

// String is [Object.String] for an array.
func (a ECMAArray) String(name string) (string, bool) { return Object(a).String(name) }

// Number is [Object.Number] for an array.
func (a ECMAArray) Number(name string) (float64, bool) { return Object(a).Number(name) }

// Bool is [Object.Bool] for an array.
func (a ECMAArray) Bool(name string) (value, ok bool) { return Object(a).Bool(name) }

func property[T any](o Object, name string) (T, bool) {
	v, _ := o.Get(name)
	t, ok := v.(T)
	return t, ok
}
