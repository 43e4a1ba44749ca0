package server

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/files"
	"github.com/vigil-media/vigil/internal/hook"
	"github.com/vigil-media/vigil/internal/protocol"
)

// accessCookie is the cookie of who was let in by on_http_access, by ZLMediaKit's name.
const accessCookie = "ZLM_HTTP_COOKIE"

// downloadPath is where files are downloaded from, as platforms write it: requests come with small letters here.
const downloadPath = dialectPath + "downloadFile"

// folders are those that the section names, by their settings.
func (c *filesConfig) folders() map[string][]string {
	all := map[string][]string{"download": c.Download}
	if c.Root != "" {
		all["root"] = []string{c.Root}
	}
	for _, a := range c.Aliases {
		_, folder, _ := strings.Cut(a, "=")
		all["aliases"] = append(all["aliases"], folder)
	}
	return all
}

// secrets are the paths of what nobody may read, by what they are.
func (c *config) secrets(file string) map[string]string {
	return map[string]string{"data folder, which holds the secrets": c.data, "private key": c.tls.Key, "configuration file, which may hold secrets": file}
}

// exposes refuses folders that have something in them that nobody may read: the data folder, the private key, the configuration.
func (c *config) exposes(file string) error {
	secrets := c.secrets(file)
	var problems conf.Problems
	for key, folders := range c.file.folders() {
		for _, folder := range folders {
			for what, secret := range secrets {
				if secret != "" && lies(secret, folder) {
					problems = append(problems, conf.Problem{Key: "files." + key, Message: folder + " has the " + what + " in it: everybody could read it"})
				}
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems
}

// lies says whether a path is in a folder, or the folder, by what the names say.
func lies(path, folder string) bool {
	a, err := filepath.Abs(path)
	b, err2 := filepath.Abs(folder)
	if err != nil || err2 != nil {
		return true // to be sure
	}
	rel, err := filepath.Rel(b, a)
	return err == nil && filepath.IsLocal(rel)
}

// never are the folders in which those secrets are, on all levels, whatever links lead to them. Those that are not there are no secrets.
func (c *config) never(file string) (all []fs.FileInfo) {
	for _, secret := range c.secrets(file) {
		if secret == "" {
			continue
		}
		at, err := filepath.EvalSymlinks(secret)
		if err == nil {
			at, err = filepath.Abs(at)
		}
		for parent := ""; err == nil && at != parent; at, parent = filepath.Dir(at), at {
			if info, err := os.Stat(at); err == nil {
				all = append(all, info)
			}
		}
	}
	return all
}

// newFiles returns the window onto files; next answers what is none.
func (s *Server) newFiles(next http.Handler) (*files.Files, error) {
	c := &s.cfg.file
	o := files.Options{
		Log: s.logger, CORS: protocol.CORS(c.CORS), Aliases: map[string]*disk.Tree{}, May: s.mayRead, Long: func(r *http.Request) { s.http.leaveAlone(r) },
		Listing: func() bool { return s.live.now.Load().cfg.file.Listing },
		Known:   func(addr netip.Addr) bool { return s.hooks.AsksFiles() || s.mayCall(addr) },
	}
	var err error
	if c.Root != "" {
		if o.Root, err = s.tree(c.Root); err != nil {
			return nil, err
		}
	}
	for _, a := range c.Aliases {
		name, folder, _ := strings.Cut(a, "=")
		if o.Aliases[name], err = s.tree(folder); err != nil {
			return nil, err
		}
	}
	for _, folder := range c.Download {
		t, err := s.tree(folder)
		if err != nil {
			return nil, err
		}
		o.Downloads = append(o.Downloads, t)
	}
	return files.New(o, next), nil
}

// tree is a folder that files are read from. It has a volume of its own, once.
func (s *Server) tree(path string) (*disk.Tree, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	for _, t := range s.trees {
		if t.Path() == abs {
			return t, nil
		}
	}
	v := disk.NewVolume(disk.VolumeOptions{Name: "files " + path, Log: s.logger, Board: s.watch.board})
	t, err := disk.NewTree(abs, v, s.cfg.never(s.opt.Config.File())...) // the disks of those have been read by now
	if err == nil {
		s.trees = append(s.trees, t)
	}
	return t, err
}

// runTree serves a folder until ctx ends.
func (s *Server) runTree(ctx context.Context, t *disk.Tree) error {
	t.Look(func(err error) { // who has mistyped the path is to know before somebody wants a file
		if err != nil {
			s.logger.Warn("files are to be read from a folder that cannot be opened", "folder", t.Path(), "cause", err)
		}
	})
	return s.runVolume(ctx, t.Volume())
}

// mayRead asks whether somebody may read a file: the platform, where it wants to be asked. Addresses are known by then.
func (s *Server) mayRead(q files.Question) (*http.Cookie, error) {
	remote, _ := netip.ParseAddrPort(q.Request.RemoteAddr) // the zero address stands for one that is no IP address
	known := ""
	if c, err := q.Request.Cookie(accessCookie); err == nil {
		known = c.Value
	}
	at, alone := q.Path, q.Path == ""
	if alone {
		at = downloadPath
	}
	got, err := s.hooks.MayRead(q.Request.Context(), &hook.Reading{
		Remote: remote, ID: s.newID(), Path: at, File: q.File, Dir: q.Dir, Alone: alone,
		Query: q.Request.URL.RawQuery, Header: q.Request.Header, Cookie: known,
	})
	if got == nil {
		return nil, err
	}
	return &http.Cookie{
		Name: accessCookie, Value: got.Value, Path: cookiePath(got.Path), MaxAge: int(got.Lasts.Seconds()), HttpOnly: true, Secure: q.Request.TLS != nil,
		SameSite: http.SameSiteLaxMode,
	}, err
}

// cookiePath is a path as a cookie has to say it: as browsers write it in requests. Where that cannot stand in a cookie it is what is above, which does
// no harm: that they send a cookie does not say what it is good for.
func cookiePath(at string) string {
	var b strings.Builder
	for _, c := range []byte(at) {
		switch {
		case c == ';':
			return b.String()[:strings.LastIndexByte(b.String(), '/')+1]
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%<>?`{}", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
