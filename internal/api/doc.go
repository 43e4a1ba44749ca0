// Package api is the window for people and programs onto the hub: the native HTTP API and the health paths.
//
//	GET /api/v1/streams                    all streams, with tracks, rates and sessions
//	GET /api/v1/streams/{app}/{name...}    one of them
//	GET /livez                             the process works: its control loop turns
//	GET /readyz                            it lets publishers and viewers in
//
// What is under /api needs the secret, as "Authorization: Bearer SECRET" or as the query parameter "secret"; health does
// not. Answers are read from snapshots of the hub and never wait for media. The package names no protocol.
package api
