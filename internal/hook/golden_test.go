package hook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// The fields of the bodies and their types, as ZLMediaKit's: i is a whole number, n one with a decimal point, s a text, b true or false.
const (
	fieldsAll    = "mediaServerId:s hook_index:i"
	fieldsMedia  = "schema:s protocol:s vhost:s app:s stream:s params:s ip:s port:i id:s"
	fieldsTuple  = "schema:s vhost:s app:s stream:s params:s"
	fieldsSource = fieldsTuple + " createStamp:i aliveSecond:i bytesSpeed:i totalBytes:i readerCount:i totalReaderCount:i originType:i originTypeStr:s " +
		"originUrl:s isRecordingMP4:b isRecordingHLS:b originSock.peer_ip:s originSock.peer_port:i originSock.local_ip:s originSock.local_port:i " +
		"originSock.identifier:s"
	fieldsTrack = "tracks.codec_id:i tracks.codec_id_name:s tracks.codec_type:i tracks.ready:b tracks.frames:i tracks.duration:i tracks.loss:n"
	fieldsVideo = "tracks.width:i tracks.height:i tracks.key_frames:i tracks.gop_size:i tracks.gop_interval_ms:i tracks.fps:n"
	fieldsAudio = "tracks.sample_rate:i tracks.channels:i tracks.sample_bit:i"
)

// contract is the fields that a hook must have. It may have our epoch too, and nothing else.
func contract() map[Hook]string {
	return map[Hook]string{
		Publish:       fieldsMedia + " originType:i originTypeStr:s",
		Play:          fieldsMedia,
		NotFound:      fieldsMedia,
		NoneReader:    fieldsTuple,
		FlowReport:    fieldsMedia + " totalBytes:i duration:i player:b",
		Changed + "+": fieldsSource + " regist:b " + fieldsTrack + " " + fieldsVideo + " " + fieldsAudio,
		Changed + "-": fieldsTuple + " regist:b",
		Started:       "general.mediaServerId:s hook.enable:s",
		Exited:        "",
		KeepAlive:     "data.MediaSource:i data.TcpSession:i",
	}
}

// fields lists those of a JSON value with their types. Those of a list are those of its elements.
func fields(into map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			fields(into, strings.TrimPrefix(path+"."+name, "."), inner)
		}
	case []any:
		for _, inner := range v {
			fields(into, path, inner)
		}
	case string:
		into[path] = "s"
	case bool:
		into[path] = "b"
	case json.Number:
		into[path] = "i"
		if strings.ContainsAny(v.String(), ".eE") {
			into[path] = "n"
		}
	default:
		into[path] = fmt.Sprintf("%T", v)
	}
}

