//go:build !wedge

package wedge

import (
	"context"
	"net/http"
	"time"
)

// Enabled says whether anything can be made to hang.
const Enabled = false

// At is a point at which a goroutine can be made to hang.
func At(string) {}

// Handler arms and releases points. disk has an operation done on a disk.
func Handler(func(ctx context.Context, op func() error) error) http.Handler {
	return http.NotFoundHandler()
}

// Grace is how long after its start a program does nothing about what is stuck.
func Grace(usual time.Duration) time.Duration { return usual }
