// Package rtsp speaks RTSP 1.0 (RFC 2326): cameras and encoders publish to it, players play from it.
//
// A session goes through phases, each with a limit: the requests up to RECORD or PLAY (10 s in all, waiting for a stream not counted);
// publishing, whose media the hub judges; playing, in which a peer that is sent datagrams, or that has paused, must be heard of within a
// minute. A session belongs to its connection: requests for it on another are answered with 454 (TEARDOWN with 200: it ends the
// asker's own).
//
//	OPTIONS DESCRIBE SETUP PLAY PAUSE TEARDOWN   a viewer: DESCRIBE waits for the stream, PLAY hands the connection to egress
//	OPTIONS ANNOUNCE SETUP RECORD TEARDOWN       a publisher: RECORD takes the key
//	GET_PARAMETER SET_PARAMETER                  keep-alives
//
// Media go over the connection itself (interleaved, 10.12) or by UDP; the same packets are sent either way, made once for all viewers of
// a stream. Who publishes by UDP has a pair of ports of its own, on which only the address of its connection is heard; all who play by
// UDP are served from one pair. Who plays by multicast (12.39) hears the group of the stream, to which it is sent once, as long as somebody
// plays so.
//
// What is odd about the peers of the field is understood by internal/wire and by container/rtp, each of which has a table of it.
//
// Not supported: RTSP 2.0, aggregation of several streams under one URL, recording of more than one stream by a connection, seeking,
// SRTP (use RTSPS), and UDP from RTSPS.
package rtsp
