package zlm

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
)

// Settings says our settings in ZLMediaKit's keys, as getServerConfig must: every key of [Keys], and what else was kept. ours are our
// settings by their dotted keys, as text as it is after --set or, in double quotes, in the file; kept are texts by section.key, from [Convert]
// or [Changes].
//
// A key that has an effect says what holds here, whatever was kept for it. One that has none says what was kept, else what ZLMediaKit's
// sample file says. Ports that are off are 0, and so are those of listeners that do not exist here, and of one that takes any free port.
// general.listen_ip is "::" unless all listeners have another address in common. api.secret and general.mediaServerId are as in ours: the
// caller puts there what holds when they are not configured.
func Settings(ours, kept map[string]string) map[string]string {
	out := maps.Clone(kept)
	if out == nil {
		out = map[string]string{}
	}
	ours = bare(ours)
	for i := range table {
		k := &table[i]
		out[k.Name] = k.say(ours, kept)
	}
	return out
}

// bare is a copy of settings without the quotes that texts have in the file.
func bare(settings map[string]string) map[string]string {
	out := make(map[string]string, len(settings))
	for key, value := range settings {
		out[key] = unquoted(value)
	}
	return out
}

// say is one key's text.
func (k *Key) say(ours, kept map[string]string) string {
	switch k.role {
	case host:
		return hostOf(ours)
	case port:
		_, number := splitAddress(ours[k.Ours[0]])
		return strconv.Itoa(number)
	case away:
		return "0"
	case plain:
	}
	for _, key := range k.Ours {
		if value, known := ours[key]; known {
			if text, ok := k.codec.there(value); ok {
				return text
			}
		}
	}
	if text, ok := kept[k.Name]; ok && k.codec == nil {
		return text
	}
	return k.usual()
}

// Changes says what arguments of setServerConfig mean here: which settings of ours are to be set, as texts after --set, and which texts are
// to be kept, by section.key. now are our settings as they hold, as for [Settings]; nil: nothing is known of them. A text that Settings gives
// already changes nothing, so that a client may write back all that it has read.
//
//   - A key that ZLMediaKit does not have is ignored, with a note.
//   - So is what could be executed: ffmpeg.bin, ffmpeg.snap, ffmpeg.cmd and its like, python.plugin; and what would open other folders of the disk to
//     whoever has the secret: http.rootPath, http.virtualPath, api.downloadRoot.
//   - An empty number sets nothing; an empty URL is none.
//   - A number that cannot be read, a URL that is none, and a port or address that cannot be is an error, where ZLMediaKit would take 0:
//     then nothing is to be set. The error is conf.Problems, with a [conf.Problem] for each key, and shows no secret.
//
// Listeners keep their address when their port changes, and a listener by TLS is not opened without tls.cert in now.
func Changes(zlm, now map[string]string) (ours, kept map[string]string, notes []Note, err error) {
	t := newTranslation("", bare(now))
	for _, key := range slices.Sorted(maps.Keys(zlm)) {
		t.change(entry{key: key, text: zlm[key]})
	}
	t.patience()
	t.settle()
	t.doubts()
	if len(t.problems) > 0 {
		return nil, nil, nil, t.problems
	}
	return t.ours, t.kept, t.notes, nil
}

// change takes one argument.
func (t *translation) change(e entry) {
	const longest = 16 << 10
	k := byName[e.key]
	switch {
	case executes(e.key):
		t.note(e, NoEffect, "is refused: nothing that is executed can be set by the API")
	case opens(e.key):
		if k.say(t.now, nil) != e.text {
			t.note(e, NoEffect, "is refused: what can be read of the disk cannot be set by the API")
		}
	case k == nil:
		t.note(e, Unknown, "is ignored: ZLMediaKit has no such key")
	case len(e.text) > longest || !sound(e.text):
		t.problems = append(t.problems, conf.Problem{Key: e.key, Message: "is too long, or no text"})
	default:
		t.add(k, e)
	}
}

// executes says whether a key names a program, or what it is called with.
func executes(key string) bool {
	switch key {
	case "ffmpeg.bin", "ffmpeg.snap", "python.plugin":
		return true
	}
	return strings.HasPrefix(key, "ffmpeg.cmd")
}

// opens says whether a key names a folder whose files can be read from outside.
func opens(key string) bool {
	return key == "http.rootPath" || key == "http.virtualPath" || key == "api.downloadRoot"
}
