package protocol

import (
	"errors"
	"net/http"

	"github.com/vigil-media/vigil/internal/hub"
)

// HTTPStatus is the HTTP status for an error of the hub: rooms that speak HTTP share it.
func HTTPStatus(err error) int {
	switch {
	case errors.Is(err, hub.ErrNotFound), errors.Is(err, hub.ErrNoTracks), errors.Is(err, hub.ErrUnpublished):
		return http.StatusNotFound
	case errors.Is(err, hub.ErrUncarried):
		return http.StatusUnsupportedMediaType
	case errors.Is(err, hub.ErrDenied):
		return http.StatusForbidden
	case errors.Is(err, hub.ErrBusy):
		return http.StatusConflict
	case errors.Is(err, hub.ErrBadName):
		return http.StatusBadRequest
	case errors.Is(err, hub.ErrLimit), errors.Is(err, hub.ErrClosing), errors.Is(err, hub.ErrOverload),
		errors.Is(err, hub.ErrStuck), errors.Is(err, hub.ErrQuarantined), errors.Is(err, hub.ErrAuthorizer):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
