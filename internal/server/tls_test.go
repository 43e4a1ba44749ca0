package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writePair writes a self-signed certificate for name, and its key, with the given modification time.
func writePair(t *testing.T, cfg tlsConfig, name string, at time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: at.Add(-time.Hour), NotAfter: at.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		cfg.Cert: {Type: "CERTIFICATE", Bytes: der}, cfg.Key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	cfg := tlsConfig{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	now := time.Now()
	writePair(t, cfg, "first.test", now)
	c := &certificate{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	times, err := c.times()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.load(times); err != nil {
		t.Fatal(err)
	}
	serves := func(want string) {
		t.Helper()
		c.checked = time.Time{} // as if a second had passed
		pair, err := c.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if got := pair.Leaf.Subject.CommonName; got != want {
			t.Errorf("certificate for %s, want %s", got, want)
		}
	}
	serves("first.test")
	writePair(t, cfg, "second.test", now.Add(time.Second))
	serves("second.test")

	if err := os.WriteFile(cfg.Cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	serves("second.test") // what cannot be read does not replace what works
	writePair(t, cfg, "third.test", now.Add(2*time.Second))
	serves("third.test")
	if err := os.Remove(cfg.Key); err != nil {
		t.Fatal(err)
	}
	serves("third.test")
}

func TestNoCertificate(t *testing.T) {
	if c, err := newTLS(tlsConfig{}, slog.New(slog.DiscardHandler)); c != nil || err != nil {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := newTLS(tlsConfig{Cert: "none.pem", Key: "none.pem"}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing file is no error")
	}
}
