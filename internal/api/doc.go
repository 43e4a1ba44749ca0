// Package api is the native dialect of the HTTP API, under /api/v1, and the health paths. It reads arguments and writes answers; what is asked
// of the server, and done to it, is in package control. docs/api.md is the manual, GET /api/v1/openapi.json the description that programs read,
// made of the types here.
//
//	events := api.NewEvents()              // an observer of the hub
//	a := api.New(api.Options{Control: c, Snapshot: h.Snapshot, Counts: h.Sessions, Events: events, ...})
//	mux.Handle("/api/", gate.RequireOrProbe(probe, a))
//
// What is under /api needs the secret, as "Authorization: Bearer SECRET" or as the query parameter "secret"; health does not. Answers are read
// from snapshots of the hub and never wait for media. The package names no protocol. Everything in it is safe for concurrent use.
package api
