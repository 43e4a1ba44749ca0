package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// firstMinute is the heading in README.md under which the commands stand that everybody tries first.
const firstMinute = "First minute"

// readmeCommands returns the commands in the fenced blocks of shell under a heading of a document, one a line, without comments.
func readmeCommands(text, heading string) []string {
	var commands []string
	inSection, inBlock := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch trimmed := strings.TrimSpace(line); {
		case inBlock && strings.HasPrefix(trimmed, "```"):
			inBlock = false
		case inBlock:
			if command, _, _ := strings.Cut(trimmed, " #"); command != "" && command[0] != '#' {
				commands = append(commands, strings.TrimSpace(command))
			}
		case strings.HasPrefix(line, "#"):
			inSection = strings.EqualFold(strings.TrimSpace(strings.TrimLeft(line, "#")), heading)
		case inSection && (trimmed == "```sh" || trimmed == "```"):
			inBlock = true
		}
	}
	return commands
}

func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	const doc = "# X\n```sh\nno\n```\n## First minute\ntext\n```sh\ngo run ./cmd/vigil   # the server\n\n# nothing\nffplay u\n```\n## Y\n```\nno\n```\n"
	if got := strings.Join(readmeCommands(doc, firstMinute), "|"); got != "go run ./cmd/vigil|ffplay u" {
		t.Errorf("%q", got)
	}
}

// TestReadme does what README.md says under "First minute", word by word, but for the ports, the folder and the film: the server is told
// by the environment to take free ones, and a player with a window is one without.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := readmeCommands(string(text), firstMinute)
	if len(commands) == 0 {
		t.Fatalf("README.md has no commands under %q", firstMinute)
	}
	film := filepath.Join(t.TempDir(), "in.mp4")
	run(t, "ffmpeg", "-v", "error", "-stream_loop", "4", "-i", clipAAC.make(t), "-c", "copy", film)
	s := &server{data: t.TempDir()}
	for _, c := range commands {
		word, _, _ := strings.Cut(c, " ")
		switch {
		case strings.HasPrefix(c, "go run ./cmd/vigil"), word == "vigil", word == "./vigil", word == "bin/vigil":
			if s.process == nil { // later ones are other ways to start it
				s.follow(t, strings.TrimPrefix(strings.TrimPrefix(c, "bin/"), "./"))
			}
		case word == "ffmpeg":
			p := launch(t, exec.Command("sh", "-c", "exec "+s.adapt(strings.Replace(c, "ffmpeg", "ffmpeg -nostdin -v error", 1), film)))
			within(t, 20*time.Second, "a stream is being published: "+c, func() bool {
				if p.ended() {
					t.Fatalf("%s: ended: %v\n%s", c, p.err, p.errors.tail(10))
				}
				streams := s.streams(t).Streams
				return len(streams) > 0 && streams[0].Ready
			})
		case word == "ffplay":
			p := launch(t, exec.Command("sh", "-c", "exec "+s.adapt(strings.Replace(c, "ffplay", "ffmpeg -nostdin -v error -t 1 -f null - -i", 1), film)))
			p.succeed(t, 30*time.Second)
		case word == "curl":
			launch(t, exec.Command("sh", "-c", "exec "+s.adapt(strings.Replace(c, "curl", "curl --fail -sS", 1), film))).succeed(t, 10*time.Second)
		default:
			t.Errorf("README.md: this test does not know how to judge %q", c)
		}
	}
	s.stop(t)
}

// follow starts the server with a command of README.md.
func (s *server) follow(t testing.TB, c string) {
	t.Helper()
	c = strings.Replace(c, "vigil", program(t), 1)
	if rest, ok := strings.CutPrefix(c, "go run ./cmd/"); ok {
		c = rest // "go run" builds and runs; it would not hand SIGTERM on
	}
	cmd := exec.Command("sh", "-c", "exec "+c)
	cmd.Dir = t.TempDir()
	cmd.Env = append(environment(), "VIGIL_RTMP_LISTEN=127.0.0.1:0", "VIGIL_HTTP_LISTEN=127.0.0.1:0", "VIGIL_RTSP_LISTEN=127.0.0.1:0", "VIGIL_DATA="+s.data)
	s.process = launch(t, cmd)
	s.awaitBoot(t)
}

var (
	defaultRTMP = regexp.MustCompile(`rtmp://(127\.0\.0\.1|localhost)(:1935)?/`)
	defaultHTTP = regexp.MustCompile(`(127\.0\.0\.1|localhost):8080`)
)

// adapt puts this server's ports and folder, and the film, in place of those in the text.
func (s *server) adapt(c, film string) string {
	c = defaultRTMP.ReplaceAllString(c, "rtmp://"+s.rtmp+"/")
	c = defaultHTTP.ReplaceAllString(c, s.http)
	return strings.NewReplacer("in.mp4", film, "vigil-data", s.data).Replace(c)
}

// TestGoRun starts the program as a newcomer does, with nothing but Go.
func TestGoRun(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "run", "./cmd/vigil")
	cmd.Dir = ".."
	s := &server{data: t.TempDir()}
	cmd.Env = append(environment(), "CGO_ENABLED=0", "VIGIL_RTMP_LISTEN=127.0.0.1:0", "VIGIL_HTTP_LISTEN=127.0.0.1:0", "VIGIL_RTSP_LISTEN=127.0.0.1:0", "VIGIL_DATA="+s.data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that an interrupt reaches "go run" and what it runs, as from a terminal
	s.process = launch(t, cmd)
	s.awaitBoot(t)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t, 10*time.Second); code > 1 { // 1 is what "go run" makes of an interrupt, whatever the program says
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(s.errors.String(), "INF stopped") {
		t.Error("the program has not stopped in order")
	}
	s.healthy(t)
}
