// Package zlm has the words of ZLMediaKit's dialect, in which the web hooks speak and the API at /index/api: schemas, numbers of codecs
// and origins, and the objects that describe streams, tracks and sockets. It is pure: it describes what the hub's snapshots say, and says to the hub in its words
// what the dialect says of schemas, in permits and in the section "serve" of the configuration.
//
// What ZLMediaKit calls a schema is a form in which a stream is played: where it has an object for each schema of a stream (a MediaSource),
// Vigil has one stream, which every form is made of when somebody asks for it. The objects say the same of it, each with its own viewers.
//
// The contract is that of ZLMediaKit's sources, commit fdaec260 (2026-08-21); where this server says something else, docs/zlmediakit.md
// says why.
package zlm
