// Package handshake does what RTMP peers do before their first chunk: three packets of 1536 bytes each way.
//
// [Server] and [Client] speak the simple handshake of the specification, which echoes, and the digest handshake that
// Flash Player 9.0.115 brought (also called complex), in which each side proves with HMAC-SHA256 that it knows a key
// that everybody knows. Some players send H.264 or accept a server only after the latter. The digest hides among the
// random bytes at a place that they name, in one of two layouts; see [Kind].
//
// # Promises
//
// Neither function reads a byte behind the handshake, so that chunks may be read from the same connection. The server
// writes once. What echoes and proofs contain is not enforced, since encoders get them wrong and nothing depends on
// them. A peer that speaks something else is named by [VersionError] after its first bytes. Timestamps are 0, which
// the specification allows (5.2.3).
//
// # Not here
//
// Encrypted RTMP (versions 6, 8 and so on) is refused. The package sets no deadlines: the caller does, on the
// connection, as it must. It knows no clock, no source of randomness but the one given, and nothing of chunks.
//
// # Limits
//
// A handshake holds 4.6 KB, whatever the peer sends. Functions are safe for concurrent use on different connections.
//
// Specifications: Adobe's Real Time Messaging Protocol 1.0 (2012-12-21), section 5.2. The digest handshake was never
// published by Adobe; many public descriptions agree on it.
package handshake
