// Package stream is the data plane: one [Stream] holds the units of one live publication in a ring, from which any
// number of readers take at their own pace.
//
//	Publisher.Write -> ring of units -> Reader         (readers with a pace of their own)
//	                \-> each active Share: mux once -> ring of bytes -> Viewer -> egress
//
// There is exactly one writer, the [Publisher] whose epoch is the newest, and it never waits for a reader: a ring is a
// bounded array that the writer overwrites, a reader is a position in it. What others call a GOP cache is a
// position too: a newcomer starts at the newest key unit that the ring still holds. A reader that falls
// behind jumps forward to the newest key unit; one that does so too often is ended with [ErrTooSlow].
//
// Memory per stream is bounded by [Options], in units, bytes and time, whatever the number of readers.
//
// The package names no protocol and no container: a [Muxer] is given to it by those who know both. It does no I/O, logs
// nothing and starts no goroutine. A stream's lock guards memory only; it is a leaf in the lock order.
package stream
