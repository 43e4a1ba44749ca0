//go:build !linux

package server

import "syscall"

// setSocketOptions does nothing: keep-alive and write deadlines must do.
func setSocketOptions(_, _ string, _ syscall.RawConn) error { return nil }
