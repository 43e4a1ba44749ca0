// Package sim makes the media that tests are fed with, and judges what comes out. Only tests import it.
//
// An [Encoder] makes units of any codec that survive a container byte by byte: real parameter sets, right headers, no
// start codes, stamps of whole milliseconds. Every unit carries a [Tag] at its end, from which a [Checker] knows which it
// is, whether its bytes are those that were written, and whether a reader got what a reader may get: a subsequence in
// order, DTS that never goes back on a track, and a key unit first and after every gap.
//
// Everything is a function of the options: two encoders with the same options make the same units. It starts no goroutine,
// reads no clock and no randomness.
package sim
