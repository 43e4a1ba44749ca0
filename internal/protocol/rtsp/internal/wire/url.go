package wire

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// ParseURL parses the URL of a request. "*" and an empty one are nil, without an error: they mean the server. Blanks,
// percent signs that escape nothing and number signs are taken as part of the path, since clients send names as users typed
// them. A URL that begins with a slash has a path but neither scheme nor host. The error is ErrURL.
func ParseURL(raw string) (*base.URL, error) {
	raw = strings.TrimSpace(raw)
	if raw == "" || raw == "*" {
		return nil, nil //nolint:nilnil // no URL is what "*" means
	}
	escaped := escape(raw)
	if strings.HasPrefix(raw, "/") {
		u, err := url.ParseRequestURI(escaped)
		if err != nil {
			return nil, fmt.Errorf("%w: %q", ErrURL, raw)
		}
		return (*base.URL)(u), nil
	}
	u, err := base.ParseURL(escaped)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: %q", ErrURL, raw)
	}
	return u, nil
}

// escape writes what cannot stand in a URL as it is.
func escape(raw string) string {
	var b strings.Builder
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == ' ':
			b.WriteString("%20")
		case c == '#':
			b.WriteString("%23")
		case c == '%' && (i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2])):
			b.WriteString("%25")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
