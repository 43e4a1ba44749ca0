package zlm

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
	"github.com/vigil-media/vigil/internal/stream"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestDecimal(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 25: "25.0", -1: "-1.0", 29.97: "29.97", 23.976: "23.976", 0.00123: "0.0012", 0.1: "0.1", 100: "100.0", 12.5: "12.5", 1.0 / 3: "0.3333",
		1e15: "1000000000000000.0", math.Inf(1): "0.0", math.Inf(-1): "0.0", math.MaxFloat64: "0.0", 0.99999: "1.0",
	} {
		got, err := json.Marshal(Decimal(f))
		if err != nil || string(got) != want {
			t.Errorf("%v: %s, %v, want %s", f, got, err, want)
		}
	}
	if got, err := json.Marshal(Decimal(math.NaN())); err != nil || string(got) != "0.0" {
		t.Errorf("NaN: %s, %v", got, err)
	}
}

func FuzzDecimal(f *testing.F) {
	for _, seed := range []float64{0, 25, -1, 29.97, 1e300, math.SmallestNonzeroFloat64} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, f float64) {
		got, err := json.Marshal(Decimal(f))
		if err != nil || !bytes.ContainsRune(got, '.') || bytes.ContainsAny(got, "eE+") {
			t.Errorf("%v: %s, %v", f, got, err)
		}
		var back float64
		if err := json.Unmarshal(got, &back); err != nil {
			t.Errorf("%v: %s: %v", f, got, err)
		}
		if math.Abs(f) < 1e10 && math.Abs(back-f) > 1e-4 {
			t.Errorf("%v is written %s", f, got)
		}
	})
}

func TestSchemas(t *testing.T) {
	for protocol, want := range map[string]struct {
		schema        Schema
		plain, secure string
		origin        string
	}{
		"rtmp": {RTMP, "rtmp", "rtmps", "rtmp_push"}, "rtsp": {RTSP, "rtsp", "rtsps", "rtsp_push"}, "http-flv": {RTMP, "http", "https", "rtmp_push"},
		"ws-flv": {RTMP, "ws", "wss", "rtmp_push"}, "http-ts": {TS, "http", "https", "unknown"}, "ws-ts": {TS, "ws", "wss", "unknown"},
		"http-fmp4": {FMP4, "http", "https", "unknown"}, "ws-fmp4": {FMP4, "ws", "wss", "unknown"}, "hls": {HLS, "http", "https", "unknown"},
		"hls-fmp4": {HLSFMP4, "http", "https", "unknown"}, "srt": {"srt", "srt", "srt", "unknown"}, "": {"", "", "", "unknown"},
	} {
		if s := SchemaOf(protocol); s != want.schema || WireOf(protocol, false) != want.plain || WireOf(protocol, true) != want.secure {
			t.Errorf("%s: schema %s, wire %s, %s", protocol, s, WireOf(protocol, false), WireOf(protocol, true))
		}
		if o := OriginOf(protocol).String(); o != want.origin {
			t.Errorf("%s: origin %s", protocol, o)
		}
	}
	for _, s := range Schemas() {
		if !s.Valid() || SchemaOf(canonical(s)) != s {
			t.Errorf("%s is played by %s", s, canonical(s))
		}
	}
	if Schema("flv").Valid() || Schema("").Valid() {
		t.Error("any word is a schema")
	}
}

func TestServes(t *testing.T) {
	if Serves(nil) != nil || Serves(map[Schema]bool{}) != nil {
		t.Error("nothing is said, and yet something")
	}
	if got := ServedAs(hub.Terms{}); !slices.Equal(got, Schemas()) || got[0] != RTSP {
		t.Errorf("%v", got)
	}
	for _, said := range Schemas() {
		for _, on := range []bool{false, true} {
			serves := Serves(map[Schema]bool{said: on})
			for protocol := range protocols {
				if may, known := serves[protocol]; known != (SchemaOf(protocol) == said) || may != (known && on) {
					t.Errorf("%s %v: %s: %v, %v", said, on, protocol, may, known)
				}
			}
			if got := ServedAs(hub.Terms{Serves: serves}); slices.Contains(got, said) != on || len(got) < len(Schemas())-1 {
				t.Errorf("%s %v: %v", said, on, got)
			}
		}
	}
}

