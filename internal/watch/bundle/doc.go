// Package bundle gathers evidence of what the process does, for the day when it hangs: one archive of a few megabytes, with what is
// wrong in plain words first, and everything to check that by after it. See [Collector], and [Verdict] for the words.
//
// Nobody can attach a debugger to a server in a container that has no shell; a restart heals it and takes the reason along. So the
// evidence is taken by the process itself before anything is done about it, or by its supervisor from what is left of it:
// [Compose], [Goroutines] and [Process] need nothing of the process but its last words and /proc.
//
// Any part may hang, since something does, or there would be no bundle. Each part is made by a task of its own, and those that have
// not come in time are left out; the manifest names them. A part that hangs is not begun again until it comes back, so that
// the tasks that hang are never more than there are parts. Nothing here touches a disk, except a [Shelf], nor a lock of the data
// plane, except in functions that the caller gives. Of /proc only files that the kernel makes without the lock on the process' memory map
// are read: not cmdline, environ or maps, which hang on some processes that hang, and tell secrets.
package bundle
