package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	confzlm "github.com/vigil-media/vigil/internal/conf/zlm"
	"github.com/vigil-media/vigil/internal/protocol/all"
)

// ConfigurationDocument is docs/configuration.md: made from the code, so that it cannot lie.
func ConfigurationDocument() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Made by "make docs" from the code. Do not edit. -->

Vigil needs no configuration. What is set anywhere is checked in full before anything starts: an unknown key or a wrong value
is an error that names the file, the line and the nearest known key. ` + "`vigil check -c vigil.yaml`" + ` does only that, and names what is doubtful: settings
that have no effect beside others, or do what is hardly meant. The log tells of these too, at start and when settings are changed.

Sources, the stronger first:

1. flags: ` + "`--set rtmp.listen=:1936`" + `, as often as needed;
2. environment: ` + "`VIGIL_RTMP_LISTEN=:1936`" + `;
3. what was changed while the server ran, through one of its APIs: ` + "`overrides.yaml`" + ` in the data folder;
4. the file: ` + "`-c vigil.yaml`" + ` or ` + "`VIGIL_CONFIG=vigil.yaml`" + `;
5. the defaults, below.

While the server runs, all can be changed but what stands under data, log and watch. What stands under publish, play, serve, auth, hooks and zlm, the secret of the API, and the limits
of publishers, viewers, bandwidth and rings hold at once, the rest from the next start on.

Durations are written as ` + "`15s`, `1m30s`" + `, sizes as ` + "`64MiB`, `500KB`" + `, addresses as ` + "`host:port`" + `, where no
host means all addresses and no address at all turns a listener off.

` + "```yaml\n")
	b.WriteString(strings.TrimRight(conf.Reference(Known()), "\n"))
	b.WriteString("\n```\n")
	return b.String()
}

// KeyTable is the table of docs/zlmediakit.md: what ZLMediaKit's settings mean here. none is the word for "has no effect".
func KeyTable(none string) string {
	var b strings.Builder
	for _, k := range confzlm.Keys() {
		here := none + k.Why
		if len(k.Ours) > 0 {
			here = "`" + strings.Join(k.Ours, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", k.Name, here)
	}
	return b.String()
}

// ProtocolTable is the table of README.md: which protocol carries which codec, in (publish) and out (play).
func ProtocolTable() string {
	protocols := all.Protocols()
	var b strings.Builder
	b.WriteString("| codec |")
	for _, p := range protocols {
		fmt.Fprintf(&b, " %s |", p.Title)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(protocols)) + "\n")
	for _, c := range av.Codecs() {
		cells, carried := []string{c.String()}, false
		for _, p := range protocols {
			cell := strings.TrimSpace(mark(p.Publish, c, "in ") + mark(p.Play, c, "out"))
			carried = carried || cell != ""
			cells = append(cells, cell)
		}
		if carried {
			b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		}
	}
	return b.String()
}

func mark(codecs []av.Codec, c av.Codec, word string) string {
	if slices.Contains(codecs, c) {
		return word
	}
	return ""
}
