// Package governor watches how much memory the process needs, and says when that is too much for the machine: at 70 % of the limit what can
// be spared is to be given up, at 85 % newcomers are to be refused, and at 95 % the process ends with evidence, before the system
// ends it without. See [Governor].
//
// The figure is what the process cannot do without: what was live at the newest garbage collection, and the stacks and books of the
// runtime. Neither the resident set nor the heap in use is meant: they hold garbage that the runtime has not collected yet, for as long as
// there is room, and pages that it has given back but the kernel has not taken. A heap of garbage is no shortage. What is
// allocated faster than it is collected shows soon all the same, because the runtime's own limit, which the governor sets below the
// last level, makes it collect. It takes half of the processors for that at the most, by its own rule, so that a server at its limit
// is slow and not dead; collecting that takes so much for long counts as a shortage too.
//
// The package knows nobody whom it governs: it is given functions to call. It starts no goroutine but Run's writer of evidence.
package governor
