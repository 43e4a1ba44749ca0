// Package wire reads and writes the messages of RTSP 1.0: requests, responses, and the frames of RTP and RTCP that are
// interleaved with them on a connection.
//
// A [Parser] turns a byte stream into [Item]s. It is given the bytes as they come, in pieces of any length. A [Reader]
// fetches them itself, and blocks:
//
//	for {
//		it, n, ok, err := parser.Parse(b)
//		if b = b[n:]; !ok { // all of b was taken, or err says what is wrong
//			return err
//		}
//		use(it)
//	}
//
// A Reader becomes a Parser by [Reader.Detach], at any place in the byte stream, and again a Reader by [Resume]. The
// Append functions go the other way. [ParseTransports] and [AppendTransport] are for the Transport header.
//
// # Leniency
//
// Devices and their software live for decades, and few were made with the specification at hand. [Quirks] lists what is
// put up with. For that, heads are parsed here and not by package base, whose types are used where they do: [Request] is
// our own, since base.Request cannot hold a URL that is not one. Its URL is text, and [ParseURL] makes the best of it.
//
// Bodies are waited for only where they mean something: with ANNOUNCE, SET_PARAMETER and responses. Of other requests they are
// skipped, which is what makes a length without a body harmless.
//
// Where a message should begin and none does, bytes are skipped until there is something that can hardly be anything else: a
// known method's name in upper case with a blank behind it, "RTSP/", or a frame on a channel below 32 whose payload has the
// version of RTP. How a byte stream is cut into pieces never makes a difference.
//
// After an error a Parser is of no more use. So is a Reader, unless the error was its source's and passes.
//
// # Limits
//
// [Limits] bounds a head, a body, and what is skipped in a row; the lines of a head and the transports of a header are counted too.
// What a Parser holds is bytes that have arrived, never room for what is claimed to come: at most a body, or a head, or a frame of 64 KiB.
// Each step takes a byte or asks for more.
//
// # Concurrency and what is not here
//
// A Parser or Reader is for one goroutine. The functions are pure. Nothing here knows a connection, a deadline (the caller
// sets it on what it gives to the Reader), a clock, a session, or RTP but for its version.
//
// Specification: RFC 2326, sections 4, 6, 7, 10.12, 12.37 and 12.39.
package wire
