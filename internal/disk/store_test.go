package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/disk"
)

func open(t *testing.T, path string) *disk.Store {
	t.Helper()
	s, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func constant(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

// onlyFiles fails when the folder holds anything else, such as a temporary file that was left behind.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
}

func TestOpenMakesThePrivateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 || s.Path() != dir {
		t.Errorf("%v, %v, %s", info.Mode(), err, s.Path())
	}
	open(t, dir)
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", file, filepath.Join(file, "below")} {
		if s, err := disk.Open(path); err == nil {
			_ = s.Close()
			t.Errorf("opened %q", path)
		} else if !strings.HasPrefix(err.Error(), "data folder") {
			t.Error(err)
		}
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, text := range []string{"one", "", "three"} {
		if err := s.WriteFile("x/y.json", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadFile("x/y.json"); err != nil || string(got) != text {
			t.Errorf("read %q, %v; want %q", got, err, text)
		}
	}
	info, err := os.Stat(s.PathOf("x/y.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	onlyFiles(t, filepath.Join(dir, "x"), "y.json")
	if err := s.WriteFile("large", make([]byte, disk.FileBytesMax+1), 0o600); !errors.Is(err, disk.ErrTooLarge) {
		t.Error(err)
	}
	if _, err := s.ReadFile("absent"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir+"/absent") {
		t.Error(err)
	}
	onlyFiles(t, dir, "x")
}

func TestEscapesAreRefused(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	s := open(t, dir)
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "a/../../x", outside + "/x", "link/x", "", "."} {
		if err := s.WriteFile(name, []byte("x"), 0o600); err == nil {
			t.Errorf("wrote %q", name)
		}
		if _, _, err := s.ReadOrCreate(name, 0o600, constant("x")); err == nil {
			t.Errorf("created %q", name)
		}
		if _, err := s.ReadFile(name); err == nil {
			t.Errorf("read %q", name)
		}
	}
	onlyFiles(t, outside)
}

func TestReadOrCreate(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	data, created, err := s.ReadOrCreate("api.secret", 0o600, constant("first"))
	if string(data) != "first" || !created || err != nil {
		t.Errorf("%q, %v, %v", data, created, err)
	}
	data, created, err = s.ReadOrCreate("api.secret", 0o600, func() ([]byte, error) {
		t.Error("generated again")
		return nil, nil
	})
	if string(data) != "first" || created || err != nil {
		t.Errorf("%q, %v, %v", data, created, err)
	}
	onlyFiles(t, dir, "api.secret")
	boom := errors.New("boom")
	_, created, err = s.ReadOrCreate("other", 0o600, func() ([]byte, error) { return nil, boom })
	if created || !errors.Is(err, boom) {
		t.Error(created, err)
	}
	onlyFiles(t, dir, "api.secret")
}

func TestExposedSecretIsToldAndUsable(t *testing.T) {
	s := open(t, t.TempDir())
	if _, _, err := s.ReadOrCreate("k", 0o600, constant("v")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.PathOf("k"), 0o644); err != nil {
		t.Fatal(err)
	}
	data, created, err := s.ReadOrCreate("k", 0o600, constant("w"))
	exposed, ok := errors.AsType[*disk.ExposedError](err)
	if string(data) != "v" || created || !ok || exposed.Perm != 0o644 {
		t.Fatalf("%q, %v, %v", data, created, err)
	}
	path := s.PathOf("k")
	want := path + " has mode 0644, so that others than its owner have access to it: chmod 0600 " + path
	if err.Error() != want {
		t.Errorf("%s, want %s", err, want)
	}
}

// childFolder names the folder on which this test binary, run again, plays another process.
const childFolder = "DISK_TEST_FOLDER"

// TestAsAnotherProcess does nothing unless TestProcessesRaceAndOneWins has started it.
func TestAsAnotherProcess(t *testing.T) {
	dir, asked := os.LookupEnv(childFolder)
	if !asked {
		return
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // the start signal
	s := open(t, dir)
	data, created, err := s.ReadOrCreate("k", 0o600, constant(strconv.Itoa(os.Getpid())))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(os.Stdout, "%s %v\n", data, created)
}

func TestProcessesRaceAndOneWins(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	type child struct {
		cmd   *exec.Cmd
		out   *bytes.Buffer
		start func() error
	}
	var children []child
	for range 6 {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestAsAnotherProcess$")
		cmd.Env = append(os.Environ(), childFolder+"="+dir)
		out := &bytes.Buffer{}
		cmd.Stdout = out
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, child{cmd, out, in.Close})
	}
	for _, c := range children {
		_ = c.start()
	}
	winners, contents := 0, map[string]bool{}
	for _, c := range children {
		if err := c.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(c.out.String(), "\n")
		data, created, _ := strings.Cut(line, " ")
		contents[data] = true
		if created == "true" {
			winners++
		}
	}
	if winners != 1 || len(contents) != 1 {
		t.Errorf("%d winners, contents %v", winners, contents)
	}
	onlyFiles(t, dir, "k")
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for name, text := range map[string]string{"a": "new", "b": "old"} {
		if err := s.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Rename("a", "b"); err != nil {
		t.Fatal(err)
	}
	if b, err := s.ReadFile("b"); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	onlyFiles(t, dir, "b")
	if err := s.Rename("a", "b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if err := s.Rename("b", "../b"); err == nil {
		t.Error("leads outside")
	}
}
