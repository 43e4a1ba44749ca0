// Package faults behaves badly towards a running server, over real sockets: peers that vanish at any byte, that dribble, that lie,
// that stop to read. Each scenario names the incident card (R01, N01, N03, P05, Q06) that it stands for.
//
// The functions know nothing of tests: they take an address, do the harm, and return what the server did. Peers that vanish
// without a word (a socket filter that drops all) exist on Linux only.
package faults
