package mpegts

import (
	"errors"
	"fmt"
)

var (
	// ErrSync is the cause when there was something that is no packet.
	ErrSync = errors.New("no sync byte")
	// ErrLost is the cause when packets are missing before one.
	ErrLost = errors.New("packets lost")

	errShort     = errors.New("cut short")
	errCRC       = errors.New("wrong CRC")
	errDamaged   = errors.New("marked as damaged")
	errScrambled = errors.New("scrambled")
	errTooLarge  = fmt.Errorf("PES packets of more than %d bytes", unitMax)
	errTooMany   = fmt.Errorf("more than %d NAL units in an access unit", elementsMax)
	errNoTime    = errors.New("no time stamp")
	errFrame     = errors.New("no frame header")
	errBlocks    = errors.New("ADTS frame of several blocks")
)

// UnsupportedError is the cause when something is well formed but of a kind that Vigil does not carry.
type UnsupportedError struct {
	What string // such as "stream type 0x02"
}

// Error implements error.
func (e *UnsupportedError) Error() string { return e.What + " is not supported" }

// PacketError says at which packet something was bad, and why. The stream goes on.
type PacketError struct {
	PID    uint16
	Packet int64 // its number, from 1; 0 before the first
	Err    error
}

// Error implements error.
func (e *PacketError) Error() string {
	return fmt.Sprintf("mpegts: packet %d, PID %#x: %v", e.Packet, e.PID, e.Err)
}

// Unwrap returns the cause.
func (e *PacketError) Unwrap() error { return e.Err }
