package rtmp

import (
	"errors"

	"github.com/vigil-media/vigil/internal/hub"
)

// status is what an onStatus command tells (ActionScript's NetStream status codes).
type status struct {
	code, level, description string
}

const (
	levelStatus = "status"
	levelError  = "error"
)

// publishRefusal maps an error of the hub to the answer to publish, and to the last word to a publisher that lost its key.
func publishRefusal(err error) status {
	s := status{"NetStream.Publish.Failed", levelError, err.Error()}
	switch {
	case errors.Is(err, hub.ErrBusy):
		s.code, s.description = "NetStream.Publish.BadName", "Already publishing."
	case errors.Is(err, hub.ErrBadName), errors.Is(err, hub.ErrReplaced):
		s.code = "NetStream.Publish.BadName"
	case errors.Is(err, hub.ErrDenied):
		s.code = "NetStream.Publish.BadAuth"
	}
	return s
}

// playRefusal maps an error of the hub to the answer to play.
func playRefusal(err error) status {
	s := status{"NetStream.Play.Failed", levelError, err.Error()}
	switch {
	case errors.Is(err, hub.ErrNotFound), errors.Is(err, hub.ErrNoTracks), errors.Is(err, hub.ErrBadName),
		errors.Is(err, hub.ErrUnpublished):
		s.code = "NetStream.Play.StreamNotFound"
	case errors.Is(err, hub.ErrDenied):
		s.code = "NetStream.Play.BadAuth"
	}
	return s
}
