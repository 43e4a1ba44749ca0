package m3u8

import "strings"

// multivariant looks at one Multivariant Playlist (4.4.6).
func (f *findings) multivariant(m *Multivariant) {
	if len(m.Variants) == 0 {
		f.add("variant-none", 0, "no EXT-X-STREAM-INF")
	}
	for i := range m.Variants {
		v := &m.Variants[i]
		f.variant(v)
		if v.Width == 0 && hasVideo(v.Codecs) {
			f.add("resolution", v.Line, "variant with video and no RESOLUTION")
		}
		for kind, group := range map[string]string{
			"AUDIO": v.Audio, "VIDEO": v.Video, "SUBTITLES": v.Subtitles, "CLOSED-CAPTIONS": v.ClosedCaptions,
		} {
			none := group == "" || kind == "CLOSED-CAPTIONS" && group == "NONE"
			if !none && !m.group(kind, group) {
				f.add("group", v.Line, "%s=%q, but no EXT-X-MEDIA has that type and GROUP-ID", kind, group)
			}
		}
	}
	for i := range m.IFrames {
		f.variant(&m.IFrames[i])
	}
	f.renditions(m)
}

func (f *findings) variant(v *Variant) {
	if v.Bandwidth == 0 {
		f.add("bandwidth", v.Line, "no BANDWIDTH, or one of 0")
	} else if v.AverageBandwidth > v.Bandwidth {
		f.add("bandwidth", v.Line, "AVERAGE-BANDWIDTH of %d is above BANDWIDTH of %d", v.AverageBandwidth, v.Bandwidth)
	}
	if v.Codecs == nil {
		f.add("codecs-missing", v.Line, "no CODECS")
	}
	for _, c := range v.Codecs {
		if bad := checkCodec(c); bad != "" {
			f.add("codecs", v.Line, "codec %q: %s", c, bad)
		}
	}
}

func (m *Multivariant) group(kind, group string) bool {
	for i := range m.Renditions {
		if m.Renditions[i].Type == kind && m.Renditions[i].Group == group {
			return true
		}
	}
	return false
}

func (f *findings) renditions(m *Multivariant) {
	type key struct{ kind, group, name string }
	names := map[key]bool{}
	for i := range m.Renditions {
		r := &m.Renditions[i]
		k := key{r.Type, r.Group, r.Name}
		id := r.Attrs.Has("INSTREAM-ID")
		switch {
		case r.Type == "" || r.Group == "" || r.Name == "":
			f.add("rendition", r.Line, "EXT-X-MEDIA without TYPE, GROUP-ID or NAME")
		case names[k]:
			f.add("rendition", r.Line, "a second %s %q in the group %q", r.Type, r.Name, r.Group)
		case r.Type == "CLOSED-CAPTIONS" && (r.URI != "" || !id):
			f.add("rendition", r.Line, "closed captions with URI, or without INSTREAM-ID")
		case r.Type == "SUBTITLES" && r.URI == "":
			f.add("rendition", r.Line, "subtitles without URI")
		case r.Default && r.Attrs.Has("AUTOSELECT") && !r.Auto:
			f.add("rendition", r.Line, "DEFAULT=YES with another AUTOSELECT")
		case r.Type != "SUBTITLES" && r.Attrs.Has("FORCED"):
			f.add("rendition", r.Line, "FORCED for %s", r.Type)
		}
		names[k] = true
	}
}

// The sample entries of video and audio that players know, with the form of what follows the four characters.
//
//nolint:gochecknoglobals // a constant table
var sampleEntries = map[string]struct {
	video bool
	check func(parts []string) bool
}{
	"avc1": {true, avcCodec}, "avc3": {true, avcCodec},
	"hvc1": {true, hevcCodec}, "hev1": {true, hevcCodec}, "dvh1": {true, anyCodec}, "dvhe": {true, anyCodec},
	"av01": {true, av1Codec}, "vp09": {true, vp9Codec}, "vp08": {true, vp9Codec},
	"mp4a": {false, mp4aCodec},
	"ac-3": {false, noCodec}, "ec-3": {false, noCodec}, "ac-4": {false, anyCodec},
	"Opus": {false, noCodec}, "opus": {false, noCodec}, "fLaC": {false, noCodec}, "alac": {false, noCodec},
	"stpp": {false, anyCodec}, "wvtt": {false, anyCodec}, "alaw": {false, noCodec}, "ulaw": {false, noCodec}, "mp3": {false, noCodec},
}

func anyCodec([]string) bool      { return true }
func noCodec(parts []string) bool { return len(parts) == 0 }
func avcCodec(parts []string) bool {
	return len(parts) == 1 && len(parts[0]) == 6 && digits(parts[0], 16)
}

// hevcCodec: profile, compatibility, tier and level, up to 6 constraint bytes (ISO/IEC 14496-15, E.3).
func hevcCodec(parts []string) bool {
	if len(parts) < 3 || len(parts) > 9 {
		return false
	}
	if !digits(strings.TrimLeft(parts[0], "ABC"), 10) || !digits(parts[1], 16) || len(parts[1]) > 8 {
		return false
	}
	if tier := parts[2]; tier == "" || tier[0] != 'L' && tier[0] != 'H' || !digits(tier[1:], 10) {
		return false
	}
	for _, p := range parts[3:] {
		if !digits(p, 16) || len(p) > 2 {
			return false
		}
	}
	return true
}

// av1Codec: profile, level and tier, depth, and all or none of the rest (AV1 Codec ISO Media File Format Binding, 5).
func av1Codec(parts []string) bool {
	if len(parts) != 3 && len(parts) != 9 && len(parts) != 8 {
		return false
	}
	level := parts[1]
	return digits(parts[0], 10) && len(parts[0]) == 1 && len(level) == 3 && digits(level[:2], 10) &&
		(level[2] == 'M' || level[2] == 'H') && len(parts[2]) == 2 && digits(parts[2], 10)
}

func vp9Codec(parts []string) bool {
	for _, p := range parts {
		if len(p) != 2 || !digits(p, 10) {
			return false
		}
	}
	return len(parts) >= 3 && len(parts) <= 8
}

// mp4aCodec: the object type indication, and for 40 the audio object type (RFC 6381, 3.3).
func mp4aCodec(parts []string) bool {
	if len(parts) == 0 || len(parts[0]) != 2 || !digits(parts[0], 16) {
		return false
	}
	if parts[0] == "40" {
		return len(parts) == 2 && digits(parts[1], 10)
	}
	return len(parts) == 1
}

func digits(s string, base int) bool {
	set := "0123456789"
	if base == 16 {
		set += "abcdefABCDEF"
	}
	return s != "" && strings.Trim(s, set) == ""
}

// checkCodec tells what is wrong with one codec of CODECS (RFC 6381, 3.2 to 3.4); "" if nothing is.
func checkCodec(c string) string {
	if c == "" || strings.ContainsAny(c, " \t'\"") {
		return "empty, or with spaces"
	}
	parts := strings.Split(c, ".")
	e, ok := sampleEntries[parts[0]]
	if !ok {
		return "no sample entry that is known"
	}
	if !e.check(parts[1:]) {
		return "not of the form that " + parts[0] + " has"
	}
	return ""
}

func hasVideo(codecs []string) bool {
	for _, c := range codecs {
		entry, _, _ := strings.Cut(c, ".")
		if sampleEntries[entry].video {
			return true
		}
	}
	return false
}
