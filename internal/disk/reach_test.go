package disk

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
)

// What may not be read is nothing to be read, and no fault of the disk: whoever asks for it again and again does not have the volume found failing. What
// the disk fails is one.
func TestReach(t *testing.T) {
	for fault, none := range map[error]bool{
		syscall.EACCES: true, syscall.EPERM: true, syscall.ENOENT: true, errors.New("path escapes from parent"): true, syscall.EIO: false, syscall.ESTALE: false,
	} {
		err := reach(&fs.PathError{Op: "openat", Path: "x", Err: fault})
		if isNone(err) != none || isFailure(err) == none {
			t.Errorf("%v: none: %v, a failure: %v", fault, isNone(err), isFailure(err))
		}
	}
}
