// Package mpegts turns MPEG transport streams (ISO/IEC 13818-1) into access units and access units into transport streams.
//
// # Reading
//
// A [Demuxer] takes bytes in pieces of any length, as TCP, SRT datagrams or files give them. It finds packets of 188, 192 and 204
// bytes, follows the tables of one program, and makes units of its PES packets. Whatever is wrong with a packet is an error
// about that packet, a [*PacketError]; the rest is read as if nothing had happened.
//
//	var d mpegts.Demuxer
//	err := d.Push(b, func(u *av.AccessUnit) error { return lease.Write(u) })
//
// A unit that lacks a packet never comes out. After a loss no picture comes out until the next key picture.
//
// # Writing
//
// A [Muxer] makes packets of 188 bytes, once for all viewers. Each key picture begins with PAT and PMT, so that a viewer, or a
// segment of a file, may begin there; continuity counters go on where they are.
//
//	var m mpegts.Muxer
//	b = m.Config(b, tracks, nil, u.DTS) // a newcomer's
//	b = m.Unit(b, tracks, u)
//
// A time of t becomes t + [Origin], the program clock reference is [Delay] behind the units. Tracks that have no form are left out:
// [Carries] tells.
//
// # Not supported
//
// Scrambled packets, LATM, E-AC-3, synchronous KLV, several access units of video in one PES packet, one access unit in several,
// video without time stamps, ADTS frames of several blocks.
//
// # Must not know
//
// No I/O, no clock, no goroutine, no log, no protocol. A Demuxer belongs to one goroutine. So does a Muxer, apart from Head and
// Config.
//
// # Specifications
//
//   - ISO/IEC 13818-1 | ITU-T H.222.0: packets (2.4.3.2), PES (2.4.3.6), tables (2.4.4), H.264 and H.265 (2.14, 2.17)
//   - ISO/IEC 14496-3, 1.A.2 (ADTS); ISO/IEC 11172-3, 2.4.1.3 (MP3); ETSI TS 102 366 (AC-3)
//   - Encapsulation of Opus in MPEG transport streams, the draft that FFmpeg follows; ATSC A/53 part 3 (AC-3, stream type 0x81)
//   - MISB ST 1402 (KLV, asynchronous); G.711 as ZLMediaKit numbers it: stream types 0x90 and 0x91
package mpegts
