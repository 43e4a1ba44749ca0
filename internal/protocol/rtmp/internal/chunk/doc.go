// Package chunk cuts RTMP messages into chunks and puts them together again.
//
// A [Parser] turns a byte stream into [Message]s, from however many chunk streams they come interleaved. It is given the
// bytes as they come, in pieces of any length. A [Reader] fetches them itself, and blocks:
//
//	for {
//		m, n, ok, err := parser.Parse(b)
//		if b = b[n:]; !ok { // all of b was taken, or err says what is wrong
//			return err
//		}
//		use(m)
//	}
//
// [AppendMessage] goes the other way, in a form that depends on nothing sent before, so that its bytes can be made
// once and shared between all viewers. The Append functions for protocol control and user control messages are
// shorthands for it.
//
// # Reading
//
// All chunk headers are understood: basic headers of 1 to 3 bytes, message headers of types 0 to 3, extended
// timestamps and deltas, which some peers repeat in type 3 chunks and others do not. A type 3 chunk that begins a
// message repeats the delta before it; behind a type 0 chunk that is its timestamp (5.3.1.2.4). A type 1 chunk may be
// the first of its chunk stream, as librtmp sends pings; it counts from 0.
//
// Set Chunk Size and Abort act inside the Parser, and are returned as well. Aggregates are returned as they are: see
// [SplitAggregate]. A payload belongs to who gets it: the Parser never writes to it again.
//
// A new header in the middle of a message is an error; a peer that wants to give up a message aborts it.
// After any error a Parser is of no more use. So is a Reader, unless the error was its source's and passes.
//
// A Reader becomes a Parser by [Reader.Detach], at any place in the byte stream: for a session that is served by a
// goroutine of its own first, and by one for many later.
//
// # Limits
//
// [Limits] bounds a message, what lies in messages that are partly received, and the chunk streams remembered. If
// there are more of these, the one longest idle is forgotten. Memory for a payload grows with what has arrived: 64 KiB
// at first, then by a factor of 4. A chunk takes at least one byte of input, so no input makes a Parser spin.
// Chunk sizes above 16777215, which is more than any message has, mean that.
//
// # Concurrency and what is not here
//
// A Parser or Reader is for one goroutine. The Append functions are pure. Nothing here knows a connection, a deadline (the
// caller sets it on what it gives to the Reader), a clock, AMF, or a codec.
//
// Specification: Adobe's Real Time Messaging Protocol 1.0 (2012-12-21), sections 5.3, 5.4, 7.1.6 and 7.1.7.
package chunk
