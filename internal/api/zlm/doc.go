// Package zlm is the window onto the server that speaks ZLMediaKit's HTTP API, at /index/api/*, so that platforms and tools made for that
// server find what they expect. It reads arguments and writes answers; what is asked and done goes through the control.
//
// The contract is that of ZLMediaKit's sources, commit fdaec260 (2026-08-21). Every endpoint of it has a line in the tables (table.go,
// later.go). What this server does not have yet checks secret and arguments all the same, and answers the failure, or the empty list, that
// clients deal with best.
//
// Where the original does harm, this package does something else:
//
//   - Every request is answered, once, within a bound: bodies that are too large (413), come too slowly (408) or have no length, and handlers
//     that panic, included. A connection is not closed because a call has failed.
//   - Of a JSON body, a nested value is skipped alone, and not all that follows it.
//   - kick_sessions with a filter that cannot be read ends nobody, instead of everybody.
//   - count_closed says how many have ended, and not only how many were meant.
//   - Cookies of logins cannot be read by scripts, are not sent from other sites, and end when the secret is changed.
//   - An address from which wrong secrets come again and again is answered without looking, for a while that grows: see [api.Guard].
//   - downloadFile reads files beneath given folders only, links included, and nothing that is hidden.
//
// A source, in the dialect, is a stream whose tracks are known; one that is not as far is in no list, but can be closed.
//
// The handler is safe for concurrent use, starts no goroutine, and answers from snapshots of the hub. An answer takes callTime at the most,
// but for files (see [API.Sends]).
package zlm
