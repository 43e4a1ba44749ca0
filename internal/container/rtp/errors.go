package rtp

import (
	"errors"
	"fmt"
)

var (
	// ErrTracks is what [Packer.Err] returns once the stream's tracks are no longer those that were described: viewers have to
	// ask for a new description.
	ErrTracks = errors.New("tracks changed")
	// ErrNoForm is the cause when RTP has no payload format for a codec.
	ErrNoForm = errors.New("no RTP payload format")

	errShort    = errors.New("cut short")
	errTooLarge = errors.New("access unit too large")
	errTooMany  = fmt.Errorf("more than %d elements in an access unit", elementsMax)
)

// PacketError says which packet was bad and why. The stream goes on with the next packet.
type PacketError struct {
	Seq uint16 // sequence number; 0 when it could not be read
	Err error
}

// Error implements error.
func (e *PacketError) Error() string { return fmt.Sprintf("RTP packet %d: %v", e.Seq, e.Err) }

// Unwrap returns the cause.
func (e *PacketError) Unwrap() error { return e.Err }
