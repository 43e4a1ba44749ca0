//go:build !linux

package watch

// NewStarved returns what says whether processes wait for processors for much of the time. This system does not tell: it is always false.
func NewStarved() func() bool { return func() bool { return false } }
