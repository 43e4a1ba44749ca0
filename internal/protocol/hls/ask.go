package hls

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// ask is what a request for a playlist asks for.
type ask struct {
	key     hub.Key
	format  segment.Format
	session string // the visitor's id, or nothing
	query   string // what is left of the query without what is ours: what may let a viewer in
	waits   bool   // for what follows (RFC 8216bis, 6.2.5.2)
	msn     uint64
	part    int // negative: the whole segment
	skip    bool
}

// Names of query parameters (6.2.5.1, 6.2.5.2).
const (
	parameterMSN  = "_HLS_msn"
	parameterPart = "_HLS_part"
	parameterSkip = "_HLS_skip"
)

// queryMost bounds what is left of a query in bytes: it is kept for each viewer.
const queryMost = 4096

// partMost is more parts than a segment has.
const partMost = 1 << 16

// parseAsk reads the path, without what its end says of the format, and the query.
func parseAsk(path, query string, format segment.Format) (ask, error) {
	key, err := hub.ParseKey(strings.Clone(path))
	if err != nil {
		return ask{}, err
	}
	a := ask{key: key, format: format, part: -1, query: query}
	if !strings.Contains(query, "_HLS_") && !strings.Contains(query, parameterSession) {
		return a, a.bound()
	}
	var rest []string
	part := ""
	for item := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(item, "=")
		if name != parameterSession && !strings.HasPrefix(name, "_HLS_") { // not ours: it may be anything
			rest = append(rest, item)
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return ask{}, fmt.Errorf("%w: %q", errQuery, name)
		}
		switch name {
		case parameterSession:
			a.session = value
		case parameterMSN:
			a.waits = true
			a.msn, err = strconv.ParseUint(value, 10, 63)
		case parameterPart:
			part = value
		case parameterSkip:
			a.skip = value == "YES" || value == "v2"
		}
		if err != nil {
			return ask{}, fmt.Errorf("%w: %s=%q", errQuery, name, clip(value))
		}
	}
	if part != "" {
		if a.part, err = parsePart(part); err != nil || !a.waits {
			return ask{}, fmt.Errorf("%w: %s=%q, which needs %s", errQuery, parameterPart, clip(part), parameterMSN)
		}
	}
	a.query = strings.Join(rest, "&")
	return a, a.bound()
}

// bound refuses a query that is too long to be kept.
func (a ask) bound() error {
	if len(a.query) > queryMost {
		return fmt.Errorf("%w: %d bytes, at most %d", errQuery, len(a.query), queryMost)
	}
	return nil
}

// parsePart reads the number of a part: digits, and nothing else.
func parsePart(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && len(s) > 1 && s[0] == '0' {
		err = errQuery
	}
	return int(n), err
}

// clip shortens what is shown of a hostile value.
func clip(s string) string {
	const most = 32
	return s[:min(len(s), most)]
}

// file is the name of a segment, a part or an initialization section.
type file struct {
	folder string // "/app/name/"
	token  string
	number uint64
	part   int // negative: the whole segment
}

// parseFile takes a path apart: /app/name/TOKEN-NUMBER.hls.ts, or TOKEN-NUMBER.PART.hls.m4s. suffix is how it ends.
func parseFile(path, suffix string) (f file, ok bool) {
	at := strings.LastIndexByte(path, '/') + 1
	name := strings.TrimSuffix(path[at:], suffix)
	token, number, ok := strings.Cut(name, "-")
	if !ok {
		return file{}, false
	}
	f = file{folder: path[:at], token: token, part: -1}
	number, part, isPart := strings.Cut(number, ".")
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || len(number) > 1 && number[0] == '0' {
		return file{}, false
	}
	f.number = n
	if isPart {
		if f.part, err = parsePart(part); err != nil {
			return file{}, false
		}
	}
	return f, true
}
