package zlm_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/conf/zlm"
)

// whole are the keys that platforms read as whole numbers.
func whole() []string {
	return []string{
		"http.port", "http.sslport", "rtmp.port", "rtmp.sslport", "rtsp.port", "rtsp.sslport", "rtp_proxy.port",
		"general.streamNoneReaderDelayMS",
	}
}

// readable checks that a platform can read what it must.
func readable(t rapid.TB, settings map[string]string) {
	t.Helper()
	for _, key := range whole() {
		if _, err := strconv.Atoi(settings[key]); err != nil {
			t.Errorf("%s = %q: %v", key, settings[key], err)
		}
	}
	if f, err := strconv.ParseFloat(settings["hook.alive_interval"], 64); err != nil || f <= 0 {
		t.Errorf("hook.alive_interval = %q: %v", settings["hook.alive_interval"], err)
	}
	for _, k := range zlm.Keys() {
		if _, ok := settings[k.Name]; !ok {
			t.Errorf("%s is not there", k.Name)
		}
	}
}

// merged is what holds after a change.
func merged(now, set map[string]string) map[string]string {
	out := maps.Clone(now)
	maps.Copy(out, set)
	return out
}

// taken checks that the server takes settings after --set.
func taken(t rapid.TB, set map[string]string) {
	t.Helper()
	args := []string{}
	for key, value := range set {
		args = append(args, key+"="+value)
	}
	if _, err := conf.Load(conf.Source{Known: known(), Set: args}); err != nil {
		t.Fatalf("%v: %v", set, err)
	}
}

func TestSettingsOfDefaults(t *testing.T) {
	got := zlm.Settings(defaults(), nil)
	readable(t, got)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(got)) {
		fmt.Fprintf(&b, "%s=%s\n", key, got[key])
	}
	golden(t, "defaults.txt", b.String())
	readable(t, zlm.Settings(nil, nil))
}

func TestSettings(t *testing.T) {
	ours := map[string]string{
		"http.listen": "", "http.tls.listen": ":8443", "rtmp.listen": "[::]:1936", "rtsp.listen": ":0", "api.secret": "***",
		"publish.idle_delay": "1500us", "publish.resume_window": "1m30s", "hooks.alive_interval": "1500ms", "hooks.timeout": "100ms",
		"rtsp.auth": `["digest-sha256", basic]`, "httplive.cors": "https://a.example", "hooks.stream_changed_schemas": "[]",
		"hooks.flow_threshold": "1500", "hooks.server_id": `"a b"`, "rtsp.udp_ports": `""`, "publish.modify_stamp": "odd",
		"files.root": "/srv", "files.download": `["/srv/a b", c]`, "files.aliases": `["rec=/mnt/rec", x=y]`, "files.listing": "true",
		"serve.rtsp": "false", "serve.hls_fmp4": "true", "publish.audio": "false",
	}
	kept := map[string]string{
		"rtp_proxy.port": "10003", "rtp_proxy.port_range": "1-2", "srt.port": "9001", "http.rootPath": "/other", "ffmpeg.cmd_slow": "%s", "publish.x": "",
		"protocol.modify_stamp": "9", "cluster.origin_url": "", "protocol.enable_hls": "0", "protocol.enable_rtmp": "0",
	}
	got := zlm.Settings(ours, kept)
	readable(t, got)
	for key, want := range map[string]string{
		"http.port": "0", "http.sslport": "8443", "rtmp.port": "1936", "rtmp.sslport": "0", "rtsp.port": "0", "general.listen_ip": "::",
		"api.secret": "***", "general.streamNoneReaderDelayMS": "2", "protocol.continue_push_ms": "90000", "hook.alive_interval": "1.5", "hook.timeoutSec": "1",
		"rtsp.authBasic": "0", "http.allow_cross_domains": "1", "hook.stream_changed_schemas": "", "general.flowThreshold": "1",
		"general.mediaServerId": "a b", "rtp_proxy.port_range": "30000-35000", "protocol.modify_stamp": "2",
		"protocol.enable_rtsp": "0", "protocol.enable_hls_fmp4": "1", "protocol.enable_audio": "0", "protocol.enable_hls": "1", "protocol.enable_rtmp": "1",
		"rtp_proxy.port": "0", "srt.port": "0", "http.rootPath": "/srv", "api.downloadRoot": "/srv/a b;c", "http.virtualPath": "rec,/mnt/rec;x,y", "http.dirMenu": "1",
		"ffmpeg.cmd_slow": "%s", "cluster.origin_url": "", "http.keepAliveSecond": "30",
	} {
		if got[key] != want {
			t.Errorf("%s = %q, want %q", key, got[key], want)
		}
	}
	if kept["rtp_proxy.port"] != "10003" || ours["hooks.server_id"] != `"a b"` {
		t.Error("arguments were changed")
	}
}

