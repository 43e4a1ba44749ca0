package egress

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// tlsClient returns a viewer on a shard with TLS, whose socket holds little.
func (r *rig) tlsClient(change func(*tls.Config)) (*client, *tls.Conn) {
	r.t.Helper()
	near, far := secured(r.t, NewTLSListener, change)
	raw := TCPOf(near)
	if err := errors.Join(raw.SetWriteBuffer(32<<10), far.NetConn().(*net.TCPConn).SetReadBuffer(32<<10)); err != nil {
		r.t.Fatal(err)
	}
	c := r.join(near, far)
	return c, far
}

// Both versions of the protocol, with a socket that takes parts of records.
func TestTLSVersions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			r := newRig(t, Options{})
			first := r.write(1)
			c, far := r.tlsClient(func(c *tls.Config) { c.MaxVersion = version })
			c.play()
			c.want("HCU", first...)
			var units []*av.AccessUnit
			for i := range 40 {
				u := r.big(i * 2000)
				r.put(u)
				units = append(units, u)
			}
			c.say("q")
			for i, u := range units {
				c.want("U", u)
				if i%10 == 0 {
					c.say("q")
				}
			}
			c.cancel(errOver)
			c.over(errOver)
			if got := far.ConnectionState().Version; got != version {
				t.Errorf("version %x", got)
			}
			if err := c.end(); !errors.Is(err, errOver) {
				t.Error(err)
			}
			if _, ok := c.link.sock.(*tlsSocket); !ok {
				t.Errorf("a %T, want one of TLS", c.link.sock)
			}
		})
	}
}

// The end is a clean one: with a farewell, not a cut. What the peer sees is EOF, not an unexpected one.
func TestTLSCloseNotify(t *testing.T) {
	r := newRig(t, Options{})
	units := r.write(1)
	c, far := r.tlsClient(nil)
	c.play()
	c.want("HCU", units...)
	c.cancel(errOver)
	b, err := io.ReadAll(far) // gives io.ErrUnexpectedEOF without close_notify
	if err != nil || !bytes.Equal(b, record(nil, 'F', []byte(errOver.Error())...)) {
		t.Errorf("%q, %v", b, err)
	}
	_ = far.Close()
}

// The peer's close_notify ends the link.
func TestTLSPeerCloses(t *testing.T) {
	r := newRig(t, Options{})
	c, far := r.tlsClient(nil)
	c.play()
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); !errors.Is(err, ErrLeft) {
		t.Errorf("%v, want ErrLeft", err)
	}
}

// Garbage from the peer ends the link, and nothing else.
func TestTLSGarbage(t *testing.T) {
	r := newRig(t, Options{})
	units := r.write(1)
	good, _ := r.tlsClient(nil)
	good.play()
	good.want("HCU", units...)
	c, far := r.tlsClient(nil)
	c.play()
	if _, err := far.NetConn().Write(bytes.Repeat([]byte{23, 3, 3, 0, 40}, 10)); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err == nil || isPanic(err) {
		t.Error(err)
	}
	units = r.write(9)
	good.want(types("", 9), units...)
}

// A slow reader leaves ciphertext behind, and what the peer says in between is answered.
func TestTLSSlowReader(t *testing.T) {
	r := newRig(t, Options{})
	first := r.write(1)
	c, _ := r.tlsClient(nil)
	c.play()
	c.want("HCU", first...)
	var all []*av.AccessUnit
	var wg sync.WaitGroup
	ticks := make(chan struct{})
	wg.Go(func() {
		for range 100 {
			u := r.big(2000)
			if err := r.p.Write(u); err != nil {
				t.Error(err)
			}
			all = append(all, u)
			ticks <- struct{}{}
		}
		close(ticks)
	})
	n := 0
	for range ticks {
		n++
		if n%20 == 0 {
			c.say("q")
		}
	}
	wg.Wait()
	piece := slowly{c.peer, 333}
	c.peer = prefixed{c.peer, piece}
	c.want(types("", len(all)), all...)
	if len(c.events) == 0 {
		c.answer('q')
	}
}

