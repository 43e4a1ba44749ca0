package zlm

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestDownload: what a call says goes to whom files belong to, with whether it had the secret; a wrong one is answered here.
func TestDownload(t *testing.T) {
	r := newRig(t)
	call := func(arguments string) (int, string) {
		w := r.do(build(t, byQuery, http.MethodGet, prefix+"downloadFile", arguments))
		return w.Code, w.Body.String()
	}
	const at = "save_name=x.mp4&file_path=/srv/a.mp4"
	if code, body := call(at); code != http.StatusUnauthorized || body != "this file may not be downloaded\n" {
		t.Errorf("without files: %d %s", code, body)
	}
	r.opt.Download = func(w http.ResponseWriter, _ *http.Request, path, saveAs string, allowed bool) {
		_, _ = fmt.Fprint(w, path, " ", saveAs, " ", allowed)
	}
	for arguments, want := range map[string]string{
		at:                    "/srv/a.mp4 x.mp4 false",
		at + "&" + rightKey:   "/srv/a.mp4 x.mp4 true",
		at + "&secret=":       "/srv/a.mp4 x.mp4 false",
		"file_path=..&a=/srv": "..  false",
	} {
		if code, body := call(arguments); code != http.StatusOK || body != want {
			t.Errorf("%s: %d %s, want %s", arguments, code, body, want)
		}
	}
	if _, body := call(at + "&secret=wrong"); !strings.Contains(body, `"code": -100`) {
		t.Errorf("a wrong secret: %s", body)
	}
	if _, body := call("save_name=x"); !strings.Contains(body, `"code": -300`) {
		t.Errorf("without a path: %s", body)
	}
	if !r.Sends("/index/API/downloadFile") || r.Sends("/index/api/version") || r.Sends("/x") {
		t.Error("which answers are files")
	}
}