// TestPlatform does what wvp-GB28181-pro does when a server has come online.
func TestPlatform(t *testing.T) {
	set := map[string]string{
		"hook.enable": "1", "hook.timeoutSec": "30", "protocol.continue_push_ms": "3000", "rtp_proxy.port_range": "40000-45000",
		"protocol.mp4_save_path": "/srv", "record.appName": "record", "protocol.downloadRoot": "/srv",
		"ffmpeg.snap": "%s -rtsp_transport tcp -i %s -y -f mjpeg -frames:v 1 %s", "secret": "x",
	}
	for _, name := range []string{
		"on_play", "on_publish", "on_record_mp4", "on_server_started", "on_stream_changed", "on_stream_none_reader",
		"on_stream_not_found", "on_server_keepalive", "on_send_rtp_stopped", "on_rtp_server_timeout",
	} {
		set["hook."+name] = "https://10.0.0.1:18080/wvp/index/hook/" + name
	}
	for _, name := range []string{"on_flow_report", "on_http_access", "on_record_ts", "on_rtsp_auth", "on_rtsp_realm", "on_shell_login"} {
		set["hook."+name] = ""
	}
	ours, kept, notes, err := zlm.Changes(set, defaults())
	if err != nil {
		t.Fatal(err)
	}
	taken(t, ours)
	now := zlm.Settings(merged(defaults(), ours), kept)
	readable(t, now)
	for key, value := range set {
		if _, there := now[key]; there && key != "ffmpeg.snap" && now[key] != value {
			t.Errorf("%s = %q, want %q", key, now[key], value)
		}
	}
	for _, key := range []string{"ffmpeg.snap", "protocol.downloadRoot", "secret"} {
		if _, there := kept[key]; there {
			t.Errorf("%s is kept", key)
		}
		if !slices.ContainsFunc(notes, func(n zlm.Note) bool { return n.Key == key }) {
			t.Errorf("nothing is said of %s", key)
		}
	}
	again, _, _, err := zlm.Changes(set, merged(defaults(), ours))
	if err != nil || len(again) > 0 {
		t.Errorf("the same again changes %v, %v", again, err)
	}
}

// TestWriteBack checks that writing back what was read changes nothing, though our settings say more than ZLMediaKit has words for.
func TestWriteBack(t *testing.T) {
	for _, set := range []map[string]string{
		nil,
		{"rtsp.auth": "[digest-sha256, digest]", "httplive.cors": "https://a.example", "publish.idle_delay": "1500500us", "rtmp.listen": "10.0.0.1:1935"},
		{"http.listen": "", "rtsp.listen": ":0", "rtmp.listen": "[fd00::1]:1935", "rtmp.tls.listen": ":322"},
		{"hooks.stream_changed_schemas": "[]", "hooks.flow_threshold": "1500", "api.secret": "***", "rtsp.udp_ports": ""},
	} {
		now := merged(defaults(), set)
		ours, kept, _, err := zlm.Changes(zlm.Settings(now, nil), now)
		if err != nil || len(ours) > 0 {
			t.Errorf("%v: sets %v, %v", set, ours, err)
		}
		if _, there := kept["rtp_proxy.port"]; there {
			t.Error("a port that is said to be off is kept as off")
		}
	}
}

