// Package fmp4 turns access units into fragmented MP4 and fragmented MP4 into access units. Browsers play it by Media Source
// Extensions, playlists cut it into parts, and recordings are files of it.
//
// # Writing
//
// [AppendInit] writes what a decoder needs first, the initialization segment. A [Fragment] writes media segments after it, a
// moof and an mdat each: a unit at a time, or parts of many units. A [Muxer] does both for live viewers.
//
//	b := fmp4.AppendInit(nil, tracks)
//	var f fmp4.Fragment
//	b = f.Unit(b, u) // for each unit: live
//
//	err := f.Add(u)       // for each unit of a part
//	b = f.Append(b, next) // next is when the next part begins
//
// A track's track_ID is its ID in the stream, so that init segments and fragments need no table between them.
//
// # Time
//
// The time of media is the time of the stream: there is no edit list and nothing is shifted, unless Fragment.Origin says so.
// The tfdt of each fragment is the DTS of its first unit, converted by itself and not summed up, so that nothing
// drifts. As units are presented at or after their DTS, composition offsets are not negative and the presentation time of each
// sample is the PTS of its unit. So pictures that are reordered stay together with the sound, at the price of a start that is later than
// 0 by what the encoder reorders. An edit list would have the same effect for files only: who joins a live stream in the middle has
// no use for one that was made for its beginning, and an init segment must be the same for all.
//
// A clock of pictures has 90000 ticks a second, one of sound as many as it has samples. The duration of a sample is
// the difference to the DTS of the next one. That of the newest is not known yet: for sound the codec tells; for pictures it is
// what Append is told, or what lies between the newest two. The next tfdt puts right what was wrong with it.
//
// # Samples
//
// Sample entries are avc1 and hvc1, whose parameter sets are in the init segment and nowhere else: [Fragment] leaves those in units
// out. A track with other parameter sets needs another init segment, which may follow in the same stream of bytes. OBUs
// of AV1 have sizes, there are no temporal delimiters, and a key sample begins with a sequence header.
//
// # Reading
//
// A [Demuxer] takes a stream of bytes apart in pieces of any length. What is wrong inside of a box is an error about that box, and
// the next one is read as if nothing had happened; a size that cannot be ends the reading.
//
// # Not supported
//
// VP8, MJPEG, G.722, linear PCM and data are not written. When reading: files without fragments, samples outside of the mdat that follows
// the moof, boxes up to the end of the file, encryption, edit lists (not applied), composition offsets below 0 (taken for 0).
//
// # Must not know
//
// No I/O, no clock, no goroutine, no log, no protocol. A Fragment and a Demuxer belong to one goroutine; for a Muxer see there; everything
// else is pure.
//
// # Specifications
//
//   - ISO/IEC 14496-12 (ISO base media file format), 8.2 to 8.5 (init segment), 8.8 (fragments)
//   - ISO/IEC 23000-19 (CMAF), 7.3 (tracks, fragments, chunks)
//   - ISO/IEC 14496-14, 5.6 and ISO/IEC 14496-1, 7.2.6 (esds); ISO/IEC 14496-15, 5.3.3.1 (avcC) and 8.3.3.1 (hvcC)
//   - AV1 Codec ISO Media File Format Binding 1.2; VP Codec ISO Media File Format Binding 1.0; Encapsulation of Opus in ISO Base Media
//     File Format 0.6; Encapsulation of FLAC in ISO Base Media File Format 0.0.4; ETSI TS 102 366, annex F (ac-3)
//   - RFC 6381 (codecs parameter); W3C Media Source Extensions, ISO BMFF Byte Stream Format
package fmp4
