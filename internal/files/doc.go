// Package files is the window through which files on disks are seen by HTTP: those beneath a folder, at the paths that they have in it, and, one by
// one, those that are asked for by their absolute names (downloads). It only reads.
//
// Who may read is asked for each file, before anything of it is sent. Files are read through volumes (see [disk.Tree]), so that a disk that hangs
// costs those who wait for it 10 seconds and nobody else anything. The number of requests at a time is bounded, in all and for each address, and a
// peer has 10 seconds to take each part.
//
// What a name means is decided by the folder: nothing outside, nothing hidden, no pipes, no devices. The handlers are safe for concurrent use and
// start no goroutine.
package files