func TestChanges(t *testing.T) {
	now := map[string]string{
		"http.listen": "127.0.0.1:8080", "http.tls.listen": "", "rtmp.listen": ":1935", "rtsp.listen": "", "rtsp.tls.listen": `":322"`,
		"tls.cert": "c", "tls.key": "k", "publish.max_silence": "5s", "rtmp.form": "enhanced", "httplive.form": "legacy",
		"serve.fmp4": "false", "publish.audio": "true",
	}
	for _, tc := range []struct {
		name, set, want string // key=value, separated by blanks
	}{
		{"port", "rtmp.port=1936", "rtmp.listen=:1936"},
		{"port keeps its address", "http.port=80", "http.listen=127.0.0.1:80"},
		{"port off", "http.port=0", "http.listen="},
		{"port on", "rtsp.port=554", "rtsp.listen=:554"},
		{"TLS port on", "http.sslport=443", "http.tls.listen=127.0.0.1:443"},
		{"address", "general.listen_ip=::1", "http.listen=[::1]:8080 rtmp.listen=[::1]:1935 rtsp.tls.listen=[::1]:322"},
		{"address and port", "general.listen_ip=0.0.0.0 rtmp.port=0 rtsp.port=1", "http.listen=0.0.0.0:8080 rtmp.listen= rtsp.listen=0.0.0.0:1 rtsp.tls.listen=0.0.0.0:322"},
		{"empty port", "rtmp.port=", ""},
		{"longer silence", "rtmp.keepAliveSecond=20 rtsp.keepAliveSecond=10", "publish.max_silence=20s"},
		{"longer silence, the other", "rtmp.keepAliveSecond=10 rtsp.keepAliveSecond=20", "publish.max_silence=20s"},
		{"longer silence holds", "rtmp.keepAliveSecond=3 rtsp.keepAliveSecond=5", ""},
		{"one silence", "rtsp.keepAliveSecond=60", "publish.max_silence=1m"},
		{"form", "rtmp.enhanced=0", "rtmp.form=legacy"},
		{"a segment's number", "hls.segNum=0", ""},
		{"built-in secret", "api.secret=035c73f7-bb6b-4889-a715-d9eb2d1925cc", ""},
		{"secret", "api.secret=12345678", "api.secret=12345678"},
		{"truth", "protocol.auto_close=TRUE", "publish.close_idle=true"},
		{"forms", "protocol.enable_rtsp=0 protocol.enable_hls_fmp4=1 protocol.enable_ts=false", "serve.hls_fmp4=true serve.rtsp=false serve.ts=false"},
		{"a form that is off", "protocol.enable_fmp4=0", ""},
		{"a form that was off", "protocol.enable_fmp4=2", "serve.fmp4=true"},
		{"sound", "protocol.enable_audio=0", "publish.audio=false"},
		{"comment", "general.mergeWriteMS=300\t;ms", "egress.merge_window=300ms"},
		{"programs", "ffmpeg.bin=/bin/sh ffmpeg.cmd=x ffmpeg.cmd_own=x python.plugin=x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := map[string]string{}
			for pair := range strings.SplitSeq(tc.set, " ") {
				key, value, _ := strings.Cut(pair, "=")
				set[key] = value
			}
			ours, kept, _, err := zlm.Changes(set, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for key, value := range ours {
				got = append(got, key+"="+value)
			}
			slices.Sort(got)
			if text := strings.Join(got, " "); text != tc.want || len(kept) > 0 {
				t.Errorf("got %q and %v, want %q", text, kept, tc.want)
			}
		})
	}
	ours, _, notes, err := zlm.Changes(map[string]string{"http.sslport": "443"}, nil)
	if err != nil || len(ours) > 0 || len(notes) != 1 || notes[0].Kind != zlm.Doubtful {
		t.Errorf("TLS without a certificate: %v, %v, %v", ours, notes, err)
	}
}

