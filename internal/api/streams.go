package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vigil-media/vigil/internal/hub"
)

// commandTime is how long a command waits for what it has ended to be gone.
const commandTime = time.Second

// streamArgs name a stream. They are held to the grammar of keys, and to nothing else.
type streamArgs struct {
	App  string `path:"app" doc:"First level of the stream's key" example:"live"`
	Name string `path:"name" doc:"The rest of the key, which may have slashes, written as they are or as %2F" example:"cam1"`
}

// streams adds the operations on streams.
func (a *API) streams(h huma.API) {
	huma.Register(h, operation("list-streams", http.MethodGet, streamsPath, tagStreams, "All streams, with tracks, rates and sessions", http.StatusBadRequest),
		func(_ context.Context, in *struct {
			Brief bool `query:"brief" doc:"Only the sums: streams and waiting are empty, which makes the answer small however many there are"`
		},
		) (*answer[streamList], error) {
			if in.Brief {
				return &answer[streamList]{a.sums()}, nil
			}
			return &answer[streamList]{list(a.opt.Snapshot())}, nil
		})
	get := operation("get-stream", http.MethodGet, streamPath, tagStreams, "One stream", http.StatusBadRequest, http.StatusNotFound)
	get.SkipValidateParams = true
	huma.Register(h, get, a.stream)
	end := operation("end-stream", http.MethodDelete, streamPath, tagStreams, "End a stream",
		http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable)
	end.Description = "Ends publisher, standby and viewers, and waits up to a second until they are gone. 503: they were told to go, and have not gone yet."
	end.SkipValidateParams = true
	huma.Register(h, end, a.endStream)
}

func (a *API) stream(_ context.Context, in *streamArgs) (*answer[streamView], error) {
	key, err := in.key()
	if err != nil {
		return nil, err
	}
	info, at, ok := a.opt.Control.Stream(key)
	if !ok {
		return nil, failed(http.StatusNotFound, hub.Reason(hub.ErrNotFound), "no such stream: "+key.String())
	}
	return &answer[streamView]{describe(&info, at)}, nil
}

func (a *API) endStream(ctx context.Context, in *streamArgs) (*answer[done], error) {
	key, err := in.key()
	if err != nil {
		return nil, err
	}
	return command(ctx, "stream "+key.String(), func(ctx context.Context) error { return a.opt.Control.EndStream(ctx, key, true) })
}

// key is the key that is named.
func (in *streamArgs) key() (hub.Key, error) { return parseKey(in.App + "/" + in.Name) }

// parseKey reads a key; the error is for the caller of the API.
func parseKey(text string) (hub.Key, error) {
	key, err := hub.ParseKey(text)
	if err != nil {
		return key, failed(http.StatusBadRequest, hub.Reason(err), err.Error())
	}
	return key, nil
}

// command ends something and answers whether it is gone: 404 if it was not there, 503 if it takes longer.
func command(ctx context.Context, what string, end func(ctx context.Context) error) (*answer[done], error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	switch err := end(ctx); {
	case err == nil:
		return &answer[done]{done{"ended"}}, nil
	case errors.Is(err, hub.ErrNotFound):
		return nil, failed(http.StatusNotFound, hub.Reason(err), "no such "+what)
	default:
		return nil, slow("slow", what+" was told to end: "+err.Error())
	}
}
