// Package flv turns FLV tags into access units and access units into FLV tags. The body of a tag is also what an RTMP
// audio, video or data message carries, so that the protocol rooms need no second implementation.
//
// # Reading
//
// A [Reader] takes a byte stream apart into tags, a [Demuxer] makes units of them. It understands the classic headers
// with the codec numbers that are common in China (HEVC 12, AV1 13, VP8 14, VP9 15, Opus 13) and Enhanced RTMP v1 and
// v2: FourCC headers, multitrack in its three forms and ModEx. Whatever is wrong with a tag is an error about that tag;
// the next one is read as if nothing had happened.
//
//	var d flv.Demuxer
//	units, err := d.Demux(tag) // both may be set: in a multitrack tag the good tracks arrive in spite of a bad one
//
// # Writing
//
// A [Form] says how codecs that Adobe never numbered are written; its methods append the bodies of tags, [AppendTag]
// puts a tag around a body.
//
// # Not supported
//
// Speex, Nellymoser, ADPCM and linear PCM audio, E-AC-3, video other than H.264, H.265, AV1, VP8 and VP9, encrypted
// tags, colour metadata (skipped), multichannel maps (skipped), Annex B inside of a tag. More than one MP3, AC-3 or
// FLAC frame in a tag is passed on as one unit.
//
// # Must not know
//
// No I/O but the io.Reader that is handed to a Reader, no clock, no goroutine, no log, no protocol. A Reader and a
// Demuxer belong to one goroutine; everything else is pure.
//
// # Specifications
//
//   - Adobe Flash Video File Format Specification 10.1, annex E ("FLV 10.1")
//   - Enhanced RTMP v2, Veovera Software Organization ("E-RTMP v2")
//   - Tencent Cloud, FLV extension for H.265 and AV1: the classic layout with codec numbers 12 and 13
//   - ISO/IEC 14496-15, 5.3.3.1 (avcC) and 8.3.3.1 (hvcC); AV1 Codec ISO Media File Format Binding, 2.3 (av1C);
//     VP Codec ISO Media File Format Binding, 2.2 (vpcC)
package flv
