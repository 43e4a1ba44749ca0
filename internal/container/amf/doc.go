// Package amf turns Action Message Format values into bytes and back: AMF0 both ways, AMF3 for reading only.
// Commands of Flash-born protocols and the metadata tag of FLV files are made of such values.
//
// # Values
//
// A decoded value is one of:
//
//	nil, bool, float64, string   null, boolean, number (AMF3 integers too), short and long string
//	Undefined                    undefined, and AMF0's "unsupported" mark
//	Object, ECMAArray            properties in the order in which they came
//	TypedObject                  an object that names its class
//	[]any                        strict array, dense AMF3 array
//	Date, XML                    date, XML document
//	[]byte                       AMF3 byte array
//
// An AMF3 array with named members is an ECMAArray whose dense part is named "0", "1" and so on. [Append] takes the
// same types, and Go integers for convenience; whatever was decoded can be encoded. A byte array, which AMF0 lacks,
// is written behind the AVM+ mark that announces AMF3.
//
// References (AMF0 2.9, AMF3 2.2) give the value that they name once more; slices inside are then shared, so treat
// decoded values as read-only. A value that contains itself is refused.
//
// # Leniency
//
// An ECMA array ends at its end mark whatever its count says; an outermost object may lack its end mark where the
// input ends; bytes behind a sequence which cannot begin a value, or a lone second end mark, are ignored.
// Strings are not checked to be UTF-8.
//
// # Limits
//
// [DepthMax], [ValuesMax] and [ExpandMax] bound what one call may build. Memory grows with the bytes that are really
// there, never with a length that they claim.
//
// # Not here
//
// The package knows nothing of commands, tags, connections or clocks. AMF3 vectors, dictionaries and externalizable
// objects are refused with [ErrUnsupported].
//
// Functions are pure and safe for concurrent use.
//
// Specifications: "Action Message Format -- AMF 0" (2007-12-11), sections 2 and 3; "Action Message Format -- AMF 3"
// (January 2013), sections 1.3 and 3.
package amf
