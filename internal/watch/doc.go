// Package watch is how the server watches itself: every long-lived loop notes its progress in a [Cell] of a [Board], a [Guard] looks at
// all cells four times a second, and a [Healer] does what can be done about a loop that is stuck, the smallest part first.
//
// A loop that has nothing to do is never stuck: stuck is a step that was begun and has not ended for longer than its [Class] allows, or
// a loop with a beat that has not beaten. Noting a step costs two atomic stores and a look at the clock.
//
// The guard shares nothing with what it watches: it has a thread of its own, takes no lock, allocates nothing, logs nothing. It only
// notices and tells: the healer (a goroutine like any other, which may wait) and the supervisor (another process, by a pipe).
// Pauses of the process itself, such as a SIGSTOP, are noticed and granted to all.
//
// The package stands on nothing else of Vigil's, and does not know what the loops do. See reliability rules in docs/operations.md.
package watch
