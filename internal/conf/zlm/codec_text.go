package zlm

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vigil-media/vigil/internal/conf"
)

// What ZLMediaKit comes with.
const (
	builtinSecret = "035c73f7-bb6b-4889-a715-d9eb2d1925cc"
	sampleID      = "your_server_id"
)

// masked is a secret of ours that was not shown.
const masked = "***"

// secret is the API's.
type secret struct{}

func (secret) here(text string) (value, remark string, err error) {
	const shortest = 8
	switch {
	case text == builtinSecret:
		return "", "the secret that everybody knows is not taken: one is made on the first run, in the file api-secret", errUnsaid
	case text == "":
		return "", "a secret is made on the first run, in the file api-secret", errUnsaid
	case text == masked:
		return "", "", errUnsaid
	case len(text) < shortest:
		return "", "", fmt.Errorf("has %d characters, at least %d", len(text), shortest)
	}
	return text, "", nil
}

func (secret) there(value string) (string, bool) { return value, true }

// name is the identity of the server in hooks.
type name struct{}

func (name) here(text string) (value, remark string, err error) {
	const longest = 256
	if len(text) > longest || !sound(text) {
		return "", "", fmt.Errorf("at most %d characters, none of control", longest)
	}
	return text, "", nil
}

func (name) there(value string) (string, bool) { return value, true }

// sound says whether a text can be kept: UTF-8, without characters of control but the tabulator.
func sound(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0
	})
}

// link is the URL of a hook. It may hold a token, so errors do not show it.
type link struct{}

// errLink does not show the URL, which may hold a token.
var errLink = errors.New("is no URL http://host:port/path, or https")

func (link) here(text string) (value, remark string, err error) {
	if text = strings.TrimSpace(text); text == "" {
		return "", "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", "", errLink
	}
	return text, "", nil
}

func (link) there(value string) (string, bool) { return value, true }

// schemas is a list a/b/c; empty: all.
type schemas struct{}

func (schemas) here(text string) (value, remark string, err error) {
	known := []string{"rtsp", "rtmp", "fmp4", "ts", "hls", "hls.fmp4"}
	var here, strange []string
	for s := range strings.SplitSeq(text, "/") {
		switch s = strings.TrimSpace(s); {
		case s == "" || slices.Contains(here, s):
		case slices.Contains(known, s):
			here = append(here, s)
		default:
			strange = append(strange, s)
		}
	}
	if len(here) == 0 {
		here = known
		if len(strange) > 0 {
			return "", "", fmt.Errorf("names no schema: want some of %v", known)
		}
	}
	if len(strange) > 0 {
		remark = "there is no schema " + printable(strings.Join(strange, ", "))
	}
	return listed(here), remark, nil
}

func (schemas) there(value string) (string, bool) {
	items, ok := unlisted(value)
	return strings.Join(items, "/"), ok
}

// ranges is a list of addresses a,b-c; empty: all.
type ranges struct{}

func (ranges) here(text string) (value, remark string, err error) {
	items := []string{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		a, err := conf.ParseAddresses(item)
		if err != nil {
			return "", "", err
		}
		items = append(items, strconv.Quote(a.String()))
	}
	return listed(items), "", nil
}

func (ranges) there(value string) (string, bool) {
	items, ok := unlisted(value)
	return strings.Join(items, ","), ok
}

// listed writes a list of plain words as our settings do.
func listed(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

// unlisted reads such a list.
func unlisted(value string) ([]string, bool) {
	inner, ok := strings.CutPrefix(value, "[")
	inner, ok2 := strings.CutSuffix(inner, "]")
	var items []string
	for item := range strings.SplitSeq(inner, ",") {
		if item = unquoted(strings.TrimSpace(item)); item != "" {
			items = append(items, item)
		}
	}
	return items, ok && ok2
}

// unquoted is a setting's text without the quotes that it may have in the file.
func unquoted(value string) string {
	if len(value) > 1 && value[0] == '"' {
		if text, err := strconv.Unquote(value); err == nil {
			return text
		}
	}
	return value
}

// scheme is how RTSP's passwords may be proven: 1 Basic, 0 Digest.
type scheme struct{}

func (scheme) here(text string) (value, remark string, err error) {
	basic, err := truth(text)
	if basic {
		return listed([]string{"basic"}), "", err
	}
	return listed([]string{"digest"}), "", err
}

func (scheme) there(value string) (string, bool) {
	items, ok := unlisted(value)
	if len(items) == 0 {
		return "", false
	}
	if items[0] == "basic" {
		return "1", ok
	}
	return "0", ok
}

// portRange is low-high. ZLMediaKit takes ports for RTP out of it, those of RTSP included.
type portRange struct{}

func (portRange) here(text string) (value, remark string, err error) {
	text = uncommented(text)
	if text == "" {
		return "", "", errUnsaid
	}
	const first = 1024
	from, to, ok := strings.Cut(text, "-")
	low, err := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	high, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	if !ok || err != nil || err2 != nil {
		return "", "", errors.New("is no range of ports such as 30000-35000")
	}
	if low < first {
		remark = "ports begin with 1024"
		low = first
	}
	if (low+1)&^1+1 > high {
		return "", "", errors.New("holds no pair of an even port and the next, from 1024 on")
	}
	return fmt.Sprintf("%d-%d", low, high), remark, nil
}

func (portRange) there(value string) (string, bool) { return value, value != "" }
