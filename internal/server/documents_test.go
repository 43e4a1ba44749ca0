package server_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

var update = flag.Bool("update", false, "write the documents anew")

const (
	configurationFile = "../../docs/configuration.md"
	readmeFile        = "../../README.md"
	zlmFile           = "../../docs/zlmediakit.md"
	zlmChineseFile    = "../../docs/zlmediakit.zh-CN.md"
	tableBegin        = "<!-- protocols: made by make docs -->\n"
	tableEnd          = "<!-- end of protocols -->\n"
)

// zlmDocument is a document about ZLMediaKit with the table that comes from the code.
func zlmDocument(t *testing.T, file, none string) string {
	t.Helper()
	const begin, end = "<!-- keys: made by make docs -->\n", "<!-- end of keys -->\n"
	head, rest, ok := strings.Cut(read(t, file), begin)
	heading, rest, ok2 := strings.Cut(rest, "|---|---|\n")
	_, tail, ok3 := strings.Cut(rest, end)
	if !ok || !ok2 || !ok3 {
		t.Fatalf("%s has no place for the table of keys", file)
	}
	return head + begin + heading + "|---|---|\n" + server.KeyTable(none) + end + tail
}

// TestDocuments holds the generated documents against the code. "make docs" writes them.
func TestDocuments(t *testing.T) {
	readme := read(t, readmeFile)
	head, rest, ok := strings.Cut(readme, tableBegin)
	_, tail, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("README.md has no place for the table of protocols: %q ... %q", tableBegin, tableEnd)
	}
	for file, want := range map[string]string{
		configurationFile: server.ConfigurationDocument(),
		readmeFile:        head + tableBegin + server.ProtocolTable() + tableEnd + tail,
		operationsFile:    operationsDocument(t),
		zlmFile:           zlmDocument(t, zlmFile, "no effect: "),
		zlmChineseFile:    zlmDocument(t, zlmChineseFile, "无作用:"),
	} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if read(t, file) != want {
			t.Errorf("%s is not what the code says: run make docs", file)
		}
	}
}

// TestReferenceIsSound loads the reference as a configuration: every line of it must be valid.
func TestReferenceIsSound(t *testing.T) {
	_, err := conf.Load(conf.Source{
		File: "reference.yaml", Data: []byte(conf.Reference(server.Known())), Known: server.Known(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}
