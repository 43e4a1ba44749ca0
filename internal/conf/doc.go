// Package conf reads Vigil's configuration and hands it out by section. A room keeps its settings in a struct of
// its own, fills it with its defaults and decodes its section onto it:
//
//	cfg := rtmp.Default()
//	if err := section.Decode(&cfg); err != nil { … }
//
// The values come from four layers, of which a later one wins: the room's defaults, the file (YAML), the
// environment (VIGIL_RTMP_LISTEN) and the command line (--set rtmp.listen=…). Everything is strict: an unknown
// key, a value of the wrong type, a key given twice is a [Problem] that names the place (file:line:column, or the
// variable, or the flag), the full key and the nearest known one. [Load] reports all problems at once, as
// [Problems].
//
// The package knows no protocol and no setting: which sections exist and what they hold is told to it by the
// composition root as a list of [Known]. It reads one file, writes none, logs nothing, starts no goroutine.
//
// Limits: a file of 1 MiB, 32 levels, 4096 keys and list items; YAML anchors, aliases, tags and merge keys are refused.
//
// A [Config] and its sections never change after Load and may be used from any goroutine.
package conf
