package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-media/vigil/internal/api"
)

const documentFile = "testdata/openapi.json"

// document is what GET /api/v1/openapi.json answers.
func document(t *testing.T) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	api.New(api.Options{Events: api.NewEvents()}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/openapi.json", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	return w.Body.Bytes()
}

// TestDocumentIsKept: what programs rely on does not change unnoticed.
func TestDocumentIsKept(t *testing.T) {
	got := document(t)
	if *update {
		if err := os.WriteFile(documentFile, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the API is not as %s says. Run make golden PKG=./internal/api, and look at what has changed: within v1 nothing may be "+
			"taken away", documentFile)
	}
}

type object = map[string]any

// TestDocumentIsSound: it is OpenAPI 3.1, what it refers to is there, and everything is explained.
func TestDocumentIsSound(t *testing.T) {
	var doc object
	if err := json.Unmarshal(document(t), &doc); err != nil {
		t.Fatal(err)
	}
	if version, _ := doc["openapi"].(string); !strings.HasPrefix(version, "3.1.") {
		t.Errorf("version %q", version)
	}
	for _, key := range []string{"info", "paths", "components", "security", "tags"} {
		if doc[key] == nil {
			t.Errorf("no %s", key)
		}
	}
	follow(t, doc, doc, "#")
	ids := map[string]bool{}
	for path, item := range doc["paths"].(object) {
		for method, op := range item.(object) {
			checkOperation(t, doc, method+" "+path, path, op.(object), ids)
		}
	}
	for name, schema := range doc["components"].(object)["schemas"].(object) {
		for field, property := range schema.(object)["properties"].(object) {
			if text, _ := property.(object)["description"].(string); text == "" {
				t.Errorf("%s.%s is not explained", name, field)
			}
		}
	}
}

// checkOperation holds one operation against what each must say.
func checkOperation(t *testing.T, doc object, name, path string, op object, ids map[string]bool) {
	t.Helper()
	id, _ := op["operationId"].(string)
	if id == "" || ids[id] {
		t.Errorf("%s: id %q", name, id)
	}
	ids[id] = true
	if op["summary"] == nil {
		t.Errorf("%s: no summary", name)
	}
	tags, _ := op["tags"].([]any)
	for _, tag := range tags {
		if !slices.ContainsFunc(doc["tags"].([]any), func(known any) bool { return known.(object)["name"] == tag }) {
			t.Errorf("%s: tag %v is not explained", name, tag)
		}
	}
	if len(tags) != 1 {
		t.Errorf("%s: tags %v", name, tags)
	}
	responses := op["responses"].(object)
	for _, status := range []string{"200", "401", "500"} {
		if responses[status] == nil {
			t.Errorf("%s: says nothing of %s", name, status)
		}
	}
	if responses["422"] != nil || responses["default"] != nil {
		t.Errorf("%s: %v", name, responses)
	}
	for status, r := range responses {
		if status != "200" && !strings.Contains(dump(r), `"#/components/schemas/Failure"`) {
			t.Errorf("%s: %s has another body than a Failure: %s", name, status, dump(r))
		}
	}
	named := map[string]bool{}
	params, _ := op["parameters"].([]any)
	for _, p := range params {
		p := p.(object)
		if p["description"] == nil {
			t.Errorf("%s: parameter %v is not explained", name, p["name"])
		}
		if p["in"] == "path" {
			named[p["name"].(string)] = true
		}
	}
	for _, part := range strings.Split(path, "{")[1:] {
		if parameter, _, _ := strings.Cut(part, "}"); !named[parameter] {
			t.Errorf("%s: path parameter %s is not described", name, parameter)
		}
	}
}

func dump(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// follow finds what every $ref refers to.
func follow(t *testing.T, doc object, at any, where string) {
	t.Helper()
	switch at := at.(type) {
	case object:
		if ref, ok := at["$ref"].(string); ok {
			if !leads(doc, ref) {
				t.Errorf("%s: nothing is at %s", where, ref)
			}
		}
		for key, value := range at {
			if strings.HasPrefix(key, "$") && key != "$ref" {
				t.Errorf("%s: %s", where, key)
			}
			follow(t, doc, value, where+"/"+key)
		}
	case []any:
		for _, value := range at {
			follow(t, doc, value, where)
		}
	case string:
		if strings.Contains(at, "://") {
			t.Errorf("%s names a host: %s", where, at)
		}
	}
}

// leads says whether there is something at a reference.
func leads(doc object, ref string) bool {
	path, ok := strings.CutPrefix(ref, "#/")
	var at any = doc
	for part := range strings.SplitSeq(path, "/") {
		in, isObject := at.(object)
		if !isObject || in[part] == nil {
			return false
		}
		at = in[part]
	}
	return ok
}

// TestNothingElseIsServed: there are no pages about the API, and no other descriptions.
func TestNothingElseIsServed(t *testing.T) {
	a := api.New(api.Options{Events: api.NewEvents()})
	for _, path := range []string{
		"/docs", "/openapi.json", "/openapi.yaml", "/schemas/Failure.json", "/api/v1/openapi.yaml", "/api/v1/docs", "/api/v1/", "/api/", "/",
	} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
