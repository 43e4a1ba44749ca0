// Package egress hands the bytes of a [stream.Viewer] to the viewer's connection: in batches, with a deadline for every
// write, and with the session's own replies put between packets.
//
// This is the portable writer, one goroutine a viewer. It is the seam behind which a writer for thousands of
// viewers will live; the rooms need not change for it. The package knows no protocol.
package egress
