package zlm

import (
	"context"
	"slices"
	"strings"
)

// The paths of the API begin with prefix; the list of them is at root too.
const (
	root   = "/index/"
	prefix = "/index/api/"
)

// endpoint is a line of the table.
type endpoint struct {
	path     string // below prefix
	kind     kind
	required []string // arguments, which are not empty
	open     bool     // the secret is not asked for here
	sends    bool     // the answer is a file
	do       func(ctx context.Context, c *call) reply
}

// need lists required arguments.
func need(names string) []string { return strings.Fields(names) }

// Arguments that many need.
const (
	stream3 = "vhost app stream"
	source4 = "schema vhost app stream"
)

// table is what works. What is to come is in later.
func (a *API) table() []endpoint {
	return []endpoint{
		{path: "getApiList", do: a.listEndpoints},
		{path: "version", do: a.version},
		{path: "getThreadsLoad", do: a.shards},
		{path: "getWorkThreadsLoad", do: a.workers},
		{path: "getStatistic", do: a.statistic},
		{path: "getServerConfig", do: a.readConfig},
		{path: "setServerConfig", do: a.writeConfig},
		{path: "restartServer", do: a.restart},
		{path: "login", required: need("digest"), open: true, do: a.login},
		{path: "logout", open: true, do: a.logout},

		{path: "getMediaList", do: a.listMedia},
		{path: "isMediaOnline", required: need(source4), do: a.isOnline},
		{path: "getMediaInfo", required: need(source4), do: a.mediaInfo},
		{path: "getMediaPlayerList", required: need(source4), do: a.players},
		{path: "close_stream", required: need(source4), do: a.closeStream},
		{path: "close_streams", do: a.closeStreams},
		{path: "broadcastMessage", required: need(source4 + " msg"), do: a.broadcast},
		{path: "addProbe", required: need(stream3 + " probe_ms"), do: a.probe},

		{path: "getAllSession", do: a.listSessions},
		{path: "kick_session", required: need("id"), do: a.kick},
		{path: "kick_sessions", do: a.kickAll},

		{path: "downloadFile", required: need("file_path"), open: true, sends: true, do: a.download}, // which asks for the secret itself
	}
}

// index returns the table by path, in small letters, and the sorted paths as they are written.
func (a *API) index() (by map[string]*endpoint, names []string) {
	by, names = map[string]*endpoint{}, []string{root}
	for _, e := range slices.Concat(a.table(), a.later()) {
		name := prefix + e.path
		by[strings.ToLower(name)] = &e
		names = append(names, name)
	}
	by[root] = by[strings.ToLower(prefix+"getApiList")]
	slices.SortFunc(names, func(x, y string) int { return strings.Compare(strings.ToLower(x), strings.ToLower(y)) })
	return by, names
}

// pathMost is longer than every path.
const pathMost = 64

// endpoint is what a path names; nil: nothing.
func (a *API) endpoint(path string) *endpoint {
	if len(path) > pathMost {
		return nil
	}
	return a.endpoints[strings.ToLower(path)]
}

func (a *API) listEndpoints(context.Context, *call) reply { return data(a.names) }
