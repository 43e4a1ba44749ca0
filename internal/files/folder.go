package files

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
)

// entriesMost is how many entries of a folder are shown.
const entriesMost = 2000

// folder answers a folder: by its index, by a list of what is in it, or as if it were not there.
func (v *visit) folder(ctx context.Context, tree *disk.Tree, name string) {
	if !strings.HasSuffix(v.r.URL.Path, "/") { // links in its pages are relative to it
		to := url.URL{Path: "./" + path.Base(v.r.URL.Path) + "/", RawQuery: v.r.URL.RawQuery}
		v.w.allow()
		v.w.Header().Set("Location", to.String()) // http.Redirect would make it absolute, by a path that the peer has written
		v.w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	if !v.may(clean(v.r.URL.Path), tree.PathOf(name)+"/", true) {
		return
	}
	for _, index := range []string{"index.html", "index.htm"} {
		file, err := tree.Open(ctx, path.Join(name, index))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil: // each time more to find out would be as long again
			v.broken(err)
			return
		}
		defer file.Close() //nolint:errcheck // it was only read
		if !file.Info.IsDir() {
			v.send(file)
			return
		}
	}
	if v.opt.Listing == nil || !v.opt.Listing() {
		v.next.ServeHTTP(v.w, v.r)
		return
	}
	entries, more, err := tree.List(ctx, name, entriesMost)
	if err != nil {
		v.broken(err)
		return
	}
	v.list(listed{v.r.URL.Path, path.Clean(v.r.URL.Path) != "/", entries, more, entriesMost})
}

// listed is a folder as it is shown.
type listed struct {
	Path    string
	Up      bool
	Entries []disk.Entry
	More    bool
	Most    int
}

// Link is a relative address that no name can turn into something else.
func (listed) Link(e disk.Entry) string {
	u := url.URL{Path: "./" + e.Name}
	if e.Dir {
		u.Path += "/"
	}
	return u.String()
}

// When is a time as it is shown.
func (listed) When(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

//nolint:gochecknoglobals // a constant
var page = template.Must(template.New("folder").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{{.Path}}</title></head>
<body>
<h1>{{.Path}}</h1>
<table>
<tr><th align="left">name</th><th align="right">bytes</th><th align="left">changed (UTC)</th></tr>
{{if .Up}}<tr><td><a href="../">../</a></td><td></td><td></td></tr>
{{end}}{{range .Entries}}<tr><td><a href="{{$.Link .}}">{{.Name}}{{if .Dir}}/{{end}}</a></td><td align="right">{{if not .Dir}}{{.Bytes}}{{end}}</td><td>{{$.When .Change}}</td></tr>
{{end}}</table>
{{if .More}}<p>The first {{.Most}} that were found: there are more.</p>
{{end}}</body>
</html>
`))

// list shows what is in a folder.
func (v *visit) list(l listed) {
	var b bytes.Buffer
	if err := page.Execute(&b, l); err != nil {
		panic(err) // into memory: a fault of the program
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Cache-Control", "no-store")
	v.w.allow()
	http.ServeContent(v.w, v.r, "", time.Time{}, bytes.NewReader(b.Bytes()))
}
