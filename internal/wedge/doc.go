// Package wedge makes parts of the server hang on purpose, so that tests can see what the watch does about it. It does so in programs
// built with the tag wedge only; in all others At is empty and costs nothing.
//
// A test arms a point with POST /api/v1/wedge/POINT: whoever passes it next hangs there until the point is released by DELETE, or for
// ever. Armed n times, n hang. What else differs in such a program: the watch acts sooner after the start, and does not become patient when
// others have the processors, so that tests may run beside each other. See e2e/wedge_linux_test.go.
package wedge

// The points.
const (
	Hub     = "hub"      // the loop that judges leases
	HubLock = "hub-lock" // the same, while it holds the hub's lock
	Shard   = "shard"    // an egress shard, about to send to a viewer
	Fanout  = "fanout"   // a publisher, about to hand a unit to its stream
	Request = "request"  // a request to the API: the one that arms the point
	Volume  = "volume"   // an operation on files
	Live    = "livelock" // all processors of the run-time
	Accept  = "accept-"  // and a listener's name, as in accept-rtmp: who accepts for it, with a connection
)
