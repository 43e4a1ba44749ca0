package conf_test

import (
	"net/netip"
	"testing"

	"github.com/vigil-media/vigil/internal/conf"
)

// TestAddresses: prefixes and ranges hold what they should, at their ends too.
func TestAddresses(t *testing.T) {
	for text, tc := range map[string]struct{ in, out []string }{
		"10.0.0.0/8":                {[]string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"}, []string{"9.255.255.255", "11.0.0.0", "::a00:1"}},
		"10.1.2.3/8":                {[]string{"10.0.0.0"}, []string{"11.0.0.0"}},
		"172.16.0.0-172.31.255.255": {[]string{"172.16.0.0", "172.31.255.255"}, []string{"172.15.255.255", "172.32.0.0"}},
		" 10.0.0.1 - 10.0.0.2 ":     {[]string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.0", "10.0.0.3"}},
		"::ffff:10.0.0.1":           {[]string{"10.0.0.1"}, []string{"10.0.0.2"}},
		"::1":                       {[]string{"::1"}, []string{"::2", "0.0.0.1"}},
		"2001:db8::/33":             {[]string{"2001:db8:7fff::1"}, []string{"2001:db8:8000::"}},
		"0.0.0.0/0":                 {[]string{"0.0.0.0", "255.255.255.255"}, []string{"::"}},
		"::ffff:10.0.0.0/104":       {[]string{"10.0.0.0", "10.255.255.255"}, []string{"11.0.0.0"}},
		"::ffff:1.2.3.4-1.2.3.6":    {[]string{"1.2.3.4", "1.2.3.6"}, []string{"1.2.3.7"}},
		"1.2.3.4/32":                {[]string{"1.2.3.4"}, []string{"1.2.3.5", "1.2.3.3"}},
	} {
		a, err := conf.ParseAddresses(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, in := range tc.in {
			if !a.Has(netip.MustParseAddr(in)) {
				t.Errorf("%s has no %s", text, in)
			}
		}
		for _, out := range tc.out {
			if a.Has(netip.MustParseAddr(out)) {
				t.Errorf("%s has %s", text, out)
			}
		}
	}
	for _, text := range []string{"", "here", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0.0/33", "10.0.0.1-", "-", "/8", "1.2.3"} {
		if a, err := conf.ParseAddresses(text); err == nil {
			t.Errorf("%q is %v", text, a)
		}
	}
	if (conf.Addresses{}).Has(netip.MustParseAddr("0.0.0.0")) || (conf.Addresses{}).Has(netip.Addr{}) {
		t.Error("none are some")
	}
}
