// Package zlm reads and speaks ZLMediaKit's configuration: what each of its keys means here, and what ours mean there.
//
// [Convert] makes our vigil.yaml of a config.ini. [Settings] says our settings in ZLMediaKit's keys, as its API's getServerConfig must, and
// [Changes] says what the arguments of setServerConfig mean here. All three stand on one table, [Keys]: a key either maps to keys of ours,
// with a conversion there and back, or has no effect here; then its text is kept, under the section "zlm", and given back as it came.
//
// Where ZLMediaKit is lenient, this package is only where that is safe:
//
//   - A number that cannot be read is 0 there, which turns limits and ports off. Here it is an error that names key and value, and nothing
//     changes. What follows a number after a blank and ; or # is a comment, since ZLMediaKit reads as far as the number goes.
//   - A number key that is empty is 0 there. Here it is as if the key had not been given.
//   - A line of the file that is neither a section, nor key=value, nor a comment is a key without a value there. Here it is an error.
//   - A value beyond what our setting allows becomes the nearest that it allows, with a note.
//
// It knows no room: the ranges of our settings are written down here once more, and a test holds them against the rooms'. It is pure, does no
// I/O, and all of it may be called from any goroutine.
package zlm
