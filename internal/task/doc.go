// Package task is the only place in Vigil that starts goroutines. Each has an owner that waits for it, a name
// that stands in profiles, a context that ends it, and a net under it: a panic becomes an error of the task.
//
// A [Group] is for parts that stand or fall together, a [Pool] for sessions that are nothing to each other.
// The package knows nothing of the rest of the house, so that everything may stand on it.
package task
