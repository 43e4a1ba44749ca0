// Package segment cuts the units of a stream into the segments and parts of HTTP Live Streaming, and writes the playlists of them.
//
// # Cutting
//
// A [Cutter] is fed with entries of a stream and makes an [Edition] after each batch: what can be played at that moment, which never
// changes. A segment begins with a key picture of the leading track, the first of video, or of audio where there is none, and lasts for
// Options.Segment at least; if no key picture comes for longer than the target duration, it ends without one. Parts, of fMP4 only, are as
// many frames of the leading track as fit into the part target. What is in between of other tracks goes with it.
//
// The target duration and the part target are found out from the stream when the first unit comes, and stay what they are, as RFC 8216bis
// wants it (6.2.1). A part ends when the next unit of the leading track has come, so that its duration is known.
//
// Where the tracks change, another publisher goes on, units were lost, or time jumps, another segment begins, with a discontinuity.
//
// # Playlists
//
// Playlists are written once for each edition, compressed and shortened once if anybody asks for that.
//
// # Must not know
//
// No I/O, no goroutine, no clock but that of the entries, no log. A Cutter belongs to one goroutine; editions may be read by any.
//
// # Specifications
//
//   - draft-pantos-hls-rfc8216bis: 4.4 (tags), 6.2 (server), 6.2.5 (playlist delta updates, blocking reload), appendix B (low latency)
package segment
