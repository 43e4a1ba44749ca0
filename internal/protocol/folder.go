package protocol

// Folder is a folder on a disk that may be slow, frozen, full or gone. Its methods never wait: what they are asked for is queued, in bounded memory,
// or refused at once with an error. What was queued ends some time later, or never, if it hangs in the kernel; done is then told how, on another
// goroutine, and must not wait. Operations may overtake each other: what is to follow another is asked for when that has ended.
//
// Names are slash-separated and relative to the folder; none leads outside. Folders on the way are made. All methods may be called from
// any goroutine.
type Folder interface {
	// Write makes a file of the pieces, which must not change any more, or replaces it as a whole.
	Write(name string, pieces [][]byte, done func(error)) error

	// Remove removes files and empty folders, in order, and goes on after an error. What is absent, or not empty, is left as it is.
	Remove(names []string, done func(error)) error

	// Sweep removes those regular files of a folder, not of those beneath, that unwanted is true of, a thousand at the most, and tells how many
	// those were. What interrupted writes have left is judged by the name that it was to have, with temporary true. unwanted must not wait.
	Sweep(dir string, unwanted func(name string, temporary bool) bool, done func(removed int, err error)) error
}
