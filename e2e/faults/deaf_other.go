//go:build !linux

package faults

import (
	"errors"
	"net"
	"syscall"
)

func deafen(*net.TCPConn) error { return errors.ErrUnsupported }

func undeafen(*net.TCPConn) error { return errors.ErrUnsupported }

func smallWindow(_, _ string, _ syscall.RawConn) error { return nil }
