// Package rtmp lets encoders publish and players play by RTMP (Adobe's Real Time Messaging Protocol 1.0, with the
// enhancements of Enhanced RTMP v2 as far as container/flv knows them), plain or over TLS.
//
// A session goes through phases, each with a limit: the handshake and the commands up to publish or play (10 s in all);
// then publishing, which the hub ends when no media unit has been completed for publish.max_silence, or playing, which
// egress ends when the player accepts nothing. A publisher that has deleted its stream may begin anew; the session of a
// player that does so ends. One goroutine serves a publisher. A player has two: one writes, one reads what the player says.
//
// Spoken: simple and digest handshakes; all chunk formats; chunk-size changes; acknowledgements; commands in AMF0 and
// AMF3; connect, createStream, publish, play, deleteStream, closeStream, FCPublish, FCUnpublish, releaseStream, pause, seek.
// Not spoken: RTMPE, RTMPT, shared objects, playlists.
package rtmp
