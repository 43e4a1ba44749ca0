// Package probe looks at a server from outside, as its users do: it publishes one picture by RTMP, plays it by RTMP and HTTP-FLV, and
// asks for health and for the list of streams, each on a new connection.
//
// What it says to the server is a script of bytes, and in what comes back it only searches: a picture's marker, a status line, the code of
// a status. It knows nothing of media and imports nothing of ours, so that a fault of those parts cannot hide itself. It starts no
// goroutine: players ask before the picture is sent, and what they are sent waits in the kernel until it is read. [Run] may be called
// by any number of goroutines; every wait of it ends with its context.
//
// The server keeps the application of the probe for whoever knows its token, and shows nothing of its sessions.
package probe
