package flv

import (
	"errors"
	"fmt"
)

// ErrNoConfig is the cause when a unit cannot be used because its track's configuration (the sequence header, or for
// VP8 and VP9 a key frame) has not come yet.
var ErrNoConfig = errors.New("no decoder configuration yet")

var errShort = errors.New("cut short")

// UnsupportedError is the cause when something is well formed but of a kind that Vigil does not carry. What comes in
// part from the publisher: who keeps a list of causes must limit it.
type UnsupportedError struct {
	What string // such as "audio format 11 (Speex)"
}

// Error implements error.
func (e *UnsupportedError) Error() string { return e.What + " is not supported" }

// TagError says which tag was bad, where and why. [errors.Is] with [ErrNoConfig] and [errors.As] with
// [*UnsupportedError] tell the kinds apart that are not the mark of a broken stream.
type TagError struct {
	Type   TagType
	Time   uint32
	Offset int // in the body
	Err    error
}

// Error implements error.
func (e *TagError) Error() string {
	return fmt.Sprintf("flv: %v tag at %d ms, offset %d: %v", e.Type, e.Time, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *TagError) Unwrap() error { return e.Err }
