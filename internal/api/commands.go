package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
)

// commandTime is how long a command waits for what it has ended to be gone.
const commandTime = time.Second

// done is the answer to a command.
type done struct {
	Status string `json:"status"` // "ended"
}

// commands adds what changes something to the API.
func commands(mux *http.ServeMux, h *hub.Hub) {
	mux.HandleFunc("DELETE /api/v1/sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		command(w, r, "session "+r.PathValue("id"), func(ctx context.Context) error { return h.Kick(ctx, r.PathValue("id")) })
	})
	mux.HandleFunc("DELETE /api/v1/streams/{app}/{name...}", func(w http.ResponseWriter, r *http.Request) {
		if key, ok := pathKey(w, r); ok {
			command(w, r, "stream "+key.String(), func(ctx context.Context) error { return h.End(ctx, key) })
		}
	})
}

// command ends something and answers whether it is gone: 200, 404 if it was not there, 503 if it takes longer.
func command(w http.ResponseWriter, r *http.Request, what string, end func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(r.Context(), commandTime)
	defer cancel()
	switch err := end(ctx); {
	case err == nil:
		write(w, http.StatusOK, done{"ended"})
	case errors.Is(err, hub.ErrNotFound):
		writeError(w, http.StatusNotFound, hub.Reason(err), "no such "+what)
	default:
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusServiceUnavailable, "slow", what+" was told to end: "+err.Error())
	}
}

// pathKey reads the key that a path names; if there is none, it answers.
func pathKey(w http.ResponseWriter, r *http.Request) (hub.Key, bool) {
	key, err := hub.ParseKey(r.PathValue("app") + "/" + r.PathValue("name"))
	if err != nil {
		writeError(w, http.StatusBadRequest, hub.Reason(err), err.Error())
	}
	return key, err == nil
}
