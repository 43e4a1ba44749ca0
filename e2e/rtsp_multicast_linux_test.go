package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// inside marks the process of these tests that has a network of its own.
const inside = "E2E_OWN_NETWORK"

// ether is the network there that does multicast. It leads nowhere. A loopback would not do: on it GStreamer hears its own reports, takes them for
// those of another with its number, and leaves.
const ether = "ether0"

// ownNetwork runs the test t once more, in a network namespace of its own, and judges that by its exit code; there it returns true. It has to be
// root, who alone may make one.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		for _, args := range []string{
			"link set lo up", "link add " + ether + " type veth peer name ether1", "addr add 10.77.0.1/24 dev " + ether,
			"link set ether1 up", "link set " + ether + " up", "route add 224.0.0.0/4 dev " + ether,
		} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", args, err, out)
			}
		}
		return true
	}
	cmd := exec.Command("unshare", "--net", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=3m", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	p := launch(t, cmd)
	if code := p.wait(t, 3*time.Minute); code != 0 || !strings.Contains(p.out.String(), "--- PASS: "+t.Name()) {
		t.Errorf("in a network of its own (it takes root): exit code %d\n%s%s", code, p.out.String(), p.errors.String())
	}
	return false
}

// groupLine is what the log says of a stream that is multicast.
var groupLine = regexp.MustCompile(` multicasting .* group=(\S+) port=(\d+)`)

// eavesdropper hears a group, and counts its packets by their numbers.
type eavesdropper struct {
	conn *net.UDPConn
	mu   sync.Mutex
	seen map[uint16]int
}

func eavesdrop(t testing.TB, group, port string) *eavesdropper {
	t.Helper()
	by, err := net.InterfaceByName(ether)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	e := &eavesdropper{seen: map[uint16]int{}}
	if e.conn, err = net.ListenMulticastUDP("udp4", by, &net.UDPAddr{IP: net.ParseIP(group), Port: n}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [2048]byte
		for {
			if _, err := e.conn.Read(b[:]); err != nil {
				return
			}
			e.mu.Lock()
			e.seen[uint16(b[2])<<8|uint16(b[3])]++
			e.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = e.conn.Close()
		<-done
	})
	return e
}

// count says how many packets have come, and how many of them more than once.
func (e *eavesdropper) count() (all, twice int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.seen {
		all++
		if n > 1 {
			twice++
		}
	}
	return all, twice
}

// TestRTSPMulticast has GStreamer and ffmpeg play one stream by multicast at the same time. Both see pictures, and each packet is sent once.
func TestRTSPMulticast(t *testing.T) {
	t.Parallel()
	if !ownNetwork(t) {
		return
	}
	s := serve(t, "rtsp.multicast.range=239.192.0.0/24", "rtsp.multicast.ttl=1", "rtsp.multicast.interface="+ether)
	start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", clipAAC.make(t), "-c", "copy", "-f", "flv",
		s.rtmpURL("many"))
	viewers := func() (n int) {
		st, _ := s.stream(t, "many")
		return st.Viewers["rtsp"]
	}
	// GStreamer leaves last: ffmpeg takes the BYE of any other that hears the group for the stream's.
	const pictures, more = 50, 150 // 2 s of 25 a second, and 6 s
	raw := filepath.Join(t.TempDir(), "video.raw")
	gst := start(t, "gst-launch-1.0", "-q", "rtspsrc", "location="+s.rtspURL("many"), "protocols=udp-mcast", "name=r",
		"r.", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "identity", "eos-after="+strconv.Itoa(more+1), "!", "filesink", "location="+raw,
		"r.", "!", "rtpmp4gdepay", "!", "fakesink", "num-buffers="+strconv.Itoa(2*more))
	within(t, 20*time.Second, "GStreamer plays", func() bool { return viewers() == 1 || gst.ended() })
	var group []string
	within(t, 10*time.Second, "the log tells of the group", func() bool {
		group = groupLine.FindStringSubmatch(s.errors.String())
		return group != nil || gst.ended()
	})
	if group == nil {
		t.Fatalf("GStreamer does not play by multicast\n%s", gst.errors.tail(20))
	}
	ear := eavesdrop(t, group[1], group[2])
	ff := start(t, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "udp_multicast", "-i", s.rtspURL("many"),
		"-map", "0:v", "-map", "0:a", "-frames:v", strconv.Itoa(pictures), "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-")
	within(t, 20*time.Second, "both play", func() bool { return viewers() == 2 || gst.ended() || ff.ended() })
	if gst.ended() || ff.ended() {
		t.Fatalf("a player has ended already: GStreamer says %s\nffmpeg says %s", gst.errors.tail(20), ff.errors.tail(20))
	}
	before, _ := ear.count()
	within(t, 10*time.Second, "both are sent to", func() bool { n, _ := ear.count(); return n > before+30 })
	s.sentOnce(t, "many")
	ff.succeed(t, playLimit)
	gst.succeed(t, playLimit)
	n, sound := countFrames(ff.out.String(), "video"), countFrames(ff.out.String(), "audio")
	if n != pictures || sound == 0 {
		t.Errorf("ffmpeg has decoded %d pictures, want %d, and %d frames of sound\n%s", n, pictures, sound, ff.errors.tail(10))
	}
	const picture = 192 * 108 * 3 / 2
	if info, err := os.Stat(raw); err != nil || info.Size() < more*picture {
		t.Errorf("GStreamer has decoded %v, want %d pictures of %d bytes: %v", info, more, picture, err)
	}
	all, twice := ear.count()
	t.Logf("%d packets", all)
	if twice > 0 {
		t.Errorf("of %d packets %d were sent more than once", all, twice)
	}
	if n := len(groupLine.FindAllString(s.errors.String(), -1)); n != 1 {
		t.Errorf("sending has begun %d times", n)
	}
	within(t, 10*time.Second, "the viewers have left", func() bool { return viewers() == 0 })
	within(t, 10*time.Second, "nothing is sent any more", func() bool { return strings.Contains(s.errors.String(), "stopped multicasting") })
}

// sentOnce fails the test if the API says that more was sent to the viewers of live/name by RTSP than has come from the publisher.
func (s *server) sentOnce(t testing.TB, name string) {
	t.Helper()
	st, _ := s.stream(t, name)
	var sent []uint64
	for _, v := range st.Sessions {
		if v.Protocol == "rtsp" {
			sent = append(sent, v.Sent)
		}
	}
	if len(sent) != 2 || min(sent[0], sent[1]) != 0 || max(sent[0], sent[1]) == 0 {
		t.Errorf("the viewers were sent %d bytes: once is enough", sent)
	}
}
