package files

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/protocol"
)

// Limits.
const (
	requestsMost = 256              // at the same time
	addressMost  = 64               // of them, from one address
	partTime     = 10 * time.Second // for a peer to take a part of an answer
	retryAfter   = "5"              // seconds, where there is no room
	rangesMost   = 32               // of a file, in a request: each is read from the disk on its own
	nameBytes    = 4096             // of a path: no system opens what has a longer name, and nobody is to be asked about it, nor an answer be kept
)

// Question is whether a file, or a folder, may be read.
type Question struct {
	Request *http.Request
	Path    string // of the URL, without . and .., which may have been encoded; "": it is a download
	File    string // its absolute path
	Dir     bool
}

// Options are what the window shows, and to whom.
type Options struct {
	Log       *slog.Logger
	Root      *disk.Tree            // what is seen at /; nil: nothing
	Aliases   map[string]*disk.Tree // what is seen at /name/ instead
	Downloads []*disk.Tree          // what may be downloaded; of folders that lie in one another the first that fits
	CORS      protocol.CORS         // pages of which origin may read answers
	Listing   func() bool           // whether what is in a folder is shown
	Known     func(netip.Addr) bool // whether an address may ask at all; it touches memory only
	// May decides, and may take its time while the request's context lasts. The cookie, if any, is for the answer, and the error's text for the peer.
	May func(q Question) (*http.Cookie, error)
	// Long is told of a request whose answer may take long.
	Long func(r *http.Request)
}

// Files answers requests for files. It implements http.Handler for those at the paths that files have below the root.
type Files struct {
	opt    Options
	next   http.Handler
	places places
}

// New returns the window; next answers what is no file.
func New(o Options, next http.Handler) *Files { return &Files{opt: o, next: next} }

// clean is a path without what is in it twice or leads up. A slash at its end stays: it is a folder's.
func clean(at string) string {
	whole := path.Clean("/" + at)
	if strings.HasSuffix(at, "/") && whole != "/" {
		whole += "/"
	}
	return whole
}

// find is the folder that a path leads to, and the name in it.
func (f *Files) find(at string) (*disk.Tree, string) {
	name := strings.TrimPrefix(path.Clean("/"+at), "/")
	first, rest, _ := strings.Cut(name, "/")
	tree := f.opt.Root
	if alias := f.opt.Aliases[first]; alias != nil {
		tree, name = alias, rest
	}
	if name == "" {
		name = "."
	}
	return tree, name
}

// ServeHTTP implements http.Handler.
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tree, name := f.find(r.URL.Path)
	if tree == nil {
		f.next.ServeHTTP(w, r)
		return
	}
	if !f.opt.CORS.Asks(w, r) {
		return
	}
	v, ok := f.enter(w, r)
	if !ok {
		return
	}
	defer v.leave()
	if !v.known() {
		return
	}
	file, err := tree.Open(r.Context(), name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.next.ServeHTTP(v.w, r) // the disk may have taken longer to say so than the server gives an answer
		return
	case err != nil:
		v.broken(err)
		return
	}
	defer file.Close() //nolint:errcheck // it was only read
	if !file.Info.IsDir() {
		if v.may(clean(r.URL.Path), tree.PathOf(name), false) {
			v.send(file)
		}
		return
	}
	v.folder(r.Context(), tree, name)
}

// Download answers a file that is asked for by its absolute path, which is to be saved under a name, or shown if that is "". Where allowed is false,
// it is decided whether the peer may have it.
func (f *Files) Download(w http.ResponseWriter, r *http.Request, at, saveAs string, allowed bool) {
	v, ok := f.enter(w, r)
	if !ok {
		return
	}
	defer v.leave()
	tree, name := f.downloads(at)
	switch {
	case tree == nil:
		v.say(http.StatusUnauthorized, "this file may not be downloaded")
		return
	case !allowed && (!v.known() || !v.may("", tree.PathOf(name), false)):
		return
	}
	file, err := tree.Open(r.Context(), name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && file.Info.IsDir():
		v.say(http.StatusNotFound, "there is no such file")
		return
	case err != nil:
		v.broken(err)
		return
	}
	defer file.Close() //nolint:errcheck // it was only read
	if name = saveName(saveAs); name != "" {
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	}
	v.send(file)
}

