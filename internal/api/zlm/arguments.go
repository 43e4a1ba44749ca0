package zlm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of a body.
const (
	bodyMost = 40960           // bytes, as the original's http.maxReqSize
	bodyTime = 2 * time.Second // for it to come
)

// kind is where an endpoint's arguments are.
type kind uint8

const (
	kindMap  kind = iota // a form or JSON, then the query, which overrides it, then headers
	kindJSON             // the same, and a form is none
	kindText             // the body is something else: the query, then headers
)

// argument is one of a call.
type argument struct{ name, value string }

// arguments are those of a call, by name in letters of any case. Of those with the same name, the last counts.
type arguments struct {
	all    []argument     // in order
	at     map[string]int // by name, in small letters
	header http.Header
}

func (a *arguments) set(name, value string) {
	lower := strings.ToLower(name)
	if i, known := a.at[lower]; known {
		a.all[i] = argument{name, value}
		return
	}
	a.at[lower] = len(a.all)
	a.all = append(a.all, argument{name, value})
}

// text is an argument; "": there is none.
func (a *arguments) text(name string) string {
	if i, known := a.at[strings.ToLower(name)]; known && a.all[i].value != "" {
		return a.all[i].value
	}
	return a.header.Get(name)
}

// number is an argument that is a whole number; what is none is 0.
func (a *arguments) number(name string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(a.text(name)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// flag is an argument that is a yes or a no: "true", or a number that is not 0, is a yes.
func (a *arguments) flag(name string) bool {
	text := strings.TrimSpace(a.text(name))
	n, err := strconv.ParseFloat(text, 64)
	return strings.EqualFold(text, "true") || err == nil && n != 0
}

// lacks is the refusal of a call without all that is required; nil: it has all. What is empty is not there.
func (a *arguments) lacks(required []string) *reply {
	lacking := false
	for _, name := range required {
		lacking = lacking || a.text(name) == ""
	}
	if !lacking {
		return nil
	}
	out := failed(codeArguments, `Required parameter missed: "`+strings.Join(required, `","`)+`"`)
	return &out
}

// read reads the arguments of a request, or refuses it.
func (a *API) read(w http.ResponseWriter, r *http.Request, k kind) (arguments, *reply) {
	args := arguments{at: map[string]int{}, header: r.Header}
	isJSON := strings.Contains(strings.ToLower(r.Header.Get("Content-Type")), "application/json")
	if k == kindJSON && !isJSON {
		out := failed(codeArguments, "this call takes JSON only: the Content-Type is to be application/json")
		return args, &out
	}
	body, refusal := readBody(w, r)
	if refusal != nil {
		return args, refusal
	}
	if k != kindText {
		if err := args.body(r.Header.Get("Content-Type"), body, k, a.opt.Log); err != nil {
			out := failed(codeArguments, "the body is no JSON object: "+err.Error())
			return args, &out
		}
	}
	args.form(r.URL.RawQuery)
	return args, nil
}

// readBody reads the body of a request, of any announced length or none. One that is too large is not read on.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *reply) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	var body []byte
	var err error
	if r.ContentLength > bodyMost {
		err = &http.MaxBytesError{Limit: bodyMost}
	} else {
		control := http.NewResponseController(w)
		// Where that is not possible, somebody before us has read the body.
		_ = control.SetReadDeadline(time.Now().Add(bodyTime))
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMost))
		if err == nil {
			_ = control.SetReadDeadline(time.Time{})
			return body, nil
		}
	}
	w.Header().Set("Connection", "close") // what is left of the body is of no use to anybody
	out := failed(codeArguments, "the body of the request did not come: it has "+bodyTime.String()).as(http.StatusRequestTimeout)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		out = failed(codeArguments, "the body of the request is too large: at most "+strconv.Itoa(bodyMost)+" bytes").
			as(http.StatusRequestEntityTooLarge)
	}
	return nil, &out
}

// leaveBody gives up a body that is not looked at. Without a deadline the HTTP server would wait for it.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // as in readBody
		w.Header().Set("Connection", "close")
	}
}

// body adds the arguments of a body. One of another type is not looked at.
func (a *arguments) body(contentType string, body []byte, k kind, log *slog.Logger) error {
	contentType = strings.ToLower(strings.TrimSpace(contentType))
	switch {
	case len(body) == 0:
	case k == kindJSON, strings.HasPrefix(contentType, "application/json"):
		return a.object(body, k, log)
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		a.form(string(body))
	case contentType != "":
		log.Debug("the body of a call is not looked at", "content_type", clip(contentType))
	}
	return nil
}

// form adds the arguments of a form or a query. What is badly escaped stands for itself.
func (a *arguments) form(text string) {
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		a.set(unescape(name), unescape(value))
	}
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// errTrailing is of a body that goes on behind its object.
var errTrailing = errors.New("something follows it")

// errObject is of a body that is other JSON.
var errObject = errors.New("it is something else")

// object adds the members of a JSON object. Of the kind of endpoints whose arguments have no depth, a member that has some is skipped, and only
// that one; of the other it stands for itself, as JSON.
func (a *arguments) object(body []byte, k kind, log *slog.Logger) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil {
		return err
	} else if start != json.Delim('{') {
		return errObject
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // of an object, it is one
		var value json.RawMessage
		if err = dec.Decode(&value); err != nil {
			return err
		}
		text, flat := scalar(value)
		if !flat && k != kindJSON {
			log.Debug("an argument has a depth and is skipped", "name", clip(name))
			continue
		}
		a.set(name, text)
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// scalar is a JSON value as text, and whether it is none that has a depth.
func scalar(value json.RawMessage) (text string, flat bool) {
	switch value[0] {
	case '{', '[':
		return string(value), false
	case 'n':
		return "", true
	case '"':
		if json.Unmarshal(value, &text) != nil {
			return "", true
		}
		return text, true
	}
	return string(value), true
}

// clip shortens hostile text that is shown.
func clip(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
