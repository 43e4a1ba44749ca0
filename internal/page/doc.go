// Package page is the window that shows the playback page: it serves the files that package web holds.
//
//	GET /play/                   a form that asks for a stream
//	GET /play/app/name           the page of a stream, there or not; the name may have more levels
//	GET /play/main-1A2B3C4D.js   what the page consists of
//
// A stream's name has two levels at least, so a path with one level below /play/ cannot be a stream's page: there are the page's files. The
// page is the same for all streams and takes the name from its own address: nothing that a visitor writes goes into
// HTML here.
//
// The room knows no stream and no protocol. It serves from memory, to any number of goroutines.
package page
