package wire

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// parseHead parses a head that ends with an empty line.
func parseHead(head string) (Item, error) {
	line, rest, _ := strings.Cut(head, "\n")
	header, err := parseHeader(rest)
	if err != nil {
		return Item{}, err
	}
	line = strings.TrimRight(line, " \t\r")
	if strings.HasPrefix(line, responseMark) {
		var res *base.Response
		if res, err = parseStatus(line); err != nil {
			return Item{}, err
		}
		res.Header = header
		return Item{Response: res}, nil
	}
	req, err := parseRequestLine(line)
	if err != nil {
		return Item{}, err
	}
	req.Header = header
	return Item{Request: req}, nil
}

// parseRequestLine parses "METHOD URL RTSP/1.0" (RFC 2326, 6.1), where the URL may have blanks in it.
func parseRequestLine(line string) (*Request, error) {
	method, rest, _ := strings.Cut(line, " ")
	i := strings.LastIndexByte(rest, ' ')
	proto := rest[i+1:]
	if upper := strings.ToUpper(proto); strings.HasPrefix(upper, responseMark) {
		proto = upper
	}
	if i < 0 || !strings.Contains(proto, "/") || strings.ContainsAny(proto, "\t\r") {
		return nil, fmt.Errorf("%w: %.100q", ErrMalformed, line)
	}
	m := base.Method(method)
	if upper := base.Method(strings.ToUpper(method)); isKnown(upper) {
		m = upper
	}
	return &Request{Method: m, URL: strings.TrimSpace(rest[:i]), Proto: proto}, nil
}

// parseStatus parses "RTSP/1.0 200 OK" (RFC 2326, 7.1), whatever the version.
func parseStatus(line string) (*base.Response, error) {
	_, rest, _ := strings.Cut(line, " ")
	digits, text, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	code, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || code < 100 || code > 999 {
		return nil, fmt.Errorf("%w: %.100q", ErrMalformed, line)
	}
	return &base.Response{StatusCode: base.StatusCode(code), StatusMessage: strings.TrimSpace(text)}, nil
}

// parseHeader parses header lines. Lines without a colon are left out, and lines that begin with a blank
// go on with the value before (RFC 2326, 4.2 and RFC 822, 3.1).
func parseHeader(lines string) (base.Header, error) {
	header := make(base.Header)
	last := ""
	for n := 0; lines != ""; n++ {
		var line string
		line, lines, _ = strings.Cut(lines, "\n")
		text := strings.Trim(line, " \t\r")
		if n == linesMax {
			return nil, fmt.Errorf("%w: more than %d lines", ErrHead, linesMax)
		}
		if text == "" {
			continue
		}
		if c := line[0]; (c == ' ' || c == '\t') && last != "" && !hasName(text) {
			values := header[last]
			values[len(values)-1] += " " + text
			continue
		}
		name, value, found := strings.Cut(text, ":")
		if name = strings.TrimRight(name, " \t"); !found || name == "" {
			continue
		}
		last = canonical(name)
		header[last] = append(header[last], strings.TrimLeft(value, " \t"))
	}
	return header, nil
}

// hasName says whether a line that begins with a blank is a header of its own after all: there is a name, and a colon.
func hasName(line string) bool {
	name, _, found := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	return found && name != "" && !strings.ContainsAny(name, " \t\"=;,/")
}

// canonical spells a header's name as package base does.
func canonical(name string) string {
	switch strings.ToLower(name) {
	case "cseq":
		return "CSeq"
	case "rtp-info":
		return "RTP-Info"
	case "www-authenticate":
		return "WWW-Authenticate"
	case "keymgmt":
		return "KeyMgmt"
	}
	return http.CanonicalHeaderKey(name)
}

// bodyOf returns the length of the body behind a head, and whether it is to be waited for. A length that is none counts
// as 0, and one that is beyond all limits as very long.
func bodyOf(it Item) (length int, wanted bool) {
	header, wanted := it.header(), it.Response != nil || hasBody(it.Request.Method)
	text := strings.TrimSpace(first(header["Content-Length"]))
	v, err := strconv.ParseUint(text, 10, 31)
	switch {
	case err == nil:
		return int(v), wanted
	case text != "" && strings.Trim(text, "0123456789") == "":
		return 1<<31 - 1, wanted
	default:
		return 0, wanted
	}
}

func (it Item) header() base.Header {
	if it.Response != nil {
		return it.Response.Header
	}
	return it.Request.Header
}
