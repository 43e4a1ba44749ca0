package m3u8

import "strings"

func (r *reader) streamInf(t *Tag) {
	if r.variant != nil {
		r.fail(t.section(), "EXT-X-STREAM-INF without a URI line behind it")
		return
	}
	v := r.readVariant(t)
	r.variant = &v
}

func (r *reader) iframeInf(t *Tag) {
	if !t.Attrs.Has("URI") {
		r.fail(t.section(), "EXT-X-I-FRAME-STREAM-INF without URI")
	}
	v := r.readVariant(t)
	v.URI = r.attrURI(t)
	r.multi.IFrames = append(r.multi.IFrames, v)
}

func (r *reader) readVariant(t *Tag) Variant {
	v := Variant{
		Line: t.Line, Bandwidth: r.attrInteger(t, "BANDWIDTH", 0), AverageBandwidth: r.attrInteger(t, "AVERAGE-BANDWIDTH", 0),
		Audio: r.attrText(t, "AUDIO"), Video: r.attrText(t, "VIDEO"), Subtitles: r.attrText(t, "SUBTITLES"), Attrs: t.Attrs,
	}
	v.ClosedCaptions, _ = t.Attrs.Get("CLOSED-CAPTIONS")
	if s := r.attrText(t, "CODECS"); t.Attrs.Has("CODECS") {
		v.Codecs = strings.Split(s, ",")
	}
	if s := r.attrWord(t, "RESOLUTION"); s != "" {
		var ok bool
		if v.Width, v.Height, ok = parseResolution(s); !ok {
			r.fail("4.2", "RESOLUTION: %q is no resolution", short(s))
		}
	}
	if s := r.attrWord(t, "FRAME-RATE"); s != "" {
		var ok bool
		if v.FrameRate, ok = parseFloat(s); !ok {
			r.fail("4.2", "FRAME-RATE: %q is no decimal number", short(s))
		}
	}
	return v
}

func (r *reader) rendition(t *Tag) {
	r.multi.Renditions = append(r.multi.Renditions, Rendition{
		Line: t.Line, Type: r.attrWord(t, "TYPE"), Group: r.attrText(t, "GROUP-ID"), Name: r.attrText(t, "NAME"), URI: r.attrURI(t),
		Language: r.attrText(t, "LANGUAGE"), Default: r.attrYes(t, "DEFAULT"), Auto: r.attrYes(t, "AUTOSELECT"),
		Forced: r.attrYes(t, "FORCED"), Attrs: t.Attrs,
	})
}
