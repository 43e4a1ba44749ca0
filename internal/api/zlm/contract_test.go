package zlm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// populate adds a stream with viewers, one without, and one that nothing is known of yet. It takes some fake time.
func (r *rig) populate(t testing.TB) {
	t.Helper()
	r.publish(t, "00a1", "cam1", 60)
	r.publish(t, "00a2", "cam2", 60)
	r.publish(t, "00a3", "dark", 0)
	for i, protocol := range []string{"rtmp", "ws-flv", "rtsp"} {
		r.play(t, fmt.Sprint("00b", i+1), protocol, "cam1")
		time.Sleep(time.Second) // they are listed in order
	}
}

// transports are those that an endpoint takes arguments by.
func transports(e *endpoint) []transport {
	switch {
	case e.kind == kindJSON:
		return []transport{byJSON}
	case e.kind == kindText:
		return []transport{byQuery, byHeader}
	case e.path == "setServerConfig": // settings are all arguments; what header fields are they cannot be told from
		return []transport{byQuery, byForm, byJSON}
	}
	return []transport{byQuery, byForm, byJSON, byHeader}
}

func TestContract(t *testing.T) {
	for _, c := range cases {
		name := strings.TrimSuffix(strings.ReplaceAll(c.name, "/", "_")+"-"+c.variant, "-")
		e := newRig(t).endpoint(prefix + c.name)
		if e == nil {
			t.Fatalf("there is no %s", c.name)
		}
		for _, by := range transports(e) {
			t.Run(name+"/"+string(by), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // so that the time of streams is always the same
					r := newRig(t)
					r.populate(t)
					args := "secret=" + theSecret
					if c.args != "" {
						args += "&" + c.args
					}
					w := r.do(build(t, by, http.MethodPost, prefix+c.name, args))
					check(t, name, w, c.code, c.status, by == transports(e)[0])
				})
			})
		}
	}
}

// secrets finds what is another each time.
var secrets = regexp.MustCompile(`"cookie": "[^"]+"`)

// check compares an answer with its golden file, and holds it to the rules that are for all.
func check(t *testing.T, name string, w *httptest.ResponseRecorder, code, status int, writes bool) {
	t.Helper()
	if status == 0 {
		status = http.StatusOK
	}
	if w.Code != status {
		t.Errorf("status %d, want %d", w.Code, status)
	}
	file := filepath.Join("testdata", name+".json")
	switch kind := w.Header().Get("Content-Type"); kind {
	case typeJSON:
		var body struct {
			Code *int
			Data json.RawMessage
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Code == nil || *body.Code != code {
			t.Errorf("%v: want code %d: %s", err, code, w.Body)
		}
		if string(body.Data) == "null" {
			t.Error("data is null")
		}
	case typeText:
		file = filepath.Join("testdata", name+".txt")
	default:
		t.Errorf("content type %q", kind)
	}
	got := secrets.ReplaceAll(w.Body.Bytes(), []byte(`"cookie": "..."`))
	if *update && writes {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEveryEndpoint(t *testing.T) {
	r := newRig(t)
	want := []string{root}
	for name := range strings.FieldsSeq(documented) {
		want = append(want, prefix+name)
		if !slices.ContainsFunc(cases, func(c struct {
			name, variant, args string
			code                int
			status              int
		},
		) bool {
			return c.name == name
		}) {
			t.Errorf("%s has no case", name)
		}
	}
	slices.SortFunc(want, func(x, y string) int { return strings.Compare(strings.ToLower(x), strings.ToLower(y)) })
	if !slices.Equal(want, r.names) {
		t.Errorf("the table has\n%q\nwant\n%q", r.names, want)
	}
	if w := r.do(build(t, byQuery, http.MethodGet, "/INDEX/", "secret="+theSecret)); !strings.Contains(w.Body.String(), `"/index/api/version"`) {
		t.Errorf("the list: %s", w.Body)
	}
	if w := r.do(build(t, byQuery, http.MethodGet, "/Index/API/VERSION", "SECRET="+theSecret)); !strings.Contains(w.Body.String(), "v1.2.3") {
		t.Errorf("in capitals: %s", w.Body)
	}
	for _, path := range []string{"/index/api/", "/index/api", "/index/api/version/", "/index/api/nothing", "/index/x", "/index/api/" + strings.Repeat("x", 99)} {
		w := r.do(build(t, byQuery, http.MethodGet, path, "secret="+theSecret))
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"code": -500`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// result is what all answers have.
type result struct {
	Code   *int
	Msg    string
	Cookie string
}

func resultOf(t testing.TB, w *httptest.ResponseRecorder) result {
	t.Helper()
	var out result
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Code == nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return out
}

// TestEveryRefusal holds every endpoint to the rules about secrets and required arguments.
func TestEveryRefusal(t *testing.T) {
	for _, e := range slices.Concat((&API{}).table(), (&API{}).later()) {
		t.Run(e.path, func(t *testing.T) {
			r := newRig(t)
			by := transports(&e)[0]
			full := []string{"secret=" + theSecret}
			for _, name := range e.required {
				full = append(full, name+"=1")
			}
			if !e.open {
				for what, given := range map[string]string{"no": "a=b", "a wrong": "secret=0123456789abcdeF", "an empty": "secret="} {
					w := r.do(build(t, by, http.MethodPost, prefix+e.path, strings.Join(append(full[1:], given), "&")))
					if got := resultOf(t, w); *got.Code != -100 || got.Msg != "Please login first" || got.Cookie == "" || w.Code != 200 {
						t.Errorf("with %s secret: %d %s", what, w.Code, w.Body)
					}
				}
			}
			for i, name := range e.required {
				for _, without := range [][]string{
					slices.Delete(slices.Clone(full), i+1, i+2),
					append(slices.Delete(slices.Clone(full), i+1, i+2), name+"="),
				} {
					w := r.do(build(t, by, http.MethodPost, prefix+e.path, strings.Join(without, "&")))
					want := `Required parameter missed: "` + strings.Join(e.required, `","`) + `"`
					if got := resultOf(t, w); *got.Code != -300 || got.Msg != want || w.Code != 200 {
						t.Errorf("without %s: %d %s", name, w.Code, w.Body)
					}
				}
			}
			if e.kind == kindJSON {
				w := r.do(build(t, byForm, http.MethodPost, prefix+e.path, strings.Join(full, "&")))
				if got := resultOf(t, w); *got.Code != -300 || !strings.Contains(got.Msg, "JSON only") {
					t.Errorf("by a form: %s", w.Body)
				}
			}
			for name, want := range map[string]int{
				"GET": 200, "PUT": 200, "DELETE": 200, "HEAD": 200, "OPTIONS": 200, "PATCH": 405, "TRACE": 405, "SUBSCRIBE": 405,
			} {
				w := r.do(build(t, by, name, prefix+e.path, "a=b")) // nothing that would do something
				empty := name == "HEAD" || name == "OPTIONS"
				got := w.Code
				if got >= 400 && got != 405 && !empty && want == 200 {
					got = 200 // the few that have a status of their own
				}
				if got != want || empty != (w.Body.Len() == 0) {
					t.Errorf("%s: %d %s", name, w.Code, w.Body)
				}
				if (name == "OPTIONS" || want == 405) && w.Header().Get("Allow") != methods {
					t.Errorf("%s: allows %q", name, w.Header().Get("Allow"))
				}
			}
		})
	}
}
