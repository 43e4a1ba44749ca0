// Package hub is the control plane: it knows which stream key is whose, lets publishers and viewers in or refuses them,
// notices publishers that send nothing, and hands out snapshots of it all.
//
// A stream key belongs to a publisher by a [Lease]: key, epoch and progress. Whether a lease is lost is judged by the hub
// on its own clock, never by the owner's goroutine; a publisher that lost it is fenced by its epoch.
//
// The hub names no protocol: what it is told of a session are strings. It answers with a few kinds of errors, which
// each protocol maps to its own codes. Its one lock guards its tables only; under it, it calls what takes no lock
// of package stream, and its own queue of events, whose lock is a leaf, and nothing else. Authorisation and observers are
// called without it.
//
// Windows (API, metrics) read a [Snapshot], which is immutable.
package hub