func TestBodies(t *testing.T) {
	c := to(Publish, Play, Changed, NotFound, NoneReader, FlowReport, Started, Exited, KeepAlive)
	c.Schemas = nil
	c.ServerID = "node \"1\""
	o := Options{
		Config:    c,
		Statistic: func() any { return map[string]int{"MediaSource": 1, "TcpSession": 2} },
		Settings: func() map[string]string {
			return map[string]string{"general.mediaServerId": "node-1", "hook.enable": "1"}
		},
	}
	var bodies []called
	sceneOf(t, o, func(t *testing.T, s *stage) {
		early, err := s.hub.Publish(t.Context(), s.request("rtsp", "plain"))
		if err != nil {
			t.Fatal(err)
		}
		early.Release(hub.ErrUnpublished)
		l, e := s.publish(t, "cam/1")
		feed(t, l, e, 2*time.Second)
		q := s.request("http-flv", "cam/1")
		q.Secure, q.Query = true, `a=1&b=<"\é`
		v, err := s.hub.Play(t.Context(), t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		feed(t, l, e, time.Second)
		v.Release(nil)
		feed(t, l, e, 21*time.Second) // nobody watches for so long
		l.Finish(nil)
		waits := s.request("hls-fmp4", "absent")
		if _, err = s.hub.Play(t.Context(), t.Context(), waits); err == nil {
			t.Fatal("an absent stream plays")
		}
		synctest.Wait()
		s.end()
		bodies = s.all
	})
	byHook := map[Hook][]called{}
	for _, b := range bodies {
		name := b.Hook
		if name == Changed {
			name += map[string]Hook{"true": "+", "false": "-"}[b.field("regist")]
		}
		byHook[name] = append(byHook[name], b)
	}
	for hook, want := range contract() {
		all := byHook[hook]
		if len(all) == 0 {
			t.Errorf("%s: there is none", hook)
			continue
		}
		slices.SortStableFunc(all, func(a, b called) int { return strings.Compare(a.field("schema"), b.field("schema")) })
		for _, b := range all {
			checkBody(t, hook, want, &b)
		}
		golden(t, hook, all)
	}
	same(t, "schemas that appear", len(byHook[Changed+"+"]), 6)
	same(t, "schemas that vanish", len(byHook[Changed+"-"]), 6)
	indices := map[string]bool{}
	for _, b := range bodies {
		indices[b.field("hook_index")] = true
	}
	same(t, "numbers of calls", len(indices), len(bodies))
	if !indices["0"] || !indices[fmt.Sprint(len(bodies)-1)] {
		t.Error("the numbers of calls do not go from 0 up by one")
	}
}

// checkBody holds the fields of a body, and what is true of every call, to the contract.
func checkBody(t *testing.T, hook Hook, want string, b *called) {
	t.Helper()
	got, wants := map[string]string{}, strings.Fields(want+" "+fieldsAll)
	fields(got, "", b.body)
	for _, field := range wants {
		name, kind := field[:strings.LastIndex(field, ":")], field[strings.LastIndex(field, ":")+1:]
		if got[name] != kind {
			t.Errorf("%s: %s is %q, want %q", hook, name, got[name], kind)
		}
		delete(got, name)
	}
	if kind, has := got["epoch"]; has && kind != "i" {
		t.Errorf("%s: epoch is %q", hook, kind)
	}
	if delete(got, "epoch"); len(got) != 0 {
		t.Errorf("%s has fields that nobody knows: %v", hook, got)
	}
	same(t, string(hook)+": type", b.header.Get("Content-Type"), "application/json")
	same(t, string(hook)+": server", b.field("mediaServerId"), `node "1"`)
	if vhost, has := b.body["vhost"]; has {
		same(t, string(hook)+": X-VHOST", b.header["X-Vhost"], []string{fmt.Sprint(vhost)})
	} else {
		same(t, string(hook)+": X-VHOST", b.header["X-Vhost"], []string(nil))
	}
}

// golden compares the bodies of a hook with those that were there before.
func golden(t *testing.T, hook Hook, all []called) {
	t.Helper()
	var buf bytes.Buffer
	for _, b := range all {
		if err := json.Indent(&buf, b.raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		buf.WriteByte('\n')
	}
	got := regexp.MustCompile(`"hook_index": \d+`).ReplaceAllString(buf.String(), `"hook_index": 0`) // hooks come in any order
	path := filepath.Join("testdata", strings.NewReplacer("+", "_true", "-", "_false").Replace(string(hook))+".json")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update writes it):\n%s", path, got)
	}
}

// A body that cannot be written is no call, and no fault of the target's.
func TestBodyBroken(t *testing.T) {
	o := Options{
		Config:    to(KeepAlive, Started, Exited),
		Statistic: func() any { return func() {} },
		Settings:  func() map[string]string { panic("oops") },
	}
	sceneOf(t, o, func(t *testing.T, s *stage) {
		time.Sleep(time.Minute)
		same(t, "keep-alives", len(s.calls(KeepAlive)), 0)
		same(t, "starts", len(s.calls(Started)), 1)
		same(t, "keep-alive", s.figure(KeepAlive), Figures{Hook: KeepAlive, URL: "http://platform:8080/on_server_keepalive"})
		if !strings.Contains(s.log.String(), "no object") {
			t.Errorf("the log does not say why:\n%s", s.log)
		}
		s.end()
		same(t, "ends", len(s.calls(Exited)), 1)
	})
}

// Without what makes the bodies they are still objects.
func TestBodyEmpty(t *testing.T) {
	scene(t, to(KeepAlive, Started), func(t *testing.T, s *stage) {
		synctest.Wait()
		for hook, want := range map[Hook]string{
			Started: `{"mediaServerId":"vigil-1","hook_index":`, KeepAlive: `{"data":{},"mediaServerId":"vigil-1","hook_index":`,
		} {
			if all := s.calls(hook); len(all) != 1 || !strings.HasPrefix(string(all[0].raw), want) {
				t.Errorf("%s: %v", hook, all)
			}
		}
	})
	h := New(Options{Config: Default()})
	for _, of := range []any{nil, 7, []int{1}, map[string]string(nil), "x", make(chan int)} {
		if b, err := h.body("", of); err == nil {
			t.Errorf("%v is a body: %s", of, b.encode())
		}
	}
}
