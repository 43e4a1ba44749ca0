package hls

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// levelMost is how long a name may be in a folder, in bytes, on the usual file systems.
const levelMost = 255

// errNoFolder means that a stream's name does not do as that of a folder.
var errNoFolder = errors.New("the name of the stream cannot be that of a folder")

// folderOf is the folder of a stream's files beneath hls.dir: "app/name". It does not rely on the grammar of keys: no level is empty, "." or "..", none
// has control characters, is too long for a file system, or like the name of a file of ours, which could be in its place.
func folderOf(name hub.Key) (string, error) {
	path := name.String()
	for level := range strings.SplitSeq(path, "/") {
		switch {
		case level == "" || level == "." || level == "..", !utf8.ValidString(level), strings.ContainsFunc(level, unicode.IsControl):
			return "", fmt.Errorf("%w: %q", errNoFolder, level)
		case len(level) > levelMost:
			return "", fmt.Errorf("%w: a level of %d bytes, at most %d", errNoFolder, len(level), levelMost)
		case ours(strings.ToLower(level)):
			return "", fmt.Errorf("%w: %q is like the name of a file in it", errNoFolder, level)
		}
	}
	if _, err := filepath.Localize(path); err != nil { // on some systems there are other names that do not do
		return "", fmt.Errorf("%w: %w", errNoFolder, err)
	}
	return path, nil
}

// ours says whether a file of a stream may have a name.
func ours(name string) bool { return oursOf(segment.TS, name) || oursOf(segment.FMP4, name) }

// oursOf is ours for one format.
func oursOf(f segment.Format, name string) bool { return name == playlistOf(f) || f.Named(name) }

// playlistOf is the name of a format's playlist.
func playlistOf(f segment.Format) string {
	if f == segment.FMP4 {
		return strings.TrimPrefix(playlistFMP4, "/")
	}
	return strings.TrimPrefix(playlistTS, "/")
}

// folded is the same for paths that are the same to file systems that do not tell capital letters from small ones.
func folded(path string) string { return strings.ToLower(strings.ToUpper(path)) }

// emptied are the folders that may be removed once they are empty, deepest first: those of a stream, not that of its application.
func emptied(path string) (all []string) {
	for strings.Contains(path, "/") {
		all = append(all, path)
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return all
}