// downloads is the folder in which a file may be downloaded, and the file's name in it; nil: there is none.
func (f *Files) downloads(at string) (*disk.Tree, string) {
	if strings.Contains(at, "..") || len(at) > nameBytes {
		return nil, ""
	}
	for _, tree := range f.opt.Downloads {
		if name, inside := tree.Name(at); inside {
			return tree, name
		}
	}
	return nil, ""
}

// visit is a request that has a place.
type visit struct {
	*Files
	w    *parts
	r    *http.Request
	from netip.Addr
}

// enter takes a place for a request, or answers that there is none, or that its address may read nothing.
func (f *Files) enter(w http.ResponseWriter, r *http.Request) (*visit, bool) {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address stands for one that is no IP address
	v := &visit{f, &parts{w, http.NewResponseController(w)}, r, at.Addr().Unmap()}
	if !f.places.enter(v.from) {
		w.Header().Set("Retry-After", retryAfter)
		v.say(http.StatusServiceUnavailable, "too many files are being read")
		return nil, false
	}
	if f.opt.Long != nil {
		f.opt.Long(r)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	return v, true
}

func (v *visit) leave() { v.places.leave(v.from) }

// known says whether the request's address may ask, or answers that it may not.
func (v *visit) known() bool {
	if v.opt.Known != nil && !v.opt.Known(v.from) {
		v.say(http.StatusUnauthorized, "your address may not read files here")
		return false
	}
	return true
}

// may asks whether something may be read, or answers that it may not.
func (v *visit) may(at, file string, dir bool) bool {
	cookie, err := v.opt.May(Question{v.r, at, file, dir})
	if cookie != nil {
		http.SetCookie(v.w, cookie)
	}
	if err != nil {
		v.say(http.StatusUnauthorized, err.Error())
	}
	return err == nil
}

// broken answers that the disk does not let a file be read.
func (v *visit) broken(err error) {
	if !errors.Is(err, context.Canceled) { // else the peer has gone
		v.opt.Log.Warn("a file cannot be read", "protocol", "http", "remote", v.r.RemoteAddr, "cause", err)
	}
	v.w.Header().Set("Retry-After", retryAfter)
	v.say(http.StatusServiceUnavailable, "the disk does not answer")
}

// say answers with a text.
func (v *visit) say(status int, text string) {
	v.w.allow()
	v.w.Header().Set("Cache-Control", "no-store")
	http.Error(v.w, text, status)
}

// send sends a file, or what was asked for of it.
func (v *visit) send(file *disk.File) {
	h := v.w.Header()
	if kind := kinds[path.Ext(file.Info.Name())]; kind != "" {
		h.Set("Content-Type", kind)
	}
	if strings.Count(v.r.Header.Get("Range"), ",") >= rangesMost {
		v.r.Header.Del("Range") // RFC 9110, section 14.2: it may be ignored
	}
	h.Set("Cache-Control", "no-cache") // who has it asks whether it is still so, and may still have it
	v.w.allow()
	http.ServeContent(v.w, v.r, file.Info.Name(), file.Info.ModTime(), file)
}

// kinds are the media types that systems may not know.
//
//nolint:gochecknoglobals // a constant table
var kinds = map[string]string{
	".flv": "video/x-flv", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".m3u8": "application/vnd.apple.mpegurl", ".m4s": "video/iso.segment",
	".mp4": "video/mp4", ".png": "image/png", ".ts": "video/mp2t", ".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm",
}

// parts gives a peer some time for each part of an answer, where the server's limit is for all of it.
type parts struct {
	http.ResponseWriter
	control *http.ResponseController
}

// allow begins the time for the next part.
func (p *parts) allow() {
	_ = p.control.SetWriteDeadline(time.Now().Add(partTime)) // where there is none, nothing waits
}

// Write implements io.Writer.
func (p *parts) Write(b []byte) (int, error) {
	p.allow()
	return p.ResponseWriter.Write(b)
}
