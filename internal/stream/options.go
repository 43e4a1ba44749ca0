package stream

import (
	"errors"
	"time"
)

// Options bound a stream. The zero value of a field means its default.
type Options struct {
	Units     int           // units in a ring, rounded up to a power of two; default 8192
	Bytes     int64         // bytes that a ring keeps alive; default 16 MiB
	Age       time.Duration // media time in a ring; default 60 s
	Keep      time.Duration // how long a unit is kept after it came, even when a newer key unit exists; default 1.5 s
	MaxLag    time.Duration // a reader further behind than this jumps, if a newer key unit exists; default 1.5 s
	MaxSkips  int           // jumps within a minute after which a reader is ended; default 30
	ShareIdle time.Duration // how long a share outlives its last viewer; default 10 s
	Stamps    StampMode     // default Relative
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if o.Units == 0 {
		o.Units = 8192
	}
	if o.Bytes == 0 {
		o.Bytes = 16 << 20
	}
	if o.MaxSkips == 0 {
		o.MaxSkips = 30
	}
	if o.Stamps == "" {
		o.Stamps = Relative
	}
	set(&o.Age, time.Minute)
	set(&o.Keep, 1500*time.Millisecond)
	set(&o.MaxLag, 1500*time.Millisecond)
	set(&o.ShareIdle, 10*time.Second)
	return o
}

// Errors that end readers and publishers.
var (
	// ErrFenced is what a publisher gets that is no longer the stream's owner.
	ErrFenced = errors.New("fenced: another publisher owns the stream")
	// ErrTooSlow ends a reader that had to skip too often.
	ErrTooSlow = errors.New("too slow: skipped too often")
	// ErrNoKey ends a reader that has waited for a key unit for too long.
	ErrNoKey = errors.New("no key unit for too long")
	// ErrUnstable ends a publisher whose tracks change more often than viewers can be told of.
	ErrUnstable = errors.New("the tracks change too often")
	// ErrMuxer ends the viewers of a share whose muxer failed.
	ErrMuxer = errors.New("the muxer failed")
)
