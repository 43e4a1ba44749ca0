package server_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ set, wrong string }{
		{"log.level=debug", ""},
		{"rtmp.tls.listen=:1936", "rtmp.tls.listen: needs"},
		{"http.tls.listen=:8443", "http.tls.listen: needs"},
		{"tls.cert=none.pem tls.key=none.pem", "none.pem"},
		{"tls.cert=none.pem", "belong together"},
		{"rtmp.listen=:8080 http.listen=:8080", "RTMP and HTTP cannot both listen on :8080"},
		{"rtmp.listen= http.listen=", "every listener is off"},
		{"data=", "a folder is needed"},
	} {
		cfg, err := conf.Load(conf.Source{Set: strings.Fields(c.set), Known: server.Known()})
		if err == nil {
			err = server.Check(cfg)
		}
		if c.wrong == "" {
			if err != nil {
				t.Errorf("%s: %v", c.set, err)
			}
			continue
		}
		var problems conf.Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.set, err, c.wrong)
		}
	}
}