// Each setting is about its own schema, and all are on by default.
func TestServeConfig(t *testing.T) {
	all := DefaultServe()
	serves := all.Serves()
	for protocol := range protocols {
		if !serves[protocol] {
			t.Errorf("%s is off by default", protocol)
		}
	}
	if len(serves) != len(protocols) {
		t.Errorf("%d protocols, want %d", len(serves), len(protocols))
	}
	for said, c := range map[Schema]ServeConfig{
		RTSP: {RTSP: true}, RTMP: {RTMP: true}, TS: {TS: true}, FMP4: {FMP4: true}, HLS: {HLS: true}, HLSFMP4: {HLSFMP4: true}, "": {},
	} {
		for protocol, may := range c.Serves() {
			if may != (SchemaOf(protocol) == said) {
				t.Errorf("%q alone: %s: %v", said, protocol, may)
			}
		}
		if got := ServedAs(hub.Terms{Serves: c.Serves()}); said != "" && !slices.Equal(got, []Schema{said}) || said == "" && len(got) > 0 {
			t.Errorf("%q alone: %v", said, got)
		}
	}
}

// Every codec has the number and the name that platforms know.
func TestCodecs(t *testing.T) {
	for c, want := range map[av.Codec]struct {
		id, kind int
		name     string
	}{
		av.H264: {0, 0, "H264"}, av.H265: {1, 0, "H265"}, av.AAC: {2, 1, "mpeg4-generic"}, av.PCMA: {3, 1, "PCMA"}, av.PCMU: {4, 1, "PCMU"},
		av.Opus: {5, 1, "opus"}, av.L16: {6, 1, "L16"}, av.VP8: {7, 0, "VP8"}, av.VP9: {8, 0, "VP9"}, av.AV1: {9, 0, "AV1"}, av.MP3: {14, 1, "MP3"},
		av.G722: {18, 1, "G722"}, av.AC3: {-1, 1, "AC3"}, av.FLAC: {-1, 1, "FLAC"},
	} {
		all := Tracks([]stream.TrackStats{{Track: sim.NewTrack(1, c, 0)}}, -1)
		if len(all) != 1 {
			t.Fatalf("%v: %d tracks", c, len(all))
		}
		got := all[0]
		if got.Codec != want.id || got.CodecName != want.name || got.Type != want.kind || (got.Sound != nil) != (want.kind == 1) ||
			(got.Picture != nil) != (want.kind == 0) || !got.Ready {
			t.Errorf("%v: %+v", c, got)
		}
	}
	mjpeg := Tracks([]stream.TrackStats{{Track: &av.Track{Codec: av.MJPEG}}, {Track: &av.Track{Codec: av.KLV}}, {Track: &av.Track{Codec: av.Opaque}}}, 0)
	if len(mjpeg) != 1 || mjpeg[0].Codec != 10 || mjpeg[0].CodecName != "JPEG" {
		t.Errorf("%+v", mjpeg)
	}
	if none := Tracks(nil, 0); none == nil {
		t.Error("no tracks are no list")
	}
}

