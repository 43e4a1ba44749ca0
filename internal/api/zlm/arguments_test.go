package zlm

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	const form, object = "application/x-www-form-urlencoded", "application/json"
	for _, c := range []struct {
		what, query, contentType, body string
		kind                           kind
		want                           map[string]string // "": refused
	}{
		{"a query", "a=1&B=x%20y+z&c&d=&=e&&f==", "", "", kindMap, map[string]string{"a": "1", "b": "x y z", "c": "", "f": "="}},
		{"escapes that are none", "a=%zz&%=1&b=%41%4", "", "", kindMap, map[string]string{"a": "%zz", "%": "1", "b": "%41%4"}},
		{"the last counts", "a=1&A=2&a=3", "", "", kindMap, map[string]string{"a": "3"}},
		{"the query overrides", "a=query", form, "a=body&b=body", kindMap, map[string]string{"a": "query", "b": "body"}},
		{"a semicolon is text", "a=1;b=2", "", "", kindMap, map[string]string{"a": "1;b=2"}},
		{"with a charset", "", form + "; charset=utf-8", "a=%E4%BD%A0", kindMap, map[string]string{"a": "你"}},
		{"in capitals", "", "Application/X-WWW-Form-URLencoded", "a=1", kindMap, map[string]string{"a": "1"}},
		{"JSON", "", object, `{"a":1,"B":-2.5e3,"c":true,"d":null,"e":"\u00e9\"","f":""}`, kindMap, map[string]string{"a": "1", "b": "-2.5e3", "c": "true", "d": "", "e": `é"`}},
		{"only what is nested is skipped", "", object, `{"a":1,"b":{"c":[1]},"d":[],"e":2}`, kindMap, map[string]string{"a": "1", "b": "", "d": "", "e": "2"}},
		{"nested, where that is a value", "", object, `{"b": [ ["x"] ]}`, kindJSON, map[string]string{"b": `[ ["x"] ]`}},
		{"empty JSON", "a=1", object, ``, kindMap, map[string]string{"a": "1"}},
		{"an empty object", "", object, ` {} `, kindMap, map[string]string{"a": ""}},
		{"a list", "", object, `[1]`, kindMap, nil},
		{"a text", "", object, `"a"`, kindMap, nil},
		{"null", "", object, `null`, kindMap, nil},
		{"half an object", "", object, `{"a":1`, kindMap, nil},
		{"something behind", "", object, `{"a":1}{}`, kindMap, nil},
		{"no JSON", "", object, `a=1`, kindMap, nil},
		{"another type", "a=1", "text/xml", "b=2", kindMap, map[string]string{"a": "1", "b": ""}},
		{"no type", "a=1", "", "b=2", kindMap, map[string]string{"a": "1", "b": ""}},
		{"a body that is something else", "a=1", form, "b=2", kindText, map[string]string{"a": "1", "b": ""}},
		{"JSON for JSON", "", "text/json; application/json", `{"a":"1"}`, kindJSON, map[string]string{"a": "1"}},
		{"a form for JSON", "", form, "a=1", kindJSON, nil},
		{"nothing for JSON", "a=1", "", "", kindJSON, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?"+c.query, strings.NewReader(c.body))
			q.Header.Set("Content-Type", c.contentType)
			q.Header.Set("From", "the header")
			args, refusal := newRig(t).read(httptest.NewRecorder(), q, c.kind)
			if refusal != nil {
				got := httptest.NewRecorder()
				newRig(t).write(got, q, *refusal)
				if c.want != nil || *resultOf(t, got).Code != -300 {
					t.Fatalf("refused: %s", got.Body)
				}
				return
			}
			if c.want == nil {
				t.Fatalf("it is accepted: %q", args.all)
			}
			for name, want := range c.want {
				if got := args.text(strings.ToUpper(name)); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if got := args.text("from"); got != "the header" {
				t.Errorf("a header field is %q", got)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]struct {
		number int64
		flag   bool
	}{
		"": {0, false}, "0": {0, false}, "1": {1, true}, " 7 ": {7, true}, "-3": {-3, true}, "true": {0, true}, "TRUE": {0, true}, "false": {0, false},
		"yes": {0, false}, "x1": {0, false}, "0.5": {0, true}, "99999999999999999999": {0, true}, "0x10": {0, false}, "NaN": {0, true},
	} {
		a := arguments{at: map[string]int{}, header: http.Header{}}
		a.set("a", text)
		if text == "NaN" { // a number that is not 0, if one asks pedants
			continue
		}
		if got := a.number("a"); got != want.number {
			t.Errorf("%q is %d, want %d", text, got, want.number)
		}
		if got := a.flag("a"); got != want.flag {
			t.Errorf("%q is %v, want %v", text, got, want.flag)
		}
	}
}

func FuzzArguments(f *testing.F) {
	for _, seed := range []struct{ query, contentType, body string }{
		{"a=1&b=%20&c", "application/x-www-form-urlencoded", "a=%zz&&=&b=2"},
		{"", "application/json", `{"a":1,"b":[{}],"c":"\ud800","A":null}`},
		{"", "application/json", strings.Repeat(`{"a":`, 100)},
		{"", "application/json", `{"a":tru`},
		{strings.Repeat("a=1&", 100), "", ""},
	} {
		f.Add(seed.query, seed.contentType, seed.body)
	}
	quiet := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		if len(query)+len(body) > bodyMost {
			return
		}
		for _, k := range []kind{kindMap, kindJSON, kindText} {
			read := func() arguments {
				a := arguments{at: map[string]int{}, header: http.Header{}}
				if k != kindText && a.body(contentType, []byte(body), k, quiet) != nil {
					return a
				}
				a.form(query)
				return a
			}
			a, b := read(), read()
			size := 0
			for i, arg := range a.all {
				// An escape can only shrink; a bad byte of a JSON text becomes three.
				size += len(arg.name) + len(arg.value)
				if a.at[strings.ToLower(arg.name)] != i || b.all[i] != arg {
					t.Fatalf("%q is not found again, or is not the same each time", arg)
				}
				_, _ = a.number(arg.name), a.flag(arg.name)
			}
			if size > 3*(len(query)+len(body)) || len(a.all) > len(query)+len(body)+2 || !maps.Equal(a.at, b.at) {
				t.Fatalf("%d bytes of arguments of %d", size, len(query)+len(body))
			}
		}
	})
}
