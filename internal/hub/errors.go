package hub

import (
	"context"
	"errors"

	"github.com/vigil-media/vigil/internal/stream"
)

// The kinds of errors that the hub answers with, and the causes with which it ends sessions.
var (
	ErrNotFound    = errors.New("no such stream")
	ErrBusy        = errors.New("already publishing")
	ErrDenied      = errors.New("denied")
	ErrNoTracks    = errors.New("the stream has no media yet")
	ErrUncarried   = errors.New("the protocol can carry nothing of the stream")
	ErrLimit       = errors.New("limit reached")
	ErrClosing     = errors.New("the server is shutting down")
	ErrReplaced    = errors.New("replaced by a newer publisher")
	ErrSilent      = errors.New("no media for too long")
	ErrUnpublished = errors.New("the publisher has gone")
	ErrUnwatched   = errors.New("nobody watches")
	ErrKicked      = errors.New("ended by the operator")
	ErrAuthorizer  = errors.New("authorisation failed")
	ErrStuck       = errors.New("stuck")
	ErrQuarantined = errors.New("in quarantine")
	ErrOverload    = errors.New("the server is short of memory")
)

// Reason is a short stable word for an error: for metrics labels and the API. An error that has a method Reason() string
// says it itself; others that the hub does not know are "peer": the peer went away, or broke its protocol.
func Reason(err error) string {
	if err == nil {
		return "done"
	}
	var named interface{ Reason() string }
	if errors.As(err, &named) {
		return named.Reason()
	}
	for _, r := range [...]struct {
		err  error
		word string
	}{
		{ErrNotFound, "not-found"},
		{ErrBusy, "busy"},
		{ErrDenied, "denied"},
		{ErrNoTracks, "no-media"},
		{ErrUncarried, "uncarried"},
		{ErrLimit, "limit"},
		{ErrClosing, "closing"},
		{ErrReplaced, "replaced"},
		{stream.ErrFenced, "fenced"},
		{ErrSilent, "silent"},
		{ErrAuthorizer, "authorizer"},
		{ErrUnwatched, "unwatched"},
		{ErrKicked, "kicked"},
		{ErrOverload, "overload"},
		{ErrStuck, "stuck"},
		{ErrQuarantined, "quarantined"},
		{ErrUnpublished, "unpublished"},
		{ErrBadName, "bad-name"},
		{stream.ErrTooSlow, "too-slow"},
		{stream.ErrNoKey, "no-key"},
		{stream.ErrUnstable, "unstable"},
		{stream.ErrMuxer, "muxer"},
		{context.Canceled, "cancelled"},
	} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "peer"
}
