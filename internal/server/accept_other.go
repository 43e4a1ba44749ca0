//go:build !linux

package server

import (
	"errors"
	"net"
	"syscall"
)

// raiseDescriptorLimit leaves the limit as it is, and does not know it.
func raiseDescriptorLimit() int { return unlimitedMost }

// lacksDescriptors says whether a connection could not be accepted because there is no descriptor for it.
func lacksDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// spareDescriptor is none: those who wait to be accepted wait on.
type spareDescriptor struct{}

func (*spareDescriptor) take() {}

func (*spareDescriptor) drop() bool { return false }

func (*spareDescriptor) refuseWaiting(net.Listener) int { return 0 }
