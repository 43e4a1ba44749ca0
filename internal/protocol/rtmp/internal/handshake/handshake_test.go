package handshake

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files")

// random returns bytes that are the same for the same seed.
func random(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// script is a connection to a peer that says its lines whatever it is told, at most step bytes a read, and then
// hangs up.
type script struct {
	in     io.Reader
	out    bytes.Buffer
	writes int
	step   int
}

func (s *script) Read(p []byte) (int, error) {
	if s.step > 0 && len(p) > s.step {
		p = p[:s.step]
	}
	return s.in.Read(p)
}

func (s *script) Write(p []byte) (int, error) {
	s.writes++
	return s.out.Write(p)
}

// talk runs a client and a server against each other.
func talk(t *testing.T, kind Kind) (client, server Kind) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(10 * time.Second)
	if err := errors.Join(a.SetDeadline(deadline), b.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	var (
		wg                   sync.WaitGroup
		clientErr, serverErr error
	)
	wg.Go(func() { server, serverErr = Server(b, random(2)) })
	client, clientErr = Client(a, random(1), kind)
	wg.Wait()
	if err := errors.Join(clientErr, serverErr); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestClientAndServer(t *testing.T) {
	for _, kind := range []Kind{Simple, Schema0, Schema1} {
		if client, server := talk(t, kind); client != kind || server != kind {
			t.Errorf("%v: client saw %v, server %v", kind, client, server)
		}
	}
}

// hello returns C0 and C1 of the given kind.
func hello(kind Kind, seed byte) []byte {
	b := make([]byte, helloSize)
	b[0] = Version
	if err := fillRandom(random(seed), b[9:]); err != nil {
		panic(err)
	}
	if kind != Simple {
		copy(b[5:], clientVersion)
		sign(b[1:], kind, clientKey)
	}
	return b
}

func TestServer(t *testing.T) {
	for _, kind := range []Kind{Simple, Schema0, Schema1} {
		for _, step := range []int{0, 1, 1000} {
			c := hello(kind, 7)
			next := []byte("chunks")
			s := &script{in: io.MultiReader(bytes.NewReader(c), bytes.NewReader(make([]byte, packetSize)),
				bytes.NewReader(next)), step: step}
			got, err := Server(s, random(2))
			if err != nil || got != kind || s.writes != 1 || s.out.Len() != answerSize {
				t.Fatalf("%v, %v, %d writes, %d bytes", got, err, s.writes, s.out.Len())
			}
			if rest, _ := io.ReadAll(s.in); !bytes.Equal(rest, next) {
				t.Errorf("left %q", rest)
			}
			checkAnswer(t, kind, c[1:], s.out.Bytes())
		}
	}
}

// checkAnswer does what a strict player does with S0, S1 and S2.
func checkAnswer(t *testing.T, kind Kind, c1, answer []byte) {
	t.Helper()
	s1, s2 := answer[1:helloSize], answer[helloSize:]
	if answer[0] != Version {
		t.Errorf("S0 is %d", answer[0])
	}
	if kind == Simple {
		if binary.BigEndian.Uint32(s1[4:]) != 0 || !bytes.Equal(s2, c1) {
			t.Error("not the simple answer")
		}
		return
	}
	if k, _ := findDigest(s1, serverKey); k != kind {
		t.Errorf("S1 is %v", k)
	}
	i := digestPlace(c1, kind)
	want := mac(mac([]byte(serverKeyLong), c1[i:i+digestSize]), s2[:packetSize-digestSize])
	if !bytes.Equal(s2[packetSize-digestSize:], want) {
		t.Error("S2 does not prove anything")
	}
}

// TestClientDigestAnswer has a client that wants digests, and servers that know them and that do not.
func TestClientDigestAnswer(t *testing.T) {
	for _, kind := range []Kind{Simple, Schema0, Schema1} {
		answer := make([]byte, answerSize)
		answer[0] = Version
		s1 := answer[1:helloSize]
		if err := fillRandom(random(3), s1[8:]); err != nil {
			t.Fatal(err)
		}
		if kind != Simple {
			sign(s1, kind, serverKey)
		}
		s := &script{in: bytes.NewReader(answer)}
		got, err := Client(s, random(1), Schema1)
		if err != nil || got != kind || s.out.Len() != helloSize+packetSize {
			t.Fatalf("%v, %v, wrote %d", got, err, s.out.Len())
		}
		c2 := s.out.Bytes()[helloSize:]
		if kind == Simple {
			if !bytes.Equal(c2, s1) {
				t.Error("C2 is no echo")
			}
			continue
		}
		i := digestPlace(s1, kind)
		want := mac(mac([]byte(clientKeyLong), s1[i:i+digestSize]), c2[:packetSize-digestSize])
		if !bytes.Equal(c2[packetSize-digestSize:], want) {
			t.Error("C2 does not prove anything")
		}
	}
}

func TestHalf(t *testing.T) {
	whole := append(hello(Simple, 1), make([]byte, packetSize)...)
	for _, n := range []int{1, 2, packetSize, helloSize, helloSize + 1, len(whole) - 1} {
		_, err := Server(&script{in: bytes.NewReader(whole[:n])}, random(2))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("server after %d bytes: %v", n, err)
		}
	}
	answer := append([]byte{Version}, make([]byte, 2*packetSize)...)
	for _, n := range []int{1, helloSize, answerSize - 1} {
		_, err := Client(&script{in: bytes.NewReader(answer[:n])}, random(2), Schema1)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("client after %d bytes: %v", n, err)
		}
	}
	if _, err := Server(&script{in: bytes.NewReader(nil)}, random(2)); !errors.Is(err, io.EOF) {
		t.Errorf("a peer that says nothing: %v", err)
	}
}

