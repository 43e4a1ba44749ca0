// Package rtp turns RTP packets into access units and access units into RTP packets, and reads and writes the session
// descriptions (SDP) that say what is in them.
//
// # Reading
//
// [ParseSDP] reads a description as leniently as can be: what is wrong with one media never costs the others. A
// [Receiver] takes the packets of one media, puts them in order, and makes units of them. Whatever is wrong with a packet is
// an error about that packet, a [*PacketError]; the next one is read as if nothing had happened.
//
//	var clock rtp.Clock // shared by the medias of one publisher
//	r := rtp.NewReceiver(1, media.Format, &clock, rtp.Options{Window: 128, Hold: 200 * time.Millisecond})
//	err := r.Packet(b, at, func(u *av.AccessUnit) error { return lease.Write(u) })
//
// A unit that lacks a packet never comes out. Where pictures depend on each other none comes out until the next key picture.
//
// # Writing
//
// [FormatOf] says how a track is carried, [AppendSDP] describes it. A [Packer] makes packets of units, once for all viewers, each
// in the frame of interleaved RTSP (RFC 2326, 10.12); who sends them by UDP takes the frame off.
//
// # Not supported
//
// FLAC (RTP has no form for it); interleaved access units of MPEG-4 audio, H.264 packets of packetization mode 2 and H.265 with
// decoding order numbers; retransmission and forward error correction. What has no codec of its own in package av travels as
// [av.Opaque], from RTP to RTP.
//
// # Must not know
//
// No I/O, no clock, no goroutine, no log, no protocol. Arrival times are given by the caller.
//
// # Concurrency
//
// A Receiver belongs to one goroutine, apart from Stats. A [Clock] may be shared by receivers of several goroutines. A Packer
// belongs to one goroutine, apart from Head, Config and Err. A [Format] and a [Description] are immutable.
//
// # Specifications
//
//   - RFC 3550 (RTP, RTCP), RFC 3551 (G.711, G.722, L16), RFC 8866 and 2326 (SDP as RTSP uses it)
//   - RFC 6184 (H.264), RFC 7798 (H.265), AV1 RTP payload format 1.0, RFC 7741 (VP8), RFC 9628 (VP9), RFC 2435 (JPEG)
//   - RFC 3640 and 6416 (AAC), RFC 7587 (Opus), RFC 2250 (MP3), RFC 4184 (AC-3), RFC 6597 (KLV)
package rtp
