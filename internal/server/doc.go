// Package server is the composition root: it reads the configuration's sections, builds the rooms, joins them, runs them
// and stops them. It is the only room that may import every other; nobody imports it but the command.
//
// Order of life: the log outlives all; then the hub; then the protocols and the HTTP listener. When the
// context ends, the hub ends the publishers, viewers run to the end of what the streams still hold, and after
// at most 3 s (hub.Draining) everything is closed.
package server
