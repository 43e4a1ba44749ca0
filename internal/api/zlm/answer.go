package zlm

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// code is the result of a call.
type code int

// The codes.
const (
	codeSuccess   code = 0
	codeFailed    code = -1   // it could not be done
	codeAuth      code = -100 // the address may not call, or the secret is missing or wrong
	codeArguments code = -300
	codeException code = -400
	codeNotFound  code = -500
)

const (
	typeJSON = "application/json; charset=utf-8"
	typeText = "text/plain; charset=utf-8"
)

// fields are what stands in an answer beside its code, at its top.
type fields map[string]any

// plain is a body that is text.
type plain string

// ready is a body that has been encoded: JSON.
type ready []byte

// reply is the answer to a call.
type reply struct {
	status  int // of HTTP; 0: 200, as nearly always, whatever the code
	body    any // plain, ready, or what is encoded
	cookies []*http.Cookie
	send    func(w http.ResponseWriter, r *http.Request) // writes the answer instead
}

// ok is a success. more may be nil.
func ok(more fields) reply { return with(codeSuccess, "", more) }

// failed is a failure.
func failed(c code, msg string) reply { return with(c, msg, nil) }

// with is an answer with all of it.
func with(c code, msg string, more fields) reply {
	if more == nil {
		more = fields{}
	}
	more["code"] = c
	if msg != "" {
		more["msg"] = msg
	}
	return reply{body: more}
}

// data is a success with data.
func data(of any) reply { return ok(fields{"data": of}) }

// as is the answer with another status of HTTP.
func (a reply) as(status int) reply {
	a.status = status
	return a
}

// encoded is the answer with its body as it is written.
func (a reply) encoded() reply {
	switch a.body.(type) {
	case plain, ready, nil:
		return a
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(a.body); err != nil {
		panic(err) // it is made of what can be encoded: a fault of the program, which is answered as such
	}
	a.body = ready(b.Bytes())
	return a
}

// write writes an answer. A failure does not close the connection, as the original does: it is answered in full, and costs as much as any
// other; a client that makes mistakes would only cost the server handshakes.
func (a *API) write(w http.ResponseWriter, r *http.Request, out reply) {
	for _, c := range out.cookies {
		http.SetCookie(w, c)
	}
	if out.send != nil {
		out.send(w, r)
		return
	}
	out = out.encoded()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	var text []byte
	switch body := out.body.(type) {
	case plain:
		h.Set("Content-Type", typeText)
		text = []byte(body)
	case ready:
		h.Set("Content-Type", typeJSON)
		text = body
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if out.status == 0 {
		out.status = http.StatusOK
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(text) // the peer may be gone
}

// enumerate is a success whose data is a list of n objects, each of which add appends to a text. There is no data if there are none. It is
// for lists that may be long: a line for each object.
func enumerate(n int, size int, add func(b []byte, i int) []byte) reply {
	if n == 0 {
		return ok(nil)
	}
	b := make([]byte, 0, n*size+64) //nolint:mnd // what stands around them
	b = append(b, "{\n\t\"code\": 0,\n\t\"data\": ["...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = add(append(b, "\n\t\t"...), i)
	}
	return reply{body: ready(append(b, "\n\t]\n}\n"...))}
}
