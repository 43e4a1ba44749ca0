package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
)

// TestRTSPLoss has ffmpeg publish by UDP through a network that loses one packet of twenty and swaps as many: what comes out can be
// decoded, since all pictures up to the next key picture are left out after a loss; it is counted; and another stream, by UDP too, lacks
// nothing. When the network is well again, so is the stream.
func TestRTSPLoss(t *testing.T) {
	t.Parallel()
	s := serve(t, "play.wait=1m")
	units := unitsOf(t, clipAAC)
	bystander := view(t, s.rtmpURL("bystander"))
	views := []*viewing{view(t, s.rtmpURL("lossy")), viewRTSP(t, s.rtspURL("lossy"), overTCP)}
	decoder := decoding(t, s.rtmpURL("lossy"))
	s.awaitWaiting(t, "lossy", len(views)+1)
	s.awaitWaiting(t, "bystander", 1)

	network := newRelay(t, s)
	p := start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "1", "-i", clipAAC.make(t), "-c", "copy", "-f", "rtsp",
		"-rtsp_transport", "udp", "rtsp://"+network.addr+"/live/lossy")
	within(t, 15*time.Second, "the stream is ready", func() bool { st, _ := s.stream(t, "lossy"); return st.Ready })
	network.bad.Store(true)
	publishRTSP(t, s, "bystander", overUDP, units)
	network.bad.Store(false)
	well := time.Now()

	lost := network.lost.Load()
	within(t, 3*time.Second, fmt.Sprintf("the API tells of %d lost packets", lost), func() bool { return s.lostPackets(t, "lossy") == lost })
	if lost < 5 || network.swaps.Load() < 5 {
		t.Errorf("only %d packets were lost and %d swapped: this shows nothing", lost, network.swaps.Load())
	}
	pushed(t, p)
	if err := sameUnits(bystander.wait(t, 10*time.Second), units, limits{apart: 10 * time.Millisecond}); err != nil {
		t.Errorf("another stream: %v", err)
	}
	source := slices.Concat(only(av.Video, units), only(av.Video, units)) // it is played twice
	for i, v := range views {
		got := v.wait(t, 10*time.Second)
		left, err := gaps(got, source)
		t.Logf("viewer %d: %d of %d pictures, %d packets of all lost", i, len(source)-left, len(source), lost)
		if err != nil {
			t.Errorf("viewer %d: %v", i, err)
		}
		if left == 0 && err == nil {
			t.Errorf("viewer %d: nothing has been left out, though packets were lost", i)
		}
		// From the next key picture on, at the latest 1 s after the network was well again, nothing is missing.
		after := slices.DeleteFunc(slices.Clone(got), func(u arrival) bool { return u.at.Before(well.Add(1500 * time.Millisecond)) })
		tail := picturesOf(after)
		if n := len(tail); n < 25 || n > len(source) {
			t.Errorf("viewer %d: %d pictures after the network was well again", i, n)
		} else if left, err := gaps(after, source[len(source)-n:]); left != 0 || err != nil && tail[0].Key {
			t.Errorf("viewer %d: %d pictures missing after the network was well again: %v", i, left, err)
		}
	}
	decoder.succeed(t, playLimit)
	clean(t, decoder)
}

func picturesOf(got []arrival) []*av.AccessUnit {
	var all []*av.AccessUnit
	for _, g := range got {
		if g.Track.Kind() == av.Video {
			all = append(all, g.AccessUnit)
		}
	}
	return all
}

// gaps checks that what came is what was sent, with pictures left out from one on up to a key picture. It returns how many.
func gaps(got []arrival, source []*av.AccessUnit) (left int, err error) {
	next, first := 0, true
	for _, u := range picturesOf(got) {
		from := next
		for next < len(source) && normal(source[next]) != normal(u) {
			next++
		}
		if next == len(source) {
			return 0, fmt.Errorf("a picture came at %v that is not of the source, or not in order", u.PTS)
		}
		if next > from && !u.Key && !first {
			return 0, fmt.Errorf("the pictures from %d to %d are missing, and the next is no key picture", from, next)
		}
		left += next - from
		next++
		first = false
	}
	return left + len(source) - next, nil
}

// lostPackets is how many packets the API says that the publisher of a stream has lost.
func (s *server) lostPackets(t testing.TB, name string) int64 {
	t.Helper()
	var list struct {
		Streams []struct {
			Key       string
			Publisher *struct {
				Transit *struct {
					Lost int64 `json:"lost_packets"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(s.request(t, http.MethodGet, "/api/v1/streams", s.authorized()).body), &list); err != nil {
		t.Fatal(err)
	}
	for _, st := range list.Streams {
		if st.Key == "live/"+name && st.Publisher != nil && st.Publisher.Transit != nil {
			return st.Publisher.Transit.Lost
		}
	}
	return 0
}
