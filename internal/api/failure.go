package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// failure is the body of an error.
type failure struct {
	Code     int       `json:"code" doc:"HTTP status"`
	Word     string    `json:"error" doc:"A stable word for programs" example:"not-found"`
	Message  string    `json:"message" doc:"What is wrong, for people"`
	Problems []problem `json:"problems,omitempty" nullable:"false" doc:"All that is wrong with the arguments, where they are to blame"`

	retry bool // it may work in a second
}

// problem is one thing that is wrong with the arguments of a request.
type problem struct {
	Key     string `json:"key" doc:"Dotted key of a setting, or where the argument is: query.lines, body"`
	Message string `json:"message" doc:"What is wrong with it"`
	At      string `json:"at,omitempty" doc:"Where the setting is written that is to blame, if it is not in the request" example:"vigil.yaml:7:3"`
}

// Error implements error.
func (f *failure) Error() string { return f.Message }

// GetStatus implements huma.StatusError.
func (f *failure) GetStatus() int { return f.Code }

// GetHeaders implements huma.HeadersError.
func (f *failure) GetHeaders() http.Header {
	if !f.retry {
		return nil
	}
	return http.Header{"Retry-After": {"1"}}
}

// failed returns an error for an operation to return.
func failed(status int, word, message string) *failure {
	return &failure{Code: status, Word: word, Message: message}
}

// slow is the failure of something that may yet come about.
func slow(word, message string) *failure {
	return &failure{Code: http.StatusServiceUnavailable, Word: word, Message: message, retry: true}
}

// useFailures makes the errors that huma finds by itself look as ours do.
var useFailures = sync.OnceFunc(func() { huma.NewError = newFailure }) //nolint:gochecknoglobals // huma has one for the process, too

// newFailure implements huma.NewError. What was sent is not repeated in the answer: it may be a secret.
func newFailure(status int, message string, causes ...error) huma.StatusError {
	f := &failure{Code: status, Message: message}
	if status == http.StatusUnprocessableEntity {
		f.Code = http.StatusBadRequest
	}
	for _, cause := range causes {
		if cause == nil {
			continue
		}
		if _, large := errors.AsType[*http.MaxBytesError](cause); large {
			return failed(http.StatusRequestEntityTooLarge, wordOf(http.StatusRequestEntityTooLarge), "the body is too large")
		}
		p := problem{Message: cause.Error()}
		var d huma.ErrorDetailer
		if errors.As(cause, &d) {
			p = problem{Key: d.ErrorDetail().Location, Message: d.ErrorDetail().Message}
		}
		f.Problems = append(f.Problems, p)
	}
	if f.Code >= http.StatusInternalServerError {
		f.Problems = nil // it is not the arguments
	}
	f.Word = wordOf(f.Code)
	f.Message = summary(message, f.Problems)
	return f
}

// summary is a message with the first problem.
func summary(message string, ps []problem) string {
	if len(ps) == 0 {
		return message
	}
	text := message + ": " + ps[0].Message
	if ps[0].Key != "" {
		text = message + ": " + ps[0].Key + ": " + ps[0].Message
	}
	return text
}

// wordOf is the word for a status, as far as nothing more is known.
func wordOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "bad-request"
	case http.StatusInternalServerError:
		return "internal"
	}
	return cmp.Or(strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "-"), "failed")
}

func writeError(w http.ResponseWriter, status int, word, message string) {
	write(w, status, failed(status, word, message))
}

// write answers with a body, without huma.
func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = encode(w, body) // what is written here can be encoded
}

// encode writes a body as all answers are written. The error is of one that cannot be encoded, and not of a peer that has gone.
func encode(w io.Writer, body any) error {
	enc := json.NewEncoder(deaf{w})
	enc.SetIndent("", "  ")
	return enc.Encode(body)
}

// deaf writes to a peer that may be gone.
type deaf struct{ io.Writer }

// Write implements io.Writer.
func (d deaf) Write(p []byte) (int, error) {
	_, _ = d.Writer.Write(p)
	return len(p), nil
}

// NotFound answers paths that nothing serves.
func NotFound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "not-found", "nothing is served at "+r.URL.Path)
	})
}
