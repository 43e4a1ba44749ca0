// Package httplive plays streams as endless HTTP bodies: HTTP-FLV and, on the same address, WebSocket-FLV.
//
//	GET http://host:8080/app/name.live.flv
//	GET ws://host:8080/app/name.live.flv     (RFC 6455; binary messages)
//
// A plain body has no length and no chunked coding: it ends with the connection. Cross-origin requests are answered by the
// setting httplive.cors. A stream that is not there is waited for as long as the setting play.wait says; then the answer is
// 404 with a JSON body that says why. A WebSocket is accepted first, so that the wait does not look dead, and refused by
// a close frame with 4000 + the HTTP status and the same JSON as its reason.
//
// The room uses the shared HTTP listener and takes each connection over (HTTP/1.1 only). A request's goroutine waits for the
// stream and writes the response's head; then the connection is the egress's and the goroutine ends. The bytes come from
// a share of the stream: one muxer for all viewers of the same form. What is kept for a viewer is a session: its names for the
// log and, for a WebSocket, a few bytes of the frame that the viewer is sending. Its methods are called by whoever serves the link, one
// at a time, and never wait.
package httplive
