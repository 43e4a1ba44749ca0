// Package hls plays streams by HTTP Live Streaming (RFC 8216bis), to browsers and to what has no other way.
//
//	GET http://host:8080/app/name/hls.m3u8         segments of TS
//	GET http://host:8080/app/name/hls.fmp4.m3u8    segments and parts of fMP4, with low latency
//	GET http://host:8080/app/name/index.m3u8       the multivariant playlist, which tells codecs and size
//
// # Segments
//
// A stream is cut for its first viewer in a format, by a goroutine of its own that reads the stream as any reader does
// (internal/segment cuts, and writes playlists), and no longer when nobody has asked for a while. Playlists and segments are in
// memory, the same bytes for all. A folder, if one is configured, gets copies.
//
// The names of segments begin with a token that only a playlist tells: who may not play a stream cannot guess them.
//
// # Viewers
//
// HLS has no connection that stands for a viewer. The first playlist that one asks for makes a session, which the hub admits as any
// viewer and which ends when nothing is asked for within hls.idle. It is known again by the query parameter "session", which the
// multivariant playlist puts there, or by a cookie, or, of one who keeps none, by address and user agent.
//
// # Goroutines
//
// A request is one of the HTTP listener's. One that waits for a part is woken by the next edition, by the stream's end, or by its bound.
package hls
