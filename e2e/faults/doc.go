// Package faults behaves badly towards a running server, over real sockets: peers that vanish at any byte, that dribble, that lie,
// that stop to read or read slowly, publishers that go in the middle of anything and come back. Each scenario names the incident card
// (such as R01, S02, N03) that it stands for; docs/faults.md lists them.
//
// The functions know nothing of tests: they take an address, do the harm, and return what the server did. Peers that vanish
// without a word (a socket filter that drops all) exist on Linux only.
package faults
