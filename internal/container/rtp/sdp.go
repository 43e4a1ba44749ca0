package rtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vigil-media/vigil/internal/av"
)

// Limits of a description.
const (
	sdpMax    = 64 << 10 // bytes; those in use have one or two thousand
	mediasMax = 32       // m= lines that are read
	linesMax  = 2048
	typesMax  = 128 // payload types of a section: there are no more (RFC 3550, 5.1), and each is looked for in all its lines
)

// Description is what a session description says of its medias (RFC 8866, RFC 2326 appendix C).
type Description struct {
	Name    string // s=, "" when missing
	Control string // a=control of the session, "" when missing
	Medias  []Media
}

// Media is one m= section.
type Media struct {
	Kind    av.Kind // of the m= line
	Control string  // a=control as it stands, "" when missing
	Format  *Format // nil when Err says why
	Back    bool    // a back channel, which the server wants to receive (ONVIF Streaming, 5.3): to be ignored
	Err     error
}

// section is an m= section as read.
type section struct {
	kind    string
	formats []string
	rtpmap  []string // "96 H264/90000"
	fmtp    []string
	control string
	sends   bool // a=sendonly
}

// ErrNoMedia is returned for a description of medias none of which can be used.
var ErrNoMedia = errors.New("SDP: no media can be used")

// ParseSDP reads a description. Only the lines that matter here are looked at; what is wrong with all the others (v=, o=, s=, c=,
// b=, t=) is of no interest, and servers write a lot of it. An error means that no media can be used; it is [ErrNoMedia] if there are some.
func ParseSDP(b []byte) (*Description, error) {
	if len(b) > sdpMax {
		return nil, fmt.Errorf("SDP of %d bytes, %d allowed", len(b), sdpMax)
	}
	d := &Description{}
	sections := d.read(string(b))
	receives := false // somebody sends to us
	for _, s := range sections {
		receives = receives || !s.sends
	}
	usable := 0
	var first error
	for _, s := range sections {
		m := Media{Kind: kindOf(s.kind), Control: s.control, Back: s.sends && receives}
		if m.Format, m.Err = s.format(m.Kind); m.Err == nil {
			usable++
		} else if first == nil {
			first = m.Err
		}
		d.Medias = append(d.Medias, m)
	}
	switch {
	case usable > 0:
		return d, nil
	case first != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoMedia, first)
	default:
		return nil, errors.New("SDP: no media")
	}
}

// read takes the lines apart. They may end with CR LF, LF or CR.
func (d *Description) read(text string) []section {
	var sections []section
	lines := 0
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' || r == 0 }) {
		if lines++; lines > linesMax {
			break
		}
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(key) != 1 {
			continue
		}
		value = strings.TrimSpace(value)
		switch key {
		case "s":
			d.Name = value
		case "m":
			if len(sections) == mediasMax {
				return sections
			}
			sections = append(sections, newSection(value))
		case "a":
			name, arg, _ := strings.Cut(value, ":")
			arg = strings.TrimSpace(arg)
			if len(sections) > 0 {
				sections[len(sections)-1].attribute(strings.ToLower(name), arg)
			} else if strings.EqualFold(name, "control") {
				d.Control = arg
			}
		}
	}
	return sections
}

// newSection reads an m= line: media, port, protocol, formats. The port means nothing in RTSP.
func newSection(value string) section {
	fields := strings.Fields(value)
	s := section{}
	if len(fields) > 0 {
		s.kind = strings.ToLower(fields[0])
	}
	if len(fields) > 3 {
		s.formats = fields[3:min(len(fields), 3+typesMax)]
	}
	return s
}

func (s *section) attribute(name, arg string) {
	switch name {
	case "control":
		s.control = arg
	case "rtpmap":
		s.rtpmap = append(s.rtpmap, arg)
	case "fmtp":
		s.fmtp = append(s.fmtp, arg)
	case "sendonly":
		s.sends = true
	}
}

// kindOf returns the kind that an m= line names.
func kindOf(s string) av.Kind {
	switch s {
	case "video":
		return av.Video
	case "audio":
		return av.Audio
	default: // application, text, and "application/TP-LINK"
		return av.Data
	}
}

// format picks the payload type that is of use: the first of a codec that package av knows, else the first at all.
func (s *section) format(kind av.Kind) (*Format, error) {
	var opaque *Format
	var first error
	for _, text := range s.formats {
		typ, err := s.payloadType(text)
		if err == nil {
			var f *Format
			if f, err = parseFormat(kind, typ, find(s.rtpmap, typ), s.fmtpOf(typ)); err == nil && f.codec != av.Opaque {
				return f, nil
			}
			if opaque == nil {
				opaque = f
			}
		}
		if first == nil {
			first = err
		}
	}
	switch {
	case opaque != nil:
		return opaque, nil
	case first != nil:
		return nil, first
	default:
		return nil, errors.New("m= line without payload type")
	}
}

// fmtpOf returns the parameters of a payload type. Where a section has one payload type and one fmtp, they belong together, whatever
// number the fmtp has.
func (s *section) fmtpOf(typ uint8) string {
	if v := find(s.fmtp, typ); v != "" || len(s.fmtp) != 1 || len(s.formats) != 1 {
		return v
	}
	_, v, _ := strings.Cut(s.fmtp[0], " ")
	return strings.TrimSpace(v)
}

// payloadType reads a payload type of the m= line. What is no number there ("smart/1/90000") means the one that the
// section describes.
func (s *section) payloadType(text string) (uint8, error) {
	n, err := strconv.ParseUint(text, 10, 7)
	if err == nil {
		return uint8(n), nil
	}
	if len(s.rtpmap) > 0 {
		number, _, _ := strings.Cut(s.rtpmap[0], " ")
		if n, e := strconv.ParseUint(number, 10, 7); e == nil {
			return uint8(n), nil
		}
	}
	return 0, fmt.Errorf("payload type %q", clip(text))
}

// find returns what an attribute says of a payload type, "" for nothing.
func find(values []string, typ uint8) string {
	for _, v := range values {
		number, rest, ok := strings.Cut(v, " ")
		if n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 7); ok && err == nil && uint8(n) == typ {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// clip shortens what a peer wrote, for messages.
func clip(s string) string { return s[:min(len(s), 64)] }

// AppendSDP appends the description of medias that are played live (RFC 2326, appendix C). A media without Control is called
// trackID and its number, from 0; one without Format is left out.
func AppendSDP(dst []byte, name string, medias []Media) []byte {
	name = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, name)
	if name == "" {
		name = "-"
	}
	dst = append(dst, "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns="+name+
		"\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n"...)
	for i, m := range medias {
		f := m.Format
		if f == nil {
			continue
		}
		kind := [...]string{av.Video: "video", av.Audio: "audio", av.Data: "application"}[f.kind]
		typ := int64(f.typ)
		dst = append(strconv.AppendInt(append(dst, "m="+kind+" 0 RTP/AVP "...), typ, 10), "\r\n"...)
		dst = append(strconv.AppendInt(append(dst, "a=rtpmap:"...), typ, 10), " "+f.rtpmap()+"\r\n"...)
		if f.fmtp != "" {
			dst = append(strconv.AppendInt(append(dst, "a=fmtp:"...), typ, 10), " "+f.fmtp+"\r\n"...)
		}
		control := m.Control
		if control == "" {
			control = "trackID=" + strconv.Itoa(i)
		}
		dst = append(dst, "a=control:"+control+"\r\n"...)
	}
	return dst
}
