//go:build !linux

package main

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

// canSupervise says whether this system has what a supervisor needs.
const canSupervise = false

// evidenceSignals are those that a server obeys while it serves.
func evidenceSignals() []os.Signal { return []os.Signal{syscall.SIGHUP} }

// worker is a worker's line to its supervisor: here there is none.
type worker struct{}

func attach() (*worker, error) { return nil, nil } //nolint:nilnil // there is none

func (*worker) attend(context.Context, *server.Options, context.CancelCauseFunc) {}
func (*worker) serves(*server.Server)                                            {}
func (*worker) lost() error                                                      { return nil }
func (*worker) failed(error)                                                     {}

func supervised(*settings, *conf.Config) error {
	return errors.New("there is no supervisor on this system: use --no-supervisor")
}
