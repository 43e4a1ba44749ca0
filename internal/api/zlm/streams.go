package zlm

import (
	"context"
	"errors"
	"slices"

	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
	words "github.com/vigil-media/vigil/internal/zlm"
)

// Messages that clients compare.
const (
	noStream = "can not find the stream"
	noSource = "can not find the source stream"
	noTarget = "can not find the target"
)

// filter is which sources are meant. What is "" is of no account.
type filter struct {
	control.Selection
	schema words.Schema
}

func (c *call) filter() filter {
	return filter{control.Selection{VHost: c.text("vhost"), App: c.text("app"), Name: c.text("stream")}, words.Schema(c.text("schema"))}
}

// exact says whether no more than one stream can be meant.
func (f *filter) exact() bool { return f.VHost != "" && f.App != "" && f.Name != "" }

func (c *call) key() hub.Key {
	return hub.Key{VHost: c.text("vhost"), App: c.text("app"), Name: c.text("stream")}
}

// serves says whether a stream has a source of a schema; "": of any.
func serves(info *hub.StreamInfo, schema words.Schema) bool {
	return schema == "" || slices.Contains(words.ServedAs(info.Terms), schema)
}

// find returns the source that a call names, or nil.
func (a *API) find(c *call) (*words.Source, *hub.StreamInfo) {
	info, at, there := a.opt.Control.Stream(c.key())
	if !there || !info.Ready {
		return nil, nil
	}
	for _, s := range words.Sources(&info, at) {
		if string(s.Schema) == c.text("schema") {
			return &s, &info
		}
	}
	return nil, nil
}

// has says whether the stream that a call names is there, by any schema.
func (a *API) has(c *call) bool {
	info, _, there := a.opt.Control.Stream(c.key())
	return there && info.Ready
}

func (a *API) isOnline(_ context.Context, c *call) reply {
	s, _ := a.find(c)
	return ok(fields{"online": s != nil})
}

// mediaInfo answers a source at the top of the answer.
func (a *API) mediaInfo(_ context.Context, c *call) reply {
	s, _ := a.find(c)
	if s == nil {
		return failed(codeNotFound, noStream)
	}
	return reply{body: struct {
		Code code `json:"code"`
		*words.Source
	}{codeSuccess, s}}
}

// players answers who watches a source.
func (a *API) players(_ context.Context, c *call) reply {
	s, info := a.find(c)
	if s == nil {
		return failed(codeNotFound, noStream)
	}
	out := []player{}
	for i := range info.Viewers {
		if v := &info.Viewers[i]; words.SchemaOf(v.Protocol) == s.Schema {
			out = append(out, player{words.SocketOf(v), typeOf(v)})
		}
	}
	if len(out) == 0 {
		return data(out) // here, an empty list is one
	}
	return enumerate(len(out), sessionSize, func(b []byte, i int) []byte {
		b = appendSocket(append(b, '{'), &out[i].Socket)
		return append(appendText(append(b, `,"typeid":`...), out[i].Type), '}')
	})
}

// player is one who watches.
type player struct {
	words.Socket
	Type string `json:"typeid"`
}

// closeStream ends a stream, whatever schema of it was named. It may be one that is no source yet.
func (a *API) closeStream(ctx context.Context, c *call) reply {
	info, _, there := a.opt.Control.Stream(c.key())
	if !there || !serves(&info, words.Schema(c.text("schema"))) {
		return failed(codeNotFound, noStream)
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	switch err := a.opt.Control.EndStream(ctx, c.key(), c.flag("force")); {
	case err == nil:
		return with(codeSuccess, "success", fields{"result": 0})
	case errors.Is(err, hub.ErrNotFound):
		return failed(codeNotFound, noStream)
	case errors.Is(err, control.ErrWatched):
		return with(codeFailed, "close failed: "+err.Error(), fields{"result": -1})
	default:
		return with(codeFailed, "close failed: it was told to end, and has not in time: "+err.Error(), fields{"result": -1})
	}
}

// closeStreams ends the streams that are meant. They are counted as the sources that they are.
func (a *API) closeStreams(ctx context.Context, c *call) reply {
	f, force := c.filter(), c.flag("force")
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	infos, _ := a.opt.Control.Streams(f.Selection)
	infos = slices.DeleteFunc(infos, func(i *hub.StreamInfo) bool { return !serves(i, f.schema) })
	sources := func(i *hub.StreamInfo) int {
		if f.schema != "" {
			return 1
		}
		return len(words.ServedAs(i.Terms))
	}
	hit, closed, told, late := 0, 0, 0, false
	for _, i := range infos {
		hit += sources(i)
	}
	if force { // All are told first, and then all are waited for: else each would have to wait for those before it.
		atOnce, end := context.WithCancel(ctx)
		end()
		for ; told < len(infos) && ctx.Err() == nil; told++ {
			_ = a.opt.Control.EndStream(atOnce, infos[told].Key, true) // that it has not ended yet is known
		}
	}
	for n, i := range infos {
		if n >= told && ctx.Err() != nil {
			late = true
			break
		}
		switch err := a.opt.Control.EndStream(ctx, i.Key, force); {
		case err == nil, errors.Is(err, hub.ErrNotFound):
			closed += sources(i)
		case !errors.Is(err, control.ErrWatched):
			late = true
		}
	}
	msg := ""
	if late {
		msg = "some have not ended in time"
	}
	return with(codeSuccess, msg, fields{"count_hit": hit, "count_closed": closed})
}

// broadcast would send a text to those who watch by WebRTC, of whom there are none.
func (a *API) broadcast(_ context.Context, c *call) reply {
	if s, _ := a.find(c); s == nil {
		return failed(codeNotFound, noStream)
	}
	return with(codeSuccess, "nobody watches this stream by WebRTC", nil)
}
