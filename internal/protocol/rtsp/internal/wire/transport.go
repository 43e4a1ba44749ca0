package wire

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Transport is one way to carry a track's RTP and RTCP, as offered or chosen in a Transport header (RFC 2326, 12.39).
type Transport struct {
	TCP       bool // interleaved
	Multicast bool // else unicast
	Record    bool // mode is RECORD, or RECEIVE as some say
	Secure    bool // SAVP or SAVPF (RFC 3711)
	Feedback  bool // AVPF or SAVPF (RFC 4585)

	Channels    [2]int // interleaved, of RTP and RTCP; -1: the server chooses. RTCP's is one more if only one is given
	Ports       [2]int // client_port, of RTP and RTCP; 0: none. RTCP's is one more if only one is given
	ServerPorts [2]int // server_port; 0: none
	GroupPorts  [2]int // port, of a multicast group; 0: none

	Destination netip.Addr // invalid: not given, or no address. To send anywhere else than to the peer is a way to attack others
	Source      netip.Addr
	TTL         int // of multicast; 0: not given
	SSRC        uint32
	HasSSRC     bool
}

const (
	transportsMax = 16 // transports that a header may offer: more are not looked at
	channelMax    = 255
	portMax       = 65535
)

// ParseTransports parses the values of a Transport header, the preferred transport first. What cannot be understood is left out; if
// nothing remains the error is ErrTransport.
func ParseTransports(values base.HeaderValue) ([]Transport, error) {
	var all []Transport
	for _, value := range values {
		for len(all) < transportsMax && value != "" {
			var one string
			one, value = cutQuoted(value, ',')
			if t, ok := parseTransport(one); ok {
				all = append(all, t)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %.200q", ErrTransport, []string(values))
	}
	return all, nil
}

// cutQuoted cuts s at the first separator that is not between quotation marks. A mark that is never closed means nothing.
func cutQuoted(s string, separator byte) (before, after string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted && strings.IndexByte(s[i+1:], '"') >= 0
		case s[i] == separator && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// parseTransport parses one transport.
func parseTransport(s string) (Transport, bool) {
	t := Transport{Channels: [2]int{-1, -1}}
	known := false
	for s != "" {
		var part string
		part, s = cutQuoted(s, ';')
		name, value, _ := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		value = strings.Trim(value, " \t\"'")
		if i := strings.Index(name, "rtp/"); !known && i >= 0 {
			if known = t.profile(name[i:]); !known {
				return t, false
			}
			continue
		}
		if !t.parameter(name, value) {
			return t, false
		}
	}
	return t, known
}

// profile takes what precedes the parameters: "rtp/avp/tcp" and its like.
func (t *Transport) profile(name string) bool {
	parts := strings.Split(name, "/")
	switch strings.TrimSpace(parts[1]) {
	case "avp":
	case "avpf":
		t.Feedback = true
	case "savp":
		t.Secure = true
	case "savpf":
		t.Secure, t.Feedback = true, true
	default:
		return false
	}
	if len(parts) == 2 {
		return true
	}
	lower := strings.TrimSpace(parts[2])
	t.TCP = lower == "tcp"
	return len(parts) == 3 && (t.TCP || lower == "udp" || lower == "")
}

// parameter takes a parameter, and says whether the transport can be used in spite of it.
func (t *Transport) parameter(name, value string) (ok bool) {
	ok = true
	switch name {
	case "unicast":
		t.Multicast = false
	case "multicast":
		t.Multicast = true
	case "mode":
		mode := strings.ToUpper(value)
		t.Record = strings.Contains(mode, "RECORD") || strings.Contains(mode, "RECEIVE")
	case "interleaved":
		if value != "" {
			t.Channels, ok = parsePair(value, channelMax)
		}
	case "client_port":
		t.Ports, ok = parsePair(value, portMax)
	case "server_port":
		t.ServerPorts, ok = parsePair(value, portMax)
	case "port":
		t.GroupPorts, ok = parsePair(value, portMax)
	case "ttl":
		if v, err := strconv.ParseUint(value, 10, 8); err == nil {
			t.TTL = int(v)
		}
	case "ssrc":
		t.SSRC, t.HasSSRC = parseSSRC(value)
	case "destination":
		t.Destination = parseAddress(value)
	case "source":
		t.Source = parseAddress(value)
	}
	return ok
}

// parsePair parses "a-b", or "a" which means a and the number after it.
func parsePair(s string, most int) (pair [2]int, ok bool) {
	a, b, both := strings.Cut(s, "-")
	first, err := strconv.Atoi(strings.TrimSpace(a))
	if err != nil || first < 0 || first > most {
		return pair, false
	}
	second := min(first+1, most)
	if first == 0 && most == portMax { // no port at all
		second = 0
	}
	if b = strings.TrimSpace(b); both && b != "" {
		second, err = strconv.Atoi(b)
		if err != nil || second < 0 || second > most {
			return pair, false
		}
	}
	return [2]int{first, second}, true
}

// parseSSRC parses 1 to 8 hexadecimal digits; some send decimal ones, which cannot be told apart, and some blanks or "0x" before.
func parseSSRC(s string) (uint32, bool) {
	s = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "0x")
	v, err := strconv.ParseUint(s, 16, 32)
	return uint32(v), err == nil //nolint:gosec // of 32 bits
}

func parseAddress(s string) netip.Addr {
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// AppendTransport appends the value of a Transport header for the transport that a server has chosen.
func AppendTransport(dst []byte, t Transport) []byte {
	dst = append(dst, "RTP/"...)
	if t.Secure {
		dst = append(dst, 'S')
	}
	dst = append(dst, "AVP"...)
	if t.Feedback {
		dst = append(dst, 'F')
	}
	if t.TCP {
		dst = append(dst, "/TCP"...)
	}
	if t.Multicast {
		dst = append(dst, ";multicast"...)
	} else {
		dst = append(dst, ";unicast"...)
	}
	dst = appendAddress(dst, ";destination=", t.Destination)
	dst = appendAddress(dst, ";source=", t.Source)
	if t.TCP && t.Channels[0] >= 0 {
		dst = appendPair(dst, ";interleaved=", t.Channels)
	}
	for _, p := range []struct {
		name string
		pair [2]int
	}{{";client_port=", t.Ports}, {";server_port=", t.ServerPorts}, {";port=", t.GroupPorts}} {
		if p.pair[0] > 0 {
			dst = appendPair(dst, p.name, p.pair)
		}
	}
	if t.TTL > 0 {
		dst = strconv.AppendInt(append(dst, ";ttl="...), int64(t.TTL), 10)
	}
	if t.HasSSRC {
		dst = fmt.Appendf(dst, ";ssrc=%08X", t.SSRC)
	}
	if t.Record {
		dst = append(dst, ";mode=record"...)
	}
	return dst
}

func appendAddress(dst []byte, name string, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return a.AppendTo(append(dst, name...))
}

func appendPair(dst []byte, name string, pair [2]int) []byte {
	dst = strconv.AppendInt(append(dst, name...), int64(pair[0]), 10)
	return strconv.AppendInt(append(dst, '-'), int64(pair[1]), 10)
}
