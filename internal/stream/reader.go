package stream

import (
	"context"

	"github.com/vigil-media/vigil/internal/av"
)

// Reader takes units from a stream at its own pace. One goroutine uses it; Skips may be called by any.
type Reader struct {
	cursor[*av.AccessUnit]
}

// Read waits for at least one unit, takes as many as are there and fit into dst, and returns their number. The
// first unit ever, and the first after a skip, is a key unit. It returns ErrTooSlow, ErrNoKey, the stream's end cause after the last
// unit, or the context's cause.
func (r *Reader) Read(ctx context.Context, dst []*av.AccessUnit) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	it, _, err := r.wait(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for it != nil && n < len(dst) {
		dst[n] = it.value
		n++
		r.next++
		if it, _, err = r.peek(); err != nil {
			return n, nil //nolint:nilerr // the units come first; the next Read fails with the same error
		}
	}
	return n, nil
}

// Skips is how often the reader had to jump forward.
func (r *Reader) Skips() uint64 { return r.skips.Load() }
