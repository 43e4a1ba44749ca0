// Package conformance is the suite that every protocol's room must pass. A room supplies drivers, which are clients of its
// own protocol, and [Run] does the rest:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Room{Protocol: Protocol(), Listener: "FOO", Publish: publish, Play: play, …})
//	}
//
// Every case runs twice: over net.Pipe within a bubble of testing/synctest, where time is fake and a goroutine that is left
// behind is an error, and over loopback TCP, where sockets have buffers. Where a room cannot publish, an in-memory
// publisher writes to the hub. Media come from package sim; what players get is compared with it unit by unit.
//
// A [House] is the surroundings of a room: hub, network, shared HTTP listener, log. Tests of a room may open one for
// themselves.
//
// The package names no protocol and no container. Only tests import it.
package conformance
