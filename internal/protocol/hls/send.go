package hls

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
)

// send answers with a playlist, and returns how many bytes of it. One that tells a visitor's id is private: no cache is to tell it to others.
func send(w http.ResponseWriter, r *http.Request, d *segment.Document, private bool) int {
	h, body, tag := w.Header(), d.Body, `"`+d.ETag+`"`
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		if z := d.Zipped(); z != nil {
			h.Set("Content-Encoding", "gzip")
			body, tag = z, `"`+d.ETag+`-gz"`
		}
	}
	h.Set("Cache-Control", "no-cache")
	if private {
		h.Set("Cache-Control", "private, no-cache")
	}
	h.Set("ETag", tag)
	if match := r.Header.Get("If-None-Match"); match != "" && strings.Contains(match, tag) {
		h.Del("Content-Encoding")
		begin(w).next(1)
		w.WriteHeader(http.StatusNotModified)
		return 0
	}
	h.Set("Content-Type", typePlaylist)
	return write(w, r, [][]byte{body})
}

// pace bounds the time that a peer has to take an answer: answerTimeout for each answerBytes, so that one may be slow, and answerMost for
// all of it, as long as which it keeps in memory what may have left the playlist.
type pace struct {
	w    http.ResponseWriter
	end  time.Time
	left int // bytes to the next deadline
}

func begin(w http.ResponseWriter) *pace { return &pace{w: w, end: time.Now().Add(answerMost)} }

// next is told before so many bytes are taken.
func (p *pace) next(n int) {
	if p.left -= n; p.left >= 0 {
		return
	}
	p.left = answerBytes
	due := time.Now().Add(answerTimeout)
	if due.After(p.end) {
		due = p.end
	}
	_ = http.NewResponseController(p.w).SetWriteDeadline(due) // where there is none, nothing waits
}

// write writes a whole body, or for HEAD only how long it is, and returns how many bytes were taken.
func write(w http.ResponseWriter, r *http.Request, body [][]byte) (n int) {
	size := 0
	for _, b := range body {
		size += len(b)
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	p := begin(w)
	p.next(1)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return 0
	}
	for _, b := range body {
		for len(b) > 0 {
			next := b[:min(len(b), answerBytes)]
			p.next(len(next))
			m, err := w.Write(next)
			n += m
			if err != nil {
				return n // the peer is gone
			}
			b = b[m:]
		}
	}
	return n
}

// acceptsGzip says whether gzip is among the codings that a request takes. That one may be said not to be wanted (q=0) is looked at too.
func acceptsGzip(r *http.Request) bool {
	for _, line := range r.Header["Accept-Encoding"] {
		for item := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(strings.TrimSpace(item), ";")
			if coding == "gzip" || coding == "*" {
				q := strings.TrimPrefix(strings.TrimSpace(weight), "q=")
				return strings.Trim(q, "0.") != "" || weight == ""
			}
		}
	}
	return false
}
