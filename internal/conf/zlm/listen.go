package zlm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
)

// anyHost is ZLMediaKit's word for all addresses.
const anyHost = "::"

// splitAddress takes one of our listen addresses apart. Off is "", 0.
func splitAddress(value string) (at string, number int) {
	at, text, err := net.SplitHostPort(value)
	if err != nil {
		return "", 0
	}
	number, _ = strconv.Atoi(text)
	return at, number
}

// parsePort reads a port; 0 is off.
func parsePort(text string) (int, error) {
	n, err := number(text)
	if err != nil {
		return 0, err
	}
	const most = 65535
	if i := int(n); n >= 0 && n <= most && float64(i) == n {
		return i, nil
	}
	return 0, fmt.Errorf("is no port from 0 to %d", most)
}

// parseHost reads the address of all listeners; "" is any.
func parseHost(text string) (string, error) {
	text = uncommented(text)
	if text == "" || text == anyHost {
		return "", nil
	}
	if _, err := netip.ParseAddr(text); err != nil {
		return "", errors.New("is no IP address")
	}
	return text, nil
}

// hostOf says the address of the listeners that are on, if they have one in common.
func hostOf(ours map[string]string) string {
	var hosts []string
	for _, key := range byName["general.listen_ip"].Ours {
		if at, number := splitAddress(ours[key]); number > 0 {
			hosts = append(hosts, at)
		}
	}
	slices.Sort(hosts)
	if hosts = slices.Compact(hosts); len(hosts) != 1 || hosts[0] == "" {
		return anyHost
	}
	return hosts[0]
}

// listeners gathers what is said of ports, until all of it is known.
type listeners struct {
	host  *string           // of all; nil: nothing is said
	ports map[string]entry  // that were given, by our key
	wish  map[string]string // our keys that cannot be set without a certificate
}

// settle sets our listen addresses.
func (t *translation) settle() {
	for _, key := range byName["general.listen_ip"].Ours {
		at := t.hostFor(key)
		_, number := splitAddress(t.now[key])
		e, given := t.listeners.ports[key]
		if given {
			number, _ = parsePort(e.text)
		} else {
			e = t.given["general.listen_ip"]
		}
		if !given && (t.listeners.host == nil || number == 0) {
			continue
		}
		value := ""
		if number > 0 {
			value = net.JoinHostPort(at, strconv.Itoa(number))
		}
		if _, err := conf.ParseAddress(value); err != nil {
			t.complain(e, err)
		} else if number > 0 && secure(key) && t.noCertificate() {
			t.listeners.wish[key] = value
			t.note(e, Doubtful, fmt.Sprintf("port %d is not opened: %s needs tls.cert and tls.key, which ZLMediaKit is told by its flag -s", number, key))
		} else {
			t.set(e, key, value)
		}
	}
}

// hostFor is where a listener is to listen: at the address for all, if one is given; else where it does already; else where the other of its
// protocol does, with TLS or without; else where all do.
func (t *translation) hostFor(key string) string {
	if t.listeners.host != nil {
		return *t.listeners.host
	}
	section, _, _ := strings.Cut(key, ".")
	for _, k := range []string{key, section + ".listen", section + ".tls.listen"} {
		if at, number := splitAddress(t.now[k]); number > 0 {
			return at
		}
	}
	if at := hostOf(t.now); at != anyHost {
		return at
	}
	return ""
}

// secure says whether a listener needs a certificate.
func secure(key string) bool { return strings.HasSuffix(key, ".tls.listen") }

// noCertificate says whether there is none. A converted file has none, since ZLMediaKit's does not name any.
func (t *translation) noCertificate() bool {
	return t.now["tls.cert"] == "" || t.now["tls.key"] == ""
}
