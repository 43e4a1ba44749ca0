package control

import "context"

// Settings is the configuration as it holds, which can be changed while the server runs. Its methods are safe for concurrent use.
type Settings interface {
	// All returns every setting by its dotted key, as text, as it would be written in the file: "publish.resume_window": "15s". A secret
	// is "***".
	All() map[string]string

	// Change sets some settings, all or none, by their dotted keys, keeps them for the next start, and says what came of it. The error is
	// conf.Problems where a key or a value is wrong, or a key is fixed by the environment or the command line. Changed settings hold from
	// the next session, stream or call on; those of [Change].Later when the server starts next.
	Change(ctx context.Context, set map[string]string) (Change, error)
}

// Change is what has come of a change of settings. Keys are dotted, and sorted.
type Change struct {
	Changed []string // that say something else now
	Later   []string // of them, those that hold only from the next start on
}
