package rtmp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
)

// command is a remote procedure call (RTMP 7.2).
type command struct {
	name        string
	transaction float64
	args        []any // after the transaction's number
	stream      uint32
}

// parseCommand reads a command message. It says whether m was one.
func parseCommand(m chunk.Message) (command, bool, error) {
	var values []any
	var err error
	switch m.Type {
	case chunk.TypeCommandAMF0:
		values, err = amf.Decode(m.Payload)
	case chunk.TypeCommandAMF3:
		values, err = amf.DecodeFlex(m.Payload)
	default:
		return command{}, false, nil
	}
	if err != nil {
		return command{}, false, fmt.Errorf("command: %w", err)
	}
	c := command{stream: m.Stream}
	if len(values) > 0 {
		c.name, _ = values[0].(string)
	}
	if c.name == "" {
		return command{}, false, errors.New("command without a name")
	}
	if len(values) > 1 {
		c.transaction, _ = values[1].(float64)
		c.args = values[2:]
	}
	return c, true, nil
}

// text returns argument i if it is a string.
func (c command) text(i int) string {
	if i >= len(c.args) {
		return ""
	}
	t, _ := c.args[i].(string)
	return t
}

// flag returns argument i if it is a boolean.
func (c command) flag(i int) bool {
	if i >= len(c.args) {
		return false
	}
	b, _ := c.args[i].(bool)
	return b
}

// appendCommand appends a command message to dst.
func appendCommand(dst []byte, stream uint32, chunkSize int, values ...any) []byte {
	return chunk.AppendMessage(dst, chunk.Message{
		Type: chunk.TypeCommandAMF0, ChunkStream: chunkCommand, Stream: stream, Payload: amf.Append(nil, values...),
	}, chunkSize)
}

// appendStatus appends an onStatus command.
func (s *server) appendStatus(dst []byte, st status) []byte {
	return appendCommand(dst, mediaStream, s.cfg.ChunkSize, "onStatus", 0, nil, amf.Object{
		{Name: "level", Value: st.level}, {Name: "code", Value: st.code}, {Name: "description", Value: st.description},
	})
}

// result answers a call with values.
func (s *session) result(c command, values ...any) error {
	return s.send(appendCommand(nil, 0, s.cfg.ChunkSize, append([]any{"_result", c.transaction}, values...)...))
}

// command answers a command that comes while no media flows. For publish and play it returns what is to be done.
func (s *session) command(c command) (do func(context.Context) error, err error) {
	switch c.name {
	case "connect":
		return nil, s.connect(c)
	case "createStream":
		return nil, s.result(c, nil, mediaStream)
	case "publish":
		path, query := s.path(c.text(1))
		return func(ctx context.Context) error { return s.publish(ctx, path, query) }, nil
	case "play", "play2":
		path, query := s.path(playName(c))
		return func(ctx context.Context) error { return s.play(ctx, path, query) }, nil
	case "getStreamLength":
		return nil, s.result(c, nil, 0) // a live stream has none
	case "releaseStream", "FCPublish", "FCUnpublish", "FCSubscribe", "_checkbw", "deleteStream", "closeStream":
		return nil, s.agree(c)
	case "_result", "_error", "onStatus", "_onbwcheck", "onFCPublish":
		return nil, nil // answers, to whatever the peer thinks it was asked
	}
	if c.transaction == 0 {
		return nil, nil
	}
	return nil, s.send(appendCommand(nil, 0, s.cfg.ChunkSize, "_error", c.transaction, nil, amf.Object{
		{Name: "level", Value: levelError},
		{Name: "code", Value: "NetConnection.Call.Failed"},
		{Name: "description", Value: "unknown command"},
	}))
}

// agree answers a call for which there is nothing to do, if an answer is wanted.
func (s *session) agree(c command) error {
	if c.transaction == 0 {
		return nil
	}
	return s.result(c, nil, amf.Undefined{})
}

// playName is the stream's name in play, where it is an argument, or play2, where it is a property of one.
func playName(c command) string {
	if name := c.text(1); name != "" {
		return name
	}
	if len(c.args) > 1 {
		if o, ok := amf.Properties(c.args[1]); ok {
			name, _ := o.String("streamName")
			return name
		}
	}
	return ""
}

// connect answers with what the server expects, and its chunk size.
func (s *session) connect(c command) error {
	encoding := 0.0
	if len(c.args) > 0 {
		if o, ok := amf.Properties(c.args[0]); ok {
			app, _ := o.String("app")
			s.app, s.query, _ = strings.Cut(app, "?")
			agent, _ := o.String("flashVer")
			s.agent = agent[:min(len(agent), agentMax)]
			encoding, _ = o.Number("objectEncoding")
		}
	}
	b := chunk.AppendWindowAckSize(nil, windowAck)
	b = chunk.AppendSetPeerBandwidth(b, windowAck, chunk.BandwidthDynamic)
	b = chunk.AppendSetChunkSize(b, uint32(s.cfg.ChunkSize)) //nolint:gosec // validated
	b = appendCommand(b, 0, s.cfg.ChunkSize, "_result", c.transaction,
		amf.Object{{Name: "fmsVer", Value: "FMS/3,0,1,123"}, {Name: "capabilities", Value: 31}},
		amf.Object{
			{Name: "level", Value: levelStatus},
			{Name: "code", Value: "NetConnection.Connect.Success"},
			{Name: "description", Value: "Connection succeeded."},
			{Name: "objectEncoding", Value: encoding},
		})
	b = appendCommand(b, 0, s.cfg.ChunkSize, "onBWDone", 0, nil)
	return s.send(b)
}

// path joins application and name, which clients split in their own ways, and takes the query off both.
func (s *session) path(name string) (path, query string) {
	name, query, _ = strings.Cut(name, "?")
	if query == "" {
		query = s.query
	}
	if rest, ok := strings.CutPrefix(name, "mp4:"); ok { // as Flash names files
		name = strings.TrimSuffix(rest, ".mp4") + ".mp4"
	}
	app := strings.Trim(s.app, "/")
	name = strings.TrimPrefix(name, "/")
	switch {
	case app == "":
		return name, query
	case name == "":
		return app, query
	}
	return app + "/" + name, query
}
