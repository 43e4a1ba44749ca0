package rtsp

import (
	"errors"
	"net/http"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/container/rtp"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// Why a session ends by itself.
var (
	errPeer     = protocol.ErrPeer
	errMemory   = protocol.ErrMemory
	errSetup    = errors.New("no RECORD or PLAY in time")
	errTeardown = errors.New("the peer ended it (TEARDOWN)")
	errRefused  = errors.New("refused")
	errRounds   = errors.New("too many beginnings without media")
	errBroken   = errors.New("the session broke") // only seen when it panics

	errHandedOver = errors.New("handed over") // not an end: the connection is no longer the session's
)

// absent is why a viewer is ended that has not been heard of for too long.
var errAbsent error = &absent{}

type absent struct{}

// Error implements error.
func (*absent) Error() string { return "the viewer has said nothing for too long" }

// Reason is the word for metrics and the API.
func (*absent) Reason() string { return "absent" }

// status maps an error of the hub, or of this room, to the status code of an answer. Where it says "not acceptable" is what peers
// know for a name that is taken.
func status(err error) base.StatusCode {
	switch {
	case errors.Is(err, hub.ErrNotFound), errors.Is(err, hub.ErrNoTracks), errors.Is(err, hub.ErrUnpublished):
		return base.StatusNotFound
	case errors.Is(err, hub.ErrKicked):
		return base.StatusGone
	case errors.Is(err, hub.ErrDenied):
		return base.StatusForbidden
	case errors.Is(err, hub.ErrBusy):
		return base.StatusNotAcceptable
	case errors.Is(err, hub.ErrBadName), errors.Is(err, wire.ErrURL):
		return base.StatusBadRequest
	case errors.Is(err, hub.ErrLimit):
		return base.StatusNotEnoughBandwidth
	case errors.Is(err, rtp.ErrTracks), errors.Is(err, rtp.ErrNoMedia), errors.Is(err, errNoMedia), errors.Is(err, hub.ErrUncarried):
		return base.StatusUnsupportedMediaType
	case errors.Is(err, errDescription):
		return base.StatusBadRequest
	}
	if protocol.HTTPStatus(err) == http.StatusServiceUnavailable {
		return base.StatusServiceUnavailable
	}
	return base.StatusInternalServerError
}

// errDescription means that a description cannot be understood.
var errDescription = errors.New("bad description")

// errNoMedia means that nothing of a description can be carried.
var errNoMedia = errors.New("nothing that can be carried")
