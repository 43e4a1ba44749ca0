// Package challenge asks a client of RTSP who it is, and verifies what it says: Basic and Digest authentication.
//
// A [Challenge] belongs to one connection and has a nonce of its own, so that what is overheard is of no use on another. That is
// why nonce counts are not watched.
//
//	user, err := c.Verify(challenge.Request{Method: "DESCRIBE", URL: url, Authorization: values}, password)
//	if err != nil {
//		answer(401, c.Header())
//	}
//
// # Leniency
//
// Digests are of the form of RFC 2069, which all devices know; qop=auth is understood of those who use it unasked. The URI that
// a digest is made of may differ from the request's: in SETUP, some take the stream's URL in place of the track's, with or without a
// slash at its end (bluenviron/mediamtx#2880); some leave out scheme and host, or the query. So the digest is verified with the URI that
// it says it was made of, and that URI's path has to be the request's, or to continue it, or to be continued by it.
// Host and query do not matter.
//
// # Cost
//
// A password may be known by what Digest makes of it with MD5 only ([Secret]). That verifies such digests; it is worth as much as the password where
// these are taken, and proves nothing by the other schemes.
//
// An unknown user costs as much as a known one, and comparisons take the same time wherever the difference is. Nothing here counts
// attempts: the session does.
//
// # Concurrency and what is not here
//
// A Challenge is for one goroutine. The [Lookup] is called by Verify, at most once; it may wait. Nothing here knows a session, or
// what a user may do.
//
// Specifications: RFC 2069 section 2, RFC 2617 section 3, RFC 7616 section 3, RFC 7617; RFC 2326 section 14.
package challenge
