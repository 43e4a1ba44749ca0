package rtsp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// certificate is one that nobody has signed but itself.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// What goes by RTSPS stays secret: UDP is refused, all else is as without.
func TestSecure(t *testing.T) {
	h := open(t, conformance.Options{
		TLS: certificate(t), Settings: []string{"rtsp.tls.listen=:8322", "rtsp.udp_ports=20000-29999"},
	})
	talk := func() *talker {
		t.Helper()
		c := tls.Client(h.MustDial("RTSPS"), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // of this test
		_ = c.SetDeadline(time.Time{})
		return &talker{t: t, conn: c, in: wire.NewReader(c, wire.Limits{}, 0)}
	}
	h.publish("live/x", 30).keep()
	k := talk()
	k.ask(461, "SETUP @x/trackID=1|Transport: RTP/AVP;unicast;client_port=7000-7001")
	k.ask(461, "SETUP @x/trackID=1|Transport: RTP/AVP;multicast")
	k.asks("SETUP @x/trackID=1|Transport: RTP/AVP;unicast;client_port=7000-7001|tcp=0-1", "PLAY @x")
	if n, err := k.media(time.Second); n == 0 || err != nil {
		t.Errorf("%d frames, %v", n, err)
	}
	p := talk()
	p.asks("ANNOUNCE @y|@sdp")
	p.ask(461, "SETUP @y/trackID=1|Transport: RTP/AVP;unicast;client_port=7000-7001;mode=record")
	p.asks("SETUP @y/trackID=1|tcp=0-1", "RECORD @y")
	feed(p, 30, nil)
	h.Publishers(2)
	p.asks("TEARDOWN @y")
	k.asks("PAUSE @x", "TEARDOWN @x")
	h.Viewers(0)
	look := h.MustDial("RTSPS") // who only looks whether somebody listens, as the supervisor does every two seconds, is not worth a line
	_ = look.Close()
	h.Logged("level=DEBUG", "handshake failed")
	if strings.Contains(h.Log(), `level=INFO msg="handshake failed"`) {
		t.Error(h.Log())
	}
	plain := h.MustDial("RTSPS") // who speaks without TLS is told nothing
	if _, err := plain.Write([]byte(strings.Repeat("OPTIONS * RTSP/1.0\r\n", 10))); err != nil {
		t.Fatal(err)
	}
	gone(t, plain, 5*time.Second)
	h.Logged("handshake failed")
}
