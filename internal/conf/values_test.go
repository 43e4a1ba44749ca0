package conf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"github.com/vigil-media/vigil/internal/conf"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]conf.Size{
		"0": 0, "1048576": 1 << 20, "64MiB": 64 << 20, "500KB": 500_000, "1 gib": 1 << 30, "7B": 7, "8TiB": 8 << 40,
		"": -1, "B": -1, "MiB": -1, "64M": -1, "-1": -1, "1.5GiB": -1, "9999999TiB": -1, "1e3": -1,
		"9223372036854775808": -1,
	} {
		got, err := conf.ParseSize(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := conf.Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "n"))
		unit := rapid.SampledFrom([]conf.Size{1, 1e3, 1e6, 1 << 10, 1 << 20, 1 << 30}).Draw(t, "unit")
		if n < math.MaxInt64/unit {
			n *= unit
		}
		if got, err := conf.ParseSize(n.String()); err != nil || got != n {
			t.Fatalf("%d is written %s and read %d, %v", n, n, got, err)
		}
	})
}

func TestParseAddress(t *testing.T) {
	for _, text := range []string{
		"", ":1935", ":0", "127.0.0.1:1935", "[::1]:80", "[fe80::1%eth0]:80", "localhost:65535", "a_b.example:1",
	} {
		if got, err := conf.ParseAddress(text); err != nil || string(got) != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"1935":            "write :1935",
		"::1":             "write [::1]:port",
		"[::1]":           "write [::1]:port",
		"localhost":       "the port is missing",
		"a:b:c":           "an IPv6 address stands in brackets",
		"[::g]:1":         "is not an IPv6 address",
		"a b:1":           "the host has a character",
		"rtmp://x:1":      "an IPv6 address stands in brackets",
		":65536":          "is not a number from 0 to 65535",
		":-1":             "is not a number",
		":http":           "is not a number",
		"a:":              "is not a number",
		"\x1b[31mevil:80": "",
	} {
		_, err := conf.ParseAddress(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	const hush = "hush-hush"
	v := struct {
		S conf.Secret
		M map[string]conf.Secret
		P *conf.Secret
		L []conf.Secret
	}{S: hush, M: map[string]conf.Secret{"k": hush}, P: new(conf.Secret), L: []conf.Secret{hush}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		fmt.Fprintf(&out, verb+verb+"\n", v, v.S)
	}
	fmt.Fprintln(&out, v.S, v.S.String())
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "secret", v.S, "all", v)
	}
	hex := fmt.Sprintf("%x", hush)
	if s := out.String(); strings.Contains(s, hush) || strings.Contains(strings.ToLower(s), hex) {
		t.Errorf("printed:\n%s", s)
	}
	if v.S.Reveal() != hush {
		t.Error("not revealed")
	}
}
