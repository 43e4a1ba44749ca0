package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDoubtfulConfiguration: check names what is doubtful, wherever it was set and of a file of ZLMediaKit's too, and calls the configuration sound.
func TestDoubtfulConfiguration(t *testing.T) {
	t.Parallel()
	const off = "hooks.enabled: doubtful: hooks are off, but there are URLs"
	for _, c := range []struct {
		name, text string
		args       []string
		says       []string
	}{
		{"vigil.yaml", "hooks:\n  enabled: false\n  on_play: http://127.0.0.1:1/\n", nil, []string{off}},
		{"set.yaml", "hooks:\n  on_play: http://127.0.0.1:1/\n", []string{"--set", "hooks.enabled=false"}, []string{off}},
		{"config.ini", "[hook]\non_play=http://127.0.0.1:1/\n", nil, []string{"hook.enable: doubtful: is not in the file", off}},
	} {
		file := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := launch(t, command(t, append([]string{"check", "-c", file}, c.args...)...))
		p.succeed(t, 20*time.Second)
		out := p.out.String()
		for _, want := range append(c.says, "nobody is asked", "the configuration is sound\n") {
			if strings.Count(out, want) != 1 {
				t.Errorf("%s: %q is not said once:\n%s", c.name, want, out)
			}
		}
	}
}
