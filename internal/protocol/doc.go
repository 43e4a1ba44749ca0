// Package protocol is the seam between the house and its rooms: what a protocol gives ([Protocol]) and what it is given ([Env]).
//
// A room is a package below this one. It takes its configuration section by its name, listens through Env.Net or on the
// shared HTTP listener, asks the hub for what its sessions want, and maps the hub's errors to its own codes. Rooms never
// know one another. Package all lists them.
package protocol
