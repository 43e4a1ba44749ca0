// Package av holds the words that the rest of Vigil speaks: [Track], [Codec], [AccessUnit] and media time.
//
// It is pure data. It does no I/O, takes no lock, starts no goroutine, reads no clock and logs nothing; it knows no
// protocol, no container and no stream. Codec headers are read with mediacommon, once per parameter set and never
// per unit and viewer.
//
// A [Track] and an [AccessUnit] are immutable once they have been handed on, and may then be read by any
// number of goroutines. A parameter set that changes in mid-stream is another Track with the same ID: units after the
// change point to it, so that the news travels in order with the media.
package av