func TestWrongChanges(t *testing.T) {
	for key, text := range map[string]string{
		"rtmp.port": "-1", "http.port": "80.5", "rtsp.port": "65536", "http.sslport": "https", "general.listen_ip": "here",
		"protocol.continue_push_ms": "NaN", "general.maxStreamWaitMS": "0x10", "hls.segNum": "three", "general.flowThreshold": "1e999",
		"protocol.modify_stamp": "3", "protocol.auto_close": "maybe", "protocol.enable_rtsp": "maybe", "rtsp.authBasic": "basic", "rtp_proxy.port_range": "30000",
		"hook.on_play": "ftp://user:hidden@host", "api.secret": "hidden", "hook.stream_changed_schemas": "none",
		"http.allow_ip_range": "10.0.0.9-10.0.0.1", "general.mediaServerId": strings.Repeat("x", 257), "http.notFound": "a\x00b", "record.appName": "\xff", "hook.on_record_mp4": "a\nb",
	} {
		good := map[string]string{key: text, "protocol.auto_close ": "1", "hook.retry": "1"}
		ours, kept, _, err := zlm.Changes(good, nil)
		if err == nil || ours != nil || kept != nil || !strings.HasPrefix(err.Error(), key+": ") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: got %v, %v, %v", key, ours, kept, err)
		}
	}
}

// TestRefusedChanges: what of the disk can be read is not for who has the secret, and who writes back what was read is not told so.
func TestRefusedChanges(t *testing.T) {
	now := merged(defaults(), map[string]string{"files.root": "/srv"})
	for key, same := range map[string]string{"http.rootPath": "/srv", "http.virtualPath": "", "api.downloadRoot": ""} {
		ours, kept, notes, err := zlm.Changes(map[string]string{key: "/"}, now)
		if err != nil || len(ours)+len(kept) > 0 || len(notes) != 1 || notes[0].Kind != zlm.NoEffect {
			t.Errorf("%s: %v, %v, %v, %v", key, ours, kept, notes, err)
		}
		if ours, kept, notes, err = zlm.Changes(map[string]string{key: same}, now); err != nil || len(ours)+len(kept)+len(notes) > 0 {
			t.Errorf("%s again: %v, %v, %v, %v", key, ours, kept, notes, err)
		}
	}
}

// number draws a whole number, as text.
func number(least, most int) *rapid.Generator[string] {
	return rapid.Map(rapid.IntRange(least, most), strconv.Itoa)
}

