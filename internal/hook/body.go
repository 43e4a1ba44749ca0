package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/zlm"
)

// body is what a hook says. It is written once, and completed for each attempt, which has a number of its own.
type body struct {
	hooks *Hooks
	vhost string
	text  []byte // a JSON object without its end
}

// errBody means that what a hook is to say is no JSON object: a fault of the program.
var errBody = errors.New("the body of a hook is no object")

// body writes what is to be said: of is a struct or a map.
func (h *Hooks) body(vhost string, of any) (*body, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(of); err != nil {
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	text := bytes.TrimSpace(buf.Bytes())
	if len(text) < 2 || text[0] != '{' {
		return nil, errBody
	}
	if text = text[:len(text)-1]; len(text) > 1 {
		text = append(text, ',')
	}
	return &body{h, vhost, slices.Clip(text)}, nil
}

// encode returns the whole, with what stands in every body: whose it is, and a number that rises.
func (b *body) encode() []byte {
	id, _ := json.Marshal(b.hooks.serverID()) // it is a text
	text := slices.Concat(b.text, []byte(`"mediaServerId":`), id, []byte(`,"hook_index":`))
	return append(strconv.AppendUint(text, b.hooks.index.Add(1)-1, 10), '}')
}

// media says what a session wants, or has.
type media struct {
	Schema   zlm.Schema `json:"schema"`
	Protocol string     `json:"protocol"`
	zlm.Tuple
	IP   string `json:"ip"`
	Port int    `json:"port"`
	ID   string `json:"id"`
}

// mediaOf describes what is asked for.
func mediaOf(q *hub.Request) media {
	return media{
		zlm.SchemaOf(q.Protocol), zlm.WireOf(q.Protocol, q.Secure),
		zlm.Tuple{VHost: q.Key.VHost, App: q.Key.App, Stream: q.Key.Name, Params: q.Query},
		zlm.IP(q.Remote), int(q.Remote.Port()), q.Session,
	}
}

// mediaOfSession describes what a session has.
func mediaOfSession(s *hub.SessionInfo) media {
	return mediaOf(&hub.Request{
		Key: s.Key, Session: s.ID, Protocol: s.Protocol, Remote: s.Remote, Secure: s.Secure, Query: s.Query,
	})
}

// publishing is the body of on_publish.
type publishing struct {
	media
	Origin     zlm.Origin `json:"originType"`
	OriginName string     `json:"originTypeStr"`
}

// appeared is the body of on_stream_changed for a stream that can be watched from now on.
type appeared struct {
	zlm.Source
	Here  bool   `json:"regist"`
	Epoch uint64 `json:"epoch"` // ours: rises with every publisher of the server
}

// vanished is the same for one that has ended.
type vanished struct {
	Schema zlm.Schema `json:"schema"`
	zlm.Tuple
	Here  bool   `json:"regist"`
	Epoch uint64 `json:"epoch"`
}

// unwatched is the body of on_stream_none_reader.
type unwatched struct {
	Schema zlm.Schema `json:"schema"`
	zlm.Tuple
	Epoch uint64 `json:"epoch"`
}

// flow is the body of on_flow_report.
type flow struct {
	media
	Bytes    uint64 `json:"totalBytes"`
	Duration int64  `json:"duration"` // s
	Player   bool   `json:"player"`
	Epoch    uint64 `json:"epoch,omitempty"` // of a publisher
}

// alive is the body of on_server_keepalive.
type alive struct {
	Data any `json:"data"`
}

// empty is the body of hooks that say only what all say.
type empty struct{}
