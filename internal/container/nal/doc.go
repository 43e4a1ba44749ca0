// Package nal says what NAL units of H.264 and H.265 are to a track, and keeps a track's parameter sets. How NAL units lie in
// bytes is the business of the formats that carry them; here they have neither a start code nor a length before them.
//
// # Looking
//
// [KindOf] tells parameter sets from parts of a picture, [Starts] finds where an access unit begins, [Recovers] finds a
// recovery point. They look at some bytes at the front and take any bytes, none too.
//
// # Parameter sets
//
//	next := sets.Share() // of the track in use: copied when something in it changes
//	changed, err := next.Put(av.H264, b)
//	if err == nil && changed {
//		track, err = next.Track(1, av.H264) // nil as long as a kind is missing
//	}
//
// [Sets] knows each by its number, so that one that changes takes the place of the old one, and stays within the limits of
// [av.Track], whatever a publisher sends.
//
// # Must not know
//
// No format that carries NAL units, no I/O, no clock, no goroutine, no log. A Sets belongs to one goroutine; everything else
// is pure. A codec that is not H264 is taken for H265.
//
// # Specifications
//
//   - ITU-T H.264, 7.3.2 (parameter sets and SEI), 7.4.1 (order of NAL units), D.2.8 (recovery point)
//   - ITU-T H.265, 7.3.1 to 7.3.3 (NAL units, parameter sets, profile and level), 7.4.2 (order of NAL units)
package nal