// TestRoundTrip sets what is within range, and reads it again.
func TestRoundTrip(t *testing.T) {
	yes := number(0, 1)
	link := rapid.StringMatching(`https?://[a-z]{1,5}(:[1-9][0-9]{1,3})?(/[a-z?=&%]{0,9})?`).Filter(func(s string) bool { return !strings.Contains(s, "%") })
	list := rapid.Map(rapid.Permutation([]string{"rtsp", "rtmp", "fmp4", "ts", "hls", "hls.fmp4"}), func(all []string) string { return strings.Join(all[:4], "/") })
	ports := rapid.Custom(func(t *rapid.T) string {
		low := rapid.IntRange(1024, 60000).Draw(t, "low")
		return fmt.Sprintf("%d-%d", low, rapid.IntRange(low+2, 65535).Draw(t, "high"))
	})
	decimal := func(least, most int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("%d.%d", rapid.IntRange(least, most).Draw(t, "whole"), rapid.IntRange(0, 9).Draw(t, "tenth"))
		})
	}
	values := map[string]*rapid.Generator[string]{
		"api.secret": rapid.StringMatching(`[ -~]{8,20}[a-z]`).Filter(func(s string) bool { return s[0] != '"' }), "protocol.modify_stamp": number(0, 2), "protocol.auto_close": yes,
		"protocol.enable_audio": yes, "protocol.enable_rtsp": yes, "protocol.enable_rtmp": yes, "protocol.enable_ts": yes, "protocol.enable_fmp4": yes,
		"protocol.enable_hls": yes, "protocol.enable_hls_fmp4": yes,
		"protocol.continue_push_ms": number(0, 600_000), "general.flowThreshold": number(0, 1<<30), "general.maxStreamWaitMS": number(0, 60_000),
		"general.streamNoneReaderDelayMS": number(1000, 86_400_000), "general.mergeWriteMS": number(0, 1000), "general.mediaServerId": rapid.StringMatching(`[a-zA-Z0-9_. é-]{0,40}`),
		"general.listen_ip": rapid.SampledFrom([]string{"::", "0.0.0.0", "10.1.2.3", "::1", "fd00::1"}),
		"hls.segDur":        number(1, 10), "hls.segNum": number(3, 60), "hook.enable": yes, "hook.stream_changed_schemas": list, "hook.timeoutSec": number(1, 60),
		"hook.alive_interval": decimal(1, 3599), "hook.retry": number(0, 10), "hook.retry_delay": decimal(1, 59),
		"http.allow_ip_range": rapid.SampledFrom([]string{"", "::1", "::1,127.0.0.1,172.16.0.0-172.31.255.255", "10.0.0.0/8,fd00::/8"}),
		"http.port":           number(1, 65535), "http.sslport": number(0, 65535), "http.allow_cross_domains": yes, "multicast.udpTTL": number(1, 255),
		"rtmp.keepAliveSecond": number(1, 3600), "rtmp.port": number(0, 65535), "rtmp.sslport": number(0, 65535), "rtmp.enhanced": yes,
		"rtp.videoMtuSize": number(548, 8960), "rtp_proxy.port_range": ports, "rtsp.authBasic": yes, "rtsp.port": number(0, 65535), "rtsp.sslport": number(0, 65535),
		"http.dirMenu": yes,
	}
	refused := []string{"http.rootPath", "http.virtualPath", "api.downloadRoot"}
	for _, k := range zlm.Keys() {
		if strings.HasPrefix(k.Name, "hook.on_") {
			values[k.Name] = link
		}
		if _, tested := values[k.Name]; !tested && len(k.Ours) > 0 && k.Name != "rtsp.keepAliveSecond" && !slices.Contains(refused, k.Name) {
			t.Errorf("%s has no values", k.Name)
		}
		if len(k.Ours) == 0 && values[k.Name] == nil && !strings.HasSuffix(k.Name, "ort") && k.Name != "ffmpeg.bin" && k.Name != "ffmpeg.cmd" && k.Name != "ffmpeg.snap" && k.Name != "python.plugin" {
			values[k.Name] = rapid.StringMatching(`[ -~é]{0,20}`)
		}
	}
	values["onvif.port"] = number(0, 65535)
	delete(values, "rtc.signalingSslPort")
	delete(values, "rtc.tcpPort")
	base := merged(defaults(), map[string]string{"tls.cert": "cert.pem", "tls.key": "key.pem"})
	rapid.Check(t, func(t *rapid.T) {
		set := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if rapid.Bool().Draw(t, "set") {
				set[key] = values[key].Draw(t, key)
			}
		}
		if text, ok := set["rtmp.keepAliveSecond"]; ok {
			set["rtsp.keepAliveSecond"] = text
		}
		ours, kept, _, err := zlm.Changes(set, base)
		if err != nil {
			t.Fatal(err)
		}
		taken(t, ours)
		now := merged(base, ours)
		got := zlm.Settings(now, kept)
		readable(t, got)
		for key, text := range set {
			if got[key] != text {
				t.Errorf("%s = %q, want %q", key, got[key], text)
			}
		}
		if again, _, _, err := zlm.Changes(got, now); err != nil || len(again) > 0 {
			t.Errorf("written back, it sets %v, %v", again, err)
		}
	})
}

// TestAnything sets nonsense: it is refused, or the server takes what comes of it.
func TestAnything(t *testing.T) {
	keys := zlm.Keys()
	text := rapid.OneOf(
		rapid.String(), rapid.Map(rapid.Float64(), func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }),
		rapid.Map(rapid.Int64(), func(n int64) string { return strconv.FormatInt(n, 10) }), rapid.SampledFrom([]string{"", "true", "0-65535", "http://x", "rtsp/x", "-0", "1 ;", "::ffff:1.2.3.4", "fe80::1%eth0"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		set := map[string]string{}
		for range rapid.IntRange(1, 4).Draw(t, "keys") {
			set[keys[rapid.IntRange(0, len(keys)-1).Draw(t, "key")].Name] = text.Draw(t, "text")
		}
		ours, kept, _, err := zlm.Changes(set, defaults())
		if err != nil {
			return
		}
		taken(t, ours)
		readable(t, zlm.Settings(merged(defaults(), ours), kept))
	})
}
