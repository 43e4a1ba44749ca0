package wire

import (
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Proto is the protocol of requests that are understood. The answer to any other is 505.
const Proto = "RTSP/1.0"

// Request is a request as it was sent: base.Request without its strictness about URLs.
//
// Strings of a Request from a Parser share memory of the size of its head: who keeps one for long clones it.
type Request struct {
	Method base.Method
	URL    string // as sent, but for blanks around it: see ParseURL
	Proto  string // "RTSP/1.0"; empty means that when writing
	Header base.Header
	Body   []byte // of ANNOUNCE and SET_PARAMETER only; others' bodies are skipped
}

// CSeq returns the sequence number, as it is to be repeated in the response; empty if there is none.
func (r *Request) CSeq() string { return first(r.Header["CSeq"]) }

// Session returns the id in the Session header, without parameters; empty if there is none. It is opaque: some
// clients make numbers of ids, negative ones too, so only those that came from this server mean anything.
func (r *Request) Session() string { return SessionID(r.Header["Session"]) }

// ParseURL returns the URL of the request: see the function of the same name.
func (r *Request) ParseURL() (*base.URL, error) { return ParseURL(r.URL) }

// SessionID returns the id in a Session header, without ";timeout=" and what else there may be (RFC 2326, 12.37).
func SessionID(v base.HeaderValue) string {
	id, _, _ := strings.Cut(first(v), ";")
	return strings.TrimSpace(id)
}

// first returns the first value of a header that some send twice.
func first(v base.HeaderValue) string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// isKnown says whether m is a method of RFC 2326 (section 10).
func isKnown(m base.Method) bool {
	switch m {
	case base.Announce, base.Describe, base.GetParameter, base.Options, base.Pause, base.Play, base.Record,
		base.Setup, base.SetParameter, base.Teardown, "REDIRECT":
		return true
	}
	return false
}

// hasBody says whether a request of this method is of no use without its body. For all others it is not waited for.
func hasBody(m base.Method) bool { return m == base.Announce || m == base.SetParameter }
