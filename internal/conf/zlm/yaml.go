package zlm

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// order lists our keys that a key of ZLMediaKit's maps to, as in docs/configuration.md.
func order() []string {
	return []string{
		"http.listen", "http.tls.listen",
		"api.secret", "api.from",
		"files.root", "files.aliases", "files.download", "files.listing", "files.cors",
		"publish.resume_window", "publish.max_silence", "publish.modify_stamp", "publish.audio", "publish.idle_delay", "publish.close_idle",
		"play.wait",
		"serve.rtsp", "serve.rtmp", "serve.ts", "serve.fmp4", "serve.hls", "serve.hls_fmp4",
		"hooks.enabled", "hooks.on_publish", "hooks.on_play", "hooks.on_rtsp_realm", "hooks.on_rtsp_auth", "hooks.on_http_access",
		"hooks.on_stream_changed", "hooks.on_stream_not_found", "hooks.on_stream_none_reader", "hooks.on_flow_report",
		"hooks.on_server_started", "hooks.on_server_exited", "hooks.on_server_keepalive",
		"hooks.server_id", "hooks.stream_changed_schemas", "hooks.flow_threshold", "hooks.alive_interval",
		"hooks.timeout", "hooks.retries", "hooks.retry_delay",
		"egress.merge_window",
		"rtmp.listen", "rtmp.tls.listen", "rtmp.form",
		"rtsp.listen", "rtsp.tls.listen", "rtsp.udp_ports", "rtsp.multicast.ttl", "rtsp.packet_size", "rtsp.auth",
		"httplive.cors", "httplive.form",
		"hls.cors", "hls.segment", "hls.segments",
	}
}

// writer writes a file of nested mappings.
type writer struct {
	text    strings.Builder
	path    []string          // of the mappings that are open
	remarks map[string][]Note // by key
}

// open begins the mappings that lead to a dotted key, and gives the key's own name and indentation.
func (w *writer) open(key string) (name, indent string) {
	path := strings.Split(key, ".")
	name, path = path[len(path)-1], path[:len(path)-1]
	same := 0
	for same < min(len(path), len(w.path)) && path[same] == w.path[same] {
		same++
	}
	for i := same; i < len(path); i++ {
		if i == 0 {
			w.text.WriteByte('\n')
		}
		fmt.Fprintf(&w.text, "%s%s:\n", strings.Repeat("  ", i), path[i])
	}
	w.path = path
	return name, strings.Repeat("  ", len(path))
}

// yaml writes what has come of a file.
func (t *translation) yaml() []byte {
	w := &writer{remarks: map[string][]Note{}}
	for _, n := range t.notes {
		w.remarks[n.Key] = append(w.remarks[n.Key], n)
	}
	fmt.Fprintf(&w.text, "# Made from %s, a configuration of ZLMediaKit. Above each setting stands which key it comes from.\n", printable(t.source))
	for _, key := range order() {
		value, set := t.ours[key]
		wish, wanted := t.listeners.wish[key]
		if !set && !wanted {
			continue
		}
		if wanted { // beside the mapping, which would be empty
			section, _, _ := strings.Cut(key, ".")
			_, indent := w.open(section + ".tls")
			w.origin(indent, byPort(key))
			fmt.Fprintf(&w.text, "%s# tls: {listen: %q}\n", indent, wish)
			continue
		}
		name, indent := w.open(key)
		w.origin(indent, t.from[key])
		fmt.Fprintf(&w.text, "%s%s: %s\n", indent, name, written(key, value))
	}
	if len(t.kept) > 0 {
		w.text.WriteString("\n# What has no effect here, as ZLMediaKit's sections and keys.")
	}
	for _, key := range slices.SortedFunc(maps.Keys(t.kept), strings.Compare) {
		section, name, _ := strings.Cut(key, ".")
		_, indent := w.open("zlm." + asKey(section) + ".")
		w.remark(indent, key)
		fmt.Fprintf(&w.text, "%s%s: %s\n", indent, asKey(name), strconv.Quote(t.kept[key]))
	}
	return []byte(w.text.String())
}

// asKey writes a word as a key of YAML: in quotes, unless it can be nothing else.
func asKey(word string) string {
	letter := word[0] >= 'a' && word[0] <= 'z' || word[0] >= 'A' && word[0] <= 'Z'
	switch strings.ToLower(word) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		letter = false
	}
	if letter {
		return word
	}
	return strconv.Quote(word)
}

// byPort is ZLMediaKit's key of a listener.
func byPort(ours string) string {
	for i := range table {
		if k := &table[i]; k.role == port && k.Ours[0] == ours {
			return k.Name
		}
	}
	return ""
}

// origin says which key a setting comes from, and what is to be said of it.
func (w *writer) origin(indent, key string) {
	fmt.Fprintf(&w.text, "%s# %s\n", indent, key)
	w.remark(indent, key)
}

// remark writes the notes of a key.
func (w *writer) remark(indent, key string) {
	for _, n := range w.remarks[key] {
		fmt.Fprintf(&w.text, "%s# %v: %s\n", indent, n.Kind, n.Text)
	}
}

// written is a value as it is written in the file: in quotes, unless it is a number, a duration, a word of ours or a list.
func written(key, value string) string {
	for i := range table {
		k := &table[i]
		if !slices.Contains(k.Ours, key) {
			continue
		}
		switch c := k.codec.(type) {
		case span, choice, count, kibibytes, schemas, ranges, folders, aliases, scheme:
			return value
		case flag:
			if c.on != "*" {
				return value
			}
		}
		break
	}
	return strconv.Quote(value)
}
