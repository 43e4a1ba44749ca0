package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/hub"
)

// unpack reads the files of a bundle.
func unpack(t *testing.T, data []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(b)
	}
}

// TestEvidence gathers evidence of a server that publishes, and has refused: every part is there, and no secret.
func TestEvidence(t *testing.T) {
	p := newProbed(t, "limits.publishers=1")
	key := hub.Key{App: "live", Name: "cam1"}
	l, err := p.hub.Publish(t.Context(), hub.Request{Key: key, Session: "7f3a", Remote: netip.MustParseAddrPort("192.0.2.1:5000")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release(nil)
	if _, err := p.hub.Publish(t.Context(), hub.Request{Key: hub.Key{App: "live", Name: "cam2"}, Session: "7f3b"}); err == nil {
		t.Fatal("a second publisher is let in")
	}
	b, err := p.watch.collector.Collect(t.Context(), p.sources("a test", nil))
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Data)
	var sessions map[string]any
	if err := json.Unmarshal([]byte(files["sessions.json"]), &sessions); err != nil || !strings.Contains(files["sessions.json"], "cam1") {
		t.Errorf("sessions.json: %v\n%.500s\n%s", err, files["sessions.json"], files["manifest.txt"])
	}
	for name, want := range map[string]string{
		"config.yaml": "limits:", "log.txt": "", "cells.txt": "fanout: 1", "goroutines.txt": "goroutine ", "verdict.txt": "a test", "runtime.txt": "sched",
		"process.txt": "VmRSS", "sockets.txt": "",
	} {
		if _, there := files[name]; !there || !strings.Contains(files[name], want) {
			t.Errorf("%s: %.300q does not have %q", name, files[name], want)
		}
	}
	if !strings.Contains(files["config.yaml"], "publishers: 1 ") && !strings.Contains(files["config.yaml"], "publishers: 1\n") {
		t.Errorf("config.yaml is not what holds:\n%s", files["config.yaml"])
	}
	for name, text := range files {
		if strings.Contains(text, probedSecret) || strings.Contains(text, p.apiSecret.Load().Reveal()) {
			t.Errorf("%s has the secret", name)
		}
	}
}
