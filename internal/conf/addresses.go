package conf

import (
	"fmt"
	"net/netip"
	"strings"
)

// Addresses are some IP addresses: one, a prefix (10.0.0.0/8), or a range (10.0.0.1-10.0.0.9). The zero Addresses are none.
type Addresses struct {
	text        string
	first, last netip.Addr
}

// ParseAddresses reads them.
func ParseAddresses(text string) (a Addresses, err error) {
	a.text = strings.TrimSpace(text)
	switch first, last, is := strings.Cut(a.text, "-"); {
	case is:
		if a.first, err = netip.ParseAddr(strings.TrimSpace(first)); err == nil {
			a.last, err = netip.ParseAddr(strings.TrimSpace(last))
		}
		a.first, a.last = a.first.Unmap(), a.last.Unmap()
		if err != nil || a.first.BitLen() != a.last.BitLen() || a.last.Less(a.first) {
			return Addresses{}, fmt.Errorf("%q is no range such as 10.0.0.1-10.0.0.9", printable(text))
		}
	case strings.Contains(a.text, "/"):
		p, wrong := netip.ParsePrefix(a.text)
		if wrong != nil {
			return Addresses{}, fmt.Errorf("%q is no prefix such as 10.0.0.0/8", printable(text))
		}
		a.first, a.last = ends(p)
	default:
		if a.first, err = netip.ParseAddr(a.text); err != nil {
			return Addresses{}, fmt.Errorf("%q is neither an address, nor a prefix, nor a range", printable(text))
		}
		a.first = a.first.Unmap()
		a.last = a.first
	}
	return a, nil
}

// ends are the first and the last address of a prefix. One of IPv4 addresses that are written as IPv6 is of those.
func ends(p netip.Prefix) (first, last netip.Addr) {
	const mapped = 96
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	p = p.Masked()
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	last, _ = netip.AddrFromSlice(b) // it has the length of an address
	return p.Addr(), last
}

// Has says whether an address is one of them. One of IPv4 is the same as it is written in IPv6.
func (a Addresses) Has(b netip.Addr) bool {
	b = b.Unmap()
	return a.first.IsValid() && b.BitLen() == a.first.BitLen() && a.first.Compare(b) <= 0 && b.Compare(a.last) <= 0
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Addresses) UnmarshalText(text []byte) error {
	parsed, err := ParseAddresses(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (a Addresses) MarshalText() ([]byte, error) { return []byte(a.text), nil }

// String is the text that they were read from.
func (a Addresses) String() string { return a.text }
