package conf

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is where to listen: host:port. The host may be empty (every interface), a name, an IPv4 address or an
// IPv6 address in brackets; the port is 0 to 65535, 0 being any free one. The empty Address means off.
type Address string

// ParseAddress checks text and gives it as an Address.
func ParseAddress(text string) (Address, error) {
	if text == "" {
		return "", nil
	}
	fail := func(format string, args ...any) (Address, error) {
		return "", fmt.Errorf(`"%s" is not an address host:port: `+format, append([]any{printable(text)}, args...)...)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if _, err := strconv.ParseUint(text, 10, 16); err == nil {
			return fail("write :%s", text)
		}
		if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && ip.Is6() {
			return fail("write [%s]:port", ip)
		}
		if !strings.Contains(text, ":") {
			return fail("the port is missing")
		}
		return fail("an IPv6 address stands in brackets, as in [::1]:1935")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fail(`the port "%s" is not a number from 0 to 65535`, printable(port))
	}
	if strings.ContainsRune(host, ':') {
		if _, err := netip.ParseAddr(host); err != nil {
			return fail(`"%s" is not an IPv6 address`, printable(host))
		}
	} else if i := strings.IndexFunc(host, notInHost); i >= 0 {
		return fail("the host has a character that no host has: %q", host[i])
	}
	return Address(text), nil
}

// notInHost tells what stands neither in host names nor in IPv4 addresses.
func notInHost(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && r != '.' && r != '-' && r != '_'
}

// Off reports whether the address is empty, which turns a listener off.
func (a Address) Off() bool { return a == "" }

// String gives the address as written.
func (a Address) String() string { return string(a) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(text []byte) error {
	v, err := ParseAddress(string(text))
	if err == nil {
		*a = v
	}
	return err
}
