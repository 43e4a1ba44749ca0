// Package archtest holds the rules of the house as tests: which room may import which, where goroutines start, where
// files are written, which words may stand where, and that every package and every link in the documents is what
// it says. ARCHITECTURE.md tells why; a failure here tells what to do.
//
//	go test ./internal/archtest
//
// The rules read the source with go/parser and nothing else: no type checker, no go list (whose answers the test cache
// would not notice to have changed). Each is a table near the top of its file and a function that gives findings; house_test.go
// proves on small sources that every rule can fail.
//
// To change the direction of an import, change the table in rooms_test.go, ARCHITECTURE.md and, if it was a decision,
// add a record to docs/adr.
//
// The package is nothing but its tests and nobody imports it.
package archtest