func TestVersion(t *testing.T) {
	for first, want := range map[string]string{
		"GET / HTTP/1.1": "'G' (HTTP", "\x16\x03\x01": "TLS", "SSH-2.0": "SSH", "\x06": "RTMPE", "\x04": "unknown version",
		"\xFF": "another protocol", "OPTIONS": "RTSP",
	} {
		s := &script{in: strings.NewReader(first)}
		_, err := Server(s, random(2))
		var e *VersionError
		if !errors.As(err, &e) || e.Version != first[0] || !strings.Contains(err.Error(), want) || s.writes > 0 {
			t.Errorf("%q: %v", first, err)
		}
	}
	if _, err := Client(&script{in: strings.NewReader("HTTP/1.1 400")}, random(2), Simple); err == nil {
		t.Error("client takes HTTP")
	}
}

func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	for name, f := range map[string]func() error{
		"server, no randomness": func() error {
			_, err := Server(&script{in: bytes.NewReader(hello(Simple, 1))}, failing{broken})
			return err
		},
		"client, no randomness": func() error {
			_, err := Client(&script{}, failing{broken}, Simple)
			return err
		},
		"server cannot write": func() error {
			_, err := Server(failing{broken}.after(hello(Simple, 1)), random(1))
			return err
		},
		"client cannot write": func() error {
			_, err := Client(failing{broken}.after(nil), random(1), Schema0)
			return err
		},
	} {
		if err := f(); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing fails to read and to write.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// after returns a connection from which b can be read, but to which nothing can be written.
func (f failing) after(b []byte) io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(b), f}
}

// TestGolden holds the bytes of both sides, with fixed randomness, to what they were when the test was written.
func TestGolden(t *testing.T) {
	var out strings.Builder
	for _, kind := range []Kind{Simple, Schema0, Schema1} {
		server := &script{in: bytes.NewReader(append(hello(kind, 1), make([]byte, packetSize)...))}
		if _, err := Server(server, random(2)); err != nil {
			t.Fatal(err)
		}
		client := &script{in: bytes.NewReader(server.out.Bytes())}
		if _, err := Client(client, random(1), kind); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(client.out.Bytes()[:helloSize], hello(kind, 1)) {
			t.Errorf("%v: client's C0 and C1 differ", kind)
		}
		fmt.Fprintf(&out, "# %v\n", kind)
		for _, p := range []struct {
			name  string
			bytes []byte
		}{
			{"C1", client.out.Bytes()[1:helloSize]},
			{"S1", server.out.Bytes()[1:helloSize]},
			{"S2", server.out.Bytes()[helloSize:]},
			{"C2", client.out.Bytes()[helloSize:]},
		} {
			fmt.Fprintf(&out, "%s %x ... %x sha256 %x\n", p.name, p.bytes[:12], p.bytes[packetSize-32:],
				sha256.Sum256(p.bytes))
		}
	}
	const path = "testdata/conversations.golden"
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("differs from %s:\n%s", path, out.String())
	}
}

// TestDigestPlace compares with places computed by hand: block 1 begins at 8, block 2 at 772.
func TestDigestPlace(t *testing.T) {
	p := make([]byte, packetSize)
	copy(p[8:], []byte{1, 2, 3, 4})
	copy(p[772:], []byte{255, 255, 255, 255}) // 1020 mod 728 = 292
	if a, b := digestPlace(p, Schema1), digestPlace(p, Schema0); a != 12+10 || b != 776+292 {
		t.Errorf("places %d and %d", a, b)
	}
}

func FuzzServer(f *testing.F) {
	for _, kind := range []Kind{Simple, Schema0, Schema1} {
		f.Add(append(hello(kind, 1), make([]byte, packetSize+3)...))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &script{in: bytes.NewReader(b)}
		kind, err := Server(s, random(2))
		whole := len(b) >= helloSize+packetSize && b[0] == Version
		if (err == nil) != whole {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if s.out.Len() > 0 {
			checkAnswer(t, kind, b[1:helloSize], s.out.Bytes())
		}
	})
}

func FuzzClient(f *testing.F) {
	for _, kind := range []Kind{Simple, Schema0, Schema1} {
		s := &script{in: bytes.NewReader(hello(kind, 1))}
		_, _ = Server(s, random(2))
		f.Add(s.out.Bytes(), uint8(kind))
	}
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		s := &script{in: bytes.NewReader(b)}
		_, err := Client(s, random(1), Kind(kind%3))
		if whole := len(b) >= answerSize && b[0] == Version; (err == nil) != whole {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	})
}

func BenchmarkServer(b *testing.B) {
	for _, kind := range []Kind{Simple, Schema1} {
		b.Run(kind.String(), func(b *testing.B) {
			in := append(hello(kind, 1), make([]byte, packetSize)...)
			source := random(2)
			b.ReportAllocs()
			for b.Loop() {
				s := script{in: bytes.NewReader(in)}
				if _, err := Server(&s, source); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
