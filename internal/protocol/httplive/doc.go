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
// The room uses the shared HTTP listener and takes each connection over (HTTP/1.1 only). After the response's head the
// bytes come from a share of the stream: one muxer for all viewers of the same form.
package httplive
