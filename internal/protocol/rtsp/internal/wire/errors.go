package wire

import (
	"errors"
	"fmt"
)

// Reasons why reading failed. All are final for the byte stream, because nobody knows where the next message begins.
var (
	ErrHead      = errors.New("a message's head is too long")        // answer 400 or nothing
	ErrBody      = errors.New("a message's body is too long")        // answer 413
	ErrMalformed = errors.New("not a message of RTSP")               // answer 400
	ErrStray     = errors.New("too many bytes that mean nothing")    // answer nothing
	ErrURL       = errors.New("not a URL of RTSP")                   // of ParseURL: answer 400
	ErrTransport = errors.New("no transport that can be understood") // of ParseTransports: answer 461
)

// Error says where in the byte stream reading failed, and why.
type Error struct {
	Offset  uint64   // of the message that is at fault
	Request *Request // if its head was understood, so that it can be answered; without a body
	Err     error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("rtsp: at offset %d: %v", e.Offset, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
