// Package web holds the playback page as it was built, for the binary to carry.
//
// The sources are TypeScript, in src; `make web` bundles them into dist, which is committed, so that Go alone builds the server. dist is a
// flat folder: index.html, LICENSES.txt, and scripts and styles with a hash of their content in their names. README.md says what the
// page can, and what it tells tests.
package web

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files returns the built page. It may be read by any goroutine.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return files
}