// A peer that asks for new keys gets them: what is sent afterwards is enciphered with those. Ciphertext that was left from before
// goes out before the answer.
func TestTLSKeyUpdate(t *testing.T) {
	r := newRig(t, Options{})
	units := r.write(1)
	keys := &keyed{}
	near, far := secured(t, NewTLSListener, func(c *tls.Config) {
		c.SessionTicketsDisabled = true
		c.KeyLogWriter = keys
	})
	if err := errors.Join(TCPOf(near).SetWriteBuffer(32<<10), far.NetConn().(*net.TCPConn).SetReadBuffer(32<<10)); err != nil {
		t.Fatal(err)
	}
	if state := far.ConnectionState(); state.Version != tls.VersionTLS13 || state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("version %x, suite %x", state.Version, state.CipherSuite)
	}
	keys.TCPConn = far.NetConn().(*net.TCPConn)
	c := r.join(near, keys)
	c.play()
	c.want("HCU", units...)
	for i := range 5 {
		if i%2 == 1 { // ciphertext is left
			for range 20 {
				u := r.big(20_000)
				r.put(u)
				units = append(units, u)
			}
		}
		keys.ask()
		c.say("q")
		units = append(units[:0:0], units[1:]...)
		units = append(units, r.write(10)...)
		c.want(types("", len(units)), units...)
		if len(c.events) <= i {
			c.answer('q')
			c.events = append(c.events, 'q')
		}
		units = units[len(units)-1:]
	}
	if keys.updates != 5 {
		t.Errorf("%d new keys, want 5", keys.updates)
	}
	c.cancel(errOver)
	if typ, _, err := c.next(); err != nil || typ != 'F' {
		t.Errorf("%q, %v", typ, err)
	}
	if _, err := keys.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want close_notify", err)
	}
}

// keyed is a client's end of a TLS 1.3 connection after the handshake, with AES-128-GCM. Unlike crypto/tls it can ask for new keys.
type keyed struct {
	*net.TCPConn
	out, in *keys
	plain   []byte
	updates int
}

type keys struct {
	secret []byte
	seq    uint64
	aead   cipher.AEAD
	iv     []byte
}

// Write sends application data; before the connection is there, it takes lines of the key log.
func (k *keyed) Write(b []byte) (int, error) {
	if k.TCPConn != nil {
		return len(b), k.seal(23, b)
	}
	f := strings.Fields(string(b))
	secret, err := hex.DecodeString(f[2])
	if err != nil {
		return 0, err
	}
	switch f[0] {
	case "CLIENT_TRAFFIC_SECRET_0":
		k.out = newKeys(secret)
	case "SERVER_TRAFFIC_SECRET_0":
		k.in = newKeys(secret)
	}
	return len(b), nil
}

func expand(secret []byte, label string, n int) []byte {
	info := append(binary.BigEndian.AppendUint16(nil, uint16(n)), byte(6+len(label)))
	info = append(append(append(info, "tls13 "...), label...), 0)
	b, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return b
}

func newKeys(secret []byte) *keys {
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &keys{secret: secret, aead: aead, iv: expand(secret, "iv", 12)}
}

func (k *keys) next() *keys { return newKeys(expand(k.secret, "traffic upd", 32)) }

func (k *keys) nonce() []byte {
	b := bytes.Clone(k.iv)
	for i := range 8 {
		b[11-i] ^= byte(k.seq >> (8 * i))
	}
	k.seq++
	return b
}

func (k *keyed) seal(typ byte, b []byte) error {
	head := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(b)+1+16))
	_, err := k.TCPConn.Write(k.out.aead.Seal(head, k.out.nonce(), append(bytes.Clone(b), typ), head))
	return err
}

// ask sends a request for new keys.
func (k *keyed) ask() {
	_ = k.seal(22, []byte{24, 0, 0, 1, 1})
	k.out = k.out.next()
}

func (k *keyed) Read(b []byte) (int, error) {
	for len(k.plain) == 0 {
		head := make([]byte, 5)
		if _, err := io.ReadFull(k.TCPConn, head); err != nil {
			return 0, fmt.Errorf("no close_notify: %v", err)
		}
		body := make([]byte, binary.BigEndian.Uint16(head[3:]))
		if _, err := io.ReadFull(k.TCPConn, body); err != nil {
			return 0, err
		}
		plain, err := k.in.aead.Open(nil, k.in.nonce(), body, head)
		if err != nil {
			return 0, err
		}
		switch typ := plain[len(plain)-1]; {
		case typ == 23:
			k.plain = plain[:len(plain)-1]
		case typ == 22 && plain[0] == 24:
			k.in = k.in.next()
			k.updates++
		case typ == 21 && plain[1] == 0:
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("a record of type %d: % x", typ, plain)
		}
	}
	n := copy(b, k.plain)
	k.plain = k.plain[n:]
	return n, nil
}

// A stalled peer with ciphertext that is left is ended like any other.
func TestTLSStalled(t *testing.T) {
	r := newRig(t, Options{StallTimeout: time.Second})
	units := r.write(1)
	c, _ := r.tlsClient(nil)
	c.play()
	c.want("HCU", units...)
	r.put(r.big(8 << 20)) // more than the kernel takes
	if err := c.end(); !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
}

// A burst of small records is heard as soon as the same bytes in one.
func TestTLSBurst(t *testing.T) {
	r := newRig(t, Options{})
	c, _ := r.tlsClient(nil)
	c.hear = func([]byte) error { return nil }
	c.play()
	for range 100 {
		c.say("x")
	}
	limit := time.After(6 * sweepEvery)
	for len(c.saw()) < 100 {
		select {
		case <-limit:
			t.Fatalf("heard %d of 100 records", len(c.saw()))
		case <-time.After(time.Millisecond):
		}
	}
}