// The frame rate is a whole number: as declared, or else of the newest group of pictures, or else as counted.
func TestFrameRate(t *testing.T) {
	for _, c := range []struct {
		declared, counted float64
		gop               time.Duration
		units             int
		want              Decimal
	}{
		{25, 12, time.Second, 13, 25},
		{29.97, 0, 0, 0, 30},
		{1, 24.8, 2 * time.Second, 60, 30},
		{0, 24.8, 0, 0, 25},
		{0, 0, 0, 0, 0},
		{0, 0, 3003 * time.Millisecond, 90, 30},
		{0.5, 7, 0, 0, 7},
	} {
		s := stream.TrackStats{Track: &av.Track{Codec: av.H264, FrameRate: c.declared}, Rate: c.counted, GOP: c.gop, GOPUnits: c.units}
		if got := Tracks([]stream.TrackStats{s}, 0)[0].FPS; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// info is a stream with a publisher and viewers.
func info() hub.StreamInfo {
	key := hub.Key{VHost: hub.DefaultVHost, App: "live", Name: "cam/1"}
	publisher := &hub.SessionInfo{
		ID: "0a1b2c3d", Protocol: "rtsp", Action: hub.ActionPublish, Key: key, Query: "token=ab&x=<1>",
		Remote: netip.MustParseAddrPort("10.0.0.9:50422"), Local: netip.MustParseAddrPort("[2001:db8::1]:554"),
		Transit: &hub.Transit{Packets: 990, Lost: 10},
	}
	return hub.StreamInfo{
		Key: key, Started: time.Unix(1_700_000_000, 0), Publisher: publisher, Origin: publisher,
		Viewers: []hub.SessionInfo{{Protocol: "rtsp"}, {Protocol: "http-flv"}, {Protocol: "ws-flv"}, {Protocol: "hls"}, {Protocol: "another"}},
		Stats: stream.Stats{Bytes: 1 << 40, BitRate: 8_000_004, Tracks: []stream.TrackStats{
			{Track: sim.NewTrack(1, av.H265, 0), Units: 2500, Keys: 50, GOP: 2 * time.Second, GOPUnits: 50, Span: 100 * time.Second, Rate: 25},
			{Track: sim.NewTrack(2, av.PCMA, 0), Units: 5000, Span: 100*time.Second + 20*time.Millisecond},
		}},
	}
}

func TestSources(t *testing.T) {
	s := info()
	all := Sources(&s, time.Unix(1_700_000_100, 0))
	readers := map[Schema]int{}
	for _, one := range all {
		readers[one.Schema] = one.Readers
		if one.TotalReaders != 5 {
			t.Errorf("%s: %d viewers in all", one.Schema, one.TotalReaders)
		}
	}
	if len(all) != 6 || readers[RTSP] != 1 || readers[RTMP] != 2 || readers[HLS] != 1 || readers[TS]+readers[FMP4]+readers[HLSFMP4] != 0 {
		t.Errorf("%v", readers)
	}
	golden(t, "testdata/source.json", all[0])

	s.Publisher = nil // lost, and waited for
	s.Terms.Serves = Serves(map[Schema]bool{RTSP: false, HLS: false, HLSFMP4: false, TS: false, FMP4: false, RTMP: true})
	s.Stats.Tracks = nil
	s.Origin.Transit = nil
	all = Sources(&s, time.Unix(1_600_000_000, 0)) // the clock was set
	if len(all) != 1 || all[0].Schema != RTMP || all[0].Alive != 0 {
		t.Errorf("%+v", all)
	}
	golden(t, "testdata/source_lost.json", all[0])
	s.Terms.Serves = (&ServeConfig{}).Serves()
	if none := Sources(&s, time.Now()); len(none) != 0 {
		t.Errorf("%+v", none)
	}
}

// A session without addresses, as those of tests and tunnels may be.
func TestSocket(t *testing.T) {
	if got := SocketOf(&hub.SessionInfo{ID: "x"}); got != (Socket{Identifier: "x"}) {
		t.Errorf("%+v", got)
	}
	if got := IP(netip.MustParseAddrPort("[2001:db8::1]:1")); got != "2001:db8::1" {
		t.Error(got)
	}
}

func golden(t *testing.T, path string, v any) {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if buf.String() != string(want) {
		t.Errorf("%s differs (-update writes it):\n%s", path, buf.String())
	}
	if !strings.Contains(buf.String(), `"originSock": `) || !strings.Contains(buf.String(), `"tracks": [`) {
		t.Error("what must be there is not")
	}
}
