package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// The groups of operations.
const (
	tagStreams  = "streams"
	tagSessions = "sessions"
	tagSettings = "settings"
	tagServer   = "server"
	tagWatch    = "watch"
	tagEvents   = "events"
)

const about = "The native API of Vigil. Every path needs the secret. Names of streams may have slashes, written as they are or as %2F. " +
	"Fields and paths are added now and then: ignore what you do not know. Nothing is taken away or changes its meaning within v1."

// describedBy returns huma on a mux, and a description of the API with nothing in it yet. It serves no pages, and its answers name no hosts.
func describedBy(mux humago.Mux) huma.API {
	useFailures()
	c := huma.DefaultConfig("Vigil", "1")
	c.CreateHooks, c.SchemasPath, c.DocsPath, c.OpenAPIPath = nil, "", "", ""
	c.AllowAdditionalPropertiesByDefault = true
	format := huma.Format{Marshal: encode, Unmarshal: json.Unmarshal}
	c.Formats = map[string]huma.Format{"application/json": format}
	c.Info.Description = about
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "Authorization: Bearer SECRET, the setting api.secret"},
		"query":  {Type: "apiKey", In: "query", Name: "secret", Description: "For those who cannot set headers"},
	}
	c.Security = []map[string][]string{{"bearer": {}}, {"query": {}}}
	c.Tags = []*huma.Tag{
		{Name: tagStreams, Description: "What is being published, and who is there"},
		{Name: tagSessions, Description: "Publishers and viewers, one by one"},
		{Name: tagSettings, Description: "The configuration as it holds"},
		{Name: tagServer, Description: "What this server is, and how it is"},
		{Name: tagWatch, Description: "How the server watches itself, and evidence"},
		{Name: tagEvents, Description: "What happens, as it happens"},
	}
	c.OnAddOperation = []huma.AddOpFunc{func(_ *huma.OpenAPI, op *huma.Operation) {
		delete(op.Responses, "422") // bad arguments are answered with 400
	}}
	return humago.New(mux, c)
}

// describe makes the description, and serves it. It comes last: it does not change any more.
func (a *API) describe(h huma.API) {
	op := operation("get-openapi", http.MethodGet, documentPath, tagServer, "This document, OpenAPI 3.1")
	op.Responses = map[string]*huma.Response{"200": {
		Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}},
	}}
	raw(h, &op, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(a.document) // the peer may be gone
	})
	text, err := json.Marshal(h.OpenAPI())
	if err != nil {
		panic(err) // the types here cannot be described: no test would have passed
	}
	var b bytes.Buffer
	_ = json.Indent(&b, text, "", "  ") // it was made a line ago
	a.document = append(b.Bytes(), '\n')
}

// raw adds an operation that huma only describes: what it answers with is not JSON of a type.
func raw(h huma.API, op *huma.Operation, serve http.HandlerFunc) {
	schema := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[failure](), true, "")
	for _, status := range append(op.Errors, http.StatusInternalServerError) {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Content: map[string]*huma.MediaType{"application/json": {Schema: schema}},
		}
	}
	h.OpenAPI().AddOperation(op)
	h.Adapter().Handle(op, func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		serve(w, r)
	})
}
