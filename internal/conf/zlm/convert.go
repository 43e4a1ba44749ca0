package zlm

import (
	"fmt"
	"slices"
	"strings"
)

// Convert makes our configuration of ZLMediaKit's config.ini. name is the file's in messages. The YAML is commented, in the order of our
// reference, and conf.Load takes it; what has no key of ours is in it under "zlm", as section: {key: text}, so that a later version, or the
// API, can give it back.
//
// Where the file is silent our defaults hold, but for three things:
//
//   - Ports are those of ZLMediaKit's sample file: 80, 1935, 554, and none by TLS. Its compiled defaults open more.
//   - Hooks are off unless hook.enable says otherwise, if there are URLs of hooks at all.
//   - Listeners by TLS are written down as comments: the file does not say where the certificate is, and without one they cannot be.
//
// notes say what is not as it was with ZLMediaKit, in the order of the file. The error is conf.Problems, with lines: what cannot be read, and
// values that make no sense. A file larger than 128 KiB is refused.
func Convert(name string, ini []byte) (yaml []byte, notes []Note, err error) {
	entries, notes, problems := readINI(name, ini)
	t := newTranslation(name, nil)
	t.notes, t.problems = notes, problems
	for _, e := range entries {
		if k := byName[e.key]; k != nil {
			t.add(k, e)
			continue
		}
		t.kept[e.key] = e.text
		t.note(e, Unknown, stranger(e.key))
	}
	t.assume()
	t.patience()
	t.settle()
	t.doubts()
	if len(t.problems) > 0 {
		return nil, nil, t.problems
	}
	slices.SortStableFunc(t.notes, func(a, b Note) int { return a.Line - b.Line })
	return t.yaml(), t.notes, nil
}

// assume adds what ZLMediaKit would do though the file does not say so.
func (t *translation) assume() {
	for i := range table {
		k := &table[i]
		if _, given := t.given[k.Name]; given || k.role != port {
			continue
		}
		e := entry{key: k.Name, text: k.usual()}
		switch {
		case !secure(k.Ours[0]):
			t.listeners.ports[k.Ours[0]] = e
			t.note(e, Differs, "is not in the file: port "+e.text+" is opened, as ZLMediaKit's sample file says")
		case k.Default != "0":
			t.note(e, Differs, "is not in the file: nothing is opened, where ZLMediaKit would open port "+k.Default)
		}
	}
	if _, given := t.given["hook.enable"]; given {
		return
	}
	for key, e := range t.given {
		if strings.HasPrefix(key, "hook.on_") && e.text != "" {
			off := entry{key: "hook.enable", text: "0"}
			t.set(off, "hooks.enabled", "false")
			t.note(off, Doubtful, "is not in the file: hooks are off, as with ZLMediaKit")
			return
		}
	}
}

// stranger says what is known of a key that ZLMediaKit does not have.
func stranger(key string) string {
	if strings.HasPrefix(key, "ffmpeg.cmd") {
		return "is a command of ffmpeg by another name; it is kept, but " + noFFmpeg
	}
	for i := range table {
		if strings.EqualFold(table[i].Name, key) {
			return "is kept, but ZLMediaKit does not read it: it is written " + table[i].Name
		}
	}
	if now, old := former()[key]; old {
		return fmt.Sprintf("is kept, but ZLMediaKit does not read it any more: it is %s now", now)
	}
	return "is kept; ZLMediaKit has no such key"
}

// former lists keys of older versions of ZLMediaKit, and what they have become.
func former() map[string]string {
	return map[string]string{
		"general.addMuteAudio":     "protocol.add_mute_audio",
		"general.continue_push_ms": "protocol.continue_push_ms",
		"general.enable_audio":     "protocol.enable_audio",
		"general.fmp4_demand":      "protocol.fmp4_demand",
		"general.hls_demand":       "protocol.hls_demand",
		"general.modifyStamp":      "protocol.modify_stamp",
		"general.publishToHls":     "protocol.enable_hls",
		"general.publishToMP4":     "protocol.enable_mp4",
		"general.rtmp_demand":      "protocol.rtmp_demand",
		"general.rtsp_demand":      "protocol.rtsp_demand",
		"general.ts_demand":        "protocol.ts_demand",
		"hls.filePath":             "protocol.hls_save_path",
		"record.filePath":          "protocol.mp4_save_path",
		"record.fileSecond":        "protocol.mp4_max_second",
	}
}
