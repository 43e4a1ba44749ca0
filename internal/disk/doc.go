// Package disk is the only room that writes files (log files go through the log's own rotation). It keeps the data
// folder: a [Store] opens it beneath an os.Root, so that no name that is given to it leads outside, and writes every
// file whole or not at all: a temporary file, fsync, rename, fsync of the folder.
//
// What is worth little after a loss of power, and comes often, is written by [Store.Put] into a folder that [OpenShared] has opened, for other programs
// to read: whole or not at all as well, but without waiting for the disk.
//
// What others want to read of a folder that is not ours, a [Tree] reads, through the folder's volume.
//
// The package knows neither what is in the files nor who wants them.
//
// A disk is an unreliable remote service: any call may block for as long as the disk does. A [Volume] is the bulkhead in front of it: four
// workers, a bounded queue, and refusals at once while the disk does not answer. Call a Store through [Volume.Do], [Call] or
// [Volume.Go]; never from a media path, and never with a lock held. A Store has no state but the open
// folder; its methods may be called from any goroutine, and from several processes on one folder.
package disk
