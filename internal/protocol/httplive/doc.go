// Package httplive plays streams as endless HTTP bodies, and on the same addresses as the messages of a WebSocket.
//
//	GET http://host:8080/app/name.live.flv   HTTP-FLV
//	GET http://host:8080/app/name.live.ts    HTTP-TS: MPEG transport stream
//	GET http://host:8080/app/name.live.mp4   HTTP-fMP4: fragmented MP4
//	GET ws://host:8080/app/name.live.flv     WebSocket-FLV, and so on (RFC 6455; binary messages)
//
// A plain body has no length and no chunked coding: it ends with the connection. HEAD tells the Content-Type, which for fMP4 names the
// codecs (RFC 6381), as the Media Source Extensions want them. Cross-origin requests are answered by the setting httplive.cors. A
// stream that is not there is waited for as long as the setting play.wait says; then the answer is 404 with a JSON body that says why; where
// the format has a place for none of the tracks it is 415. Some that have none are left out, and the log says which. A WebSocket is accepted first, so that
// the wait does not look dead, and refused by a close frame with 4000 + the HTTP status and the same JSON as its reason.
//
// A message of a WebSocket is what the muxer makes at a time: a file header, a configuration (the tables of TS, an initialization segment
// of fMP4), or a unit.
//
// Viewers of fMP4 are told codecs before the first byte. When a stream gets other codecs, another number of tracks, or loses one for good at a change of
// publishers, they are ended, with the close code 1012 and the reason "tracks-changed" if there is a WebSocket: they are to ask again.
// Other ends that nobody is to blame for have the code 1000.
//
// The formats are one table, in format.go. The room uses the shared HTTP listener and takes each connection over (HTTP/1.1 only). A request's
// goroutine waits for the stream and writes the response's head; then the connection is the egress's and the goroutine ends. The bytes come from
// a share of the stream: one muxer for all viewers of the same format. What is kept for a viewer is a session: its names for the
// log and, for a WebSocket, a few bytes of the frame that the viewer is sending. Its methods are called by whoever serves the link, one
// at a time, and never wait.
package httplive
