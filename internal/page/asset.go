package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// asset is a file, ready to be sent.
type asset struct {
	kind   string // its media type
	cache  string // the value of Cache-Control
	tag    string // a hash of the content, without quotes
	plain  []byte
	packed func() []byte // made when it is first wanted, once; it returns nil where that is no gain
}

// Names with a hash in them never mean something else; other files are asked for each time.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheAsk     = "no-cache"
)

// newAsset returns the file with this name.
func newAsset(name string, content []byte) *asset {
	hash := sha256.Sum256(content)
	a := &asset{
		kind: kindOf(name), cache: cacheAsk, plain: content,
		tag:    base64.RawURLEncoding.EncodeToString(hash[:12]),
		packed: sync.OnceValue(func() []byte { return pack(content) }),
	}
	if hashed(name) {
		a.cache = cacheForever
	}
	return a
}

// hashed says whether a name has the hash of the content in it, as the bundler writes it.
func hashed(name string) bool {
	ok, err := regexp.MatchString(`^[a-z]+-[0-9A-Z]{8}\.(js|css)$`, name)
	return ok && err == nil
}

func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// pack returns the content in gzip, or nil if that is not smaller.
func pack(content []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err = w.Write(content); err != nil {
		return nil
	}
	if err = w.Close(); err != nil || b.Len() >= len(content) {
		return nil
	}
	return b.Bytes()
}

// serveTime is for a client to take a file: the largest has 0.4 MB, or 0.1 MB packed, and some links carry 100 kbit/s.
const serveTime = 60 * time.Second

// serve answers GET and HEAD. Ranges are not served: a file is small.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(serveTime)) // the server's own is for short answers; where there is none, nothing waits
	body, tag := a.plain, `"`+a.tag+`"`
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", a.cache)
	if accepts(r) {
		if packed := a.packed(); packed != nil {
			body, tag = packed, `"`+a.tag+`-gzip"` // other bytes, another tag
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	if matches(r, tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}
