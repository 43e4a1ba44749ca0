// Package egress sends the bytes of shares to many viewers. It owns a viewer's connection from the end of the
// protocol's handshake until it is closed, without a goroutine, a channel or a buffer for each.
//
//	Publisher.Write -> Share -> Wake: a note, and one poke for a shard that is parked
//	shard: for each viewer of the share  Peek -> send (one system call) -> Advance
//
// A few shards, one for each processor, each own the sockets of their viewers; nobody else writes to them, reads from them or
// closes them. A shard is parked on a channel until a share has something to send; then it goes round the share's viewers,
// with one send that does not wait for each, straight from memory that all of them share. A socket that is full is tried
// again later: a backlog stays in the share's ring, where a viewer that falls behind can skip. Twice a second the shard
// listens to what its peers say and looks whether somebody ends them.
//
// A viewer's media may leave by a [Lane] instead, as datagrams, while requests and replies stay with its connection. An [Outlet] is a UDP
// socket that many lanes send by, in batches. A lane that is full, fails or hangs is treated as a socket that does.
//
// What is sent when is the [Options]: pictures at once, sound with the next picture. A shard that is busy most of the
// time sends less often, and more at a time.
//
// Where a connection is no TCP socket, or the system is not Linux, two goroutines do the same for one viewer: the portable
// writer. Sessions cannot tell the difference.
//
// The package knows no protocol: what is said to the peer and what the peer says is a [Session]'s business. It is called on the
// shard's goroutine and must not wait. A session that panics ends its own link. So does one that hangs, if the shards are watched: a
// shard marks each call into a session, a muxer or a socket with the link that it is about, and after half a second in such a call
// another goroutine takes the shard over, without that link. The one that hangs is left behind, with the memory that the
// call may still write to; should it come back, it closes its link and is gone.
//
// Design and measurements: docs/adr/0011-shards.md, docs/benchmarks.md.
package egress
