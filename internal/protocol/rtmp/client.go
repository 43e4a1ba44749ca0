package rtmp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/handshake"
)

const (
	clientChunkSize = 60_000
	clientTimeout   = 10 * time.Second // for the peer to answer a command
)

// StatusError is a refusal by the peer.
type StatusError struct {
	Code        string // such as "NetStream.Publish.BadName"
	Description string
}

// Error implements error.
func (e *StatusError) Error() string { return e.Code + ": " + e.Description }

// Client is the other side of a session: it publishes to a server or plays from one. One goroutine writes and one reads at a
// time.
type Client struct {
	conn        net.Conn
	in          *chunk.Reader
	tcURL       string
	app, name   string
	transaction float64
	out         []byte // scratch
}

// NewClient shakes hands with a server on conn, which the client then owns, and connects to the application of u
// ("rtmp://host/app/name?query"). digest chooses the handshake that Flash used.
func NewClient(ctx context.Context, conn net.Conn, u *url.URL, digest bool) (*Client, error) {
	c := &Client{conn: conn, in: chunk.NewReader(conn, chunk.Limits{})}
	dir, name := path.Split(strings.Trim(u.Path, "/"))
	c.app, c.name = strings.TrimSuffix(dir, "/"), name
	c.tcURL = u.Scheme + "://" + u.Host + "/" + c.app
	if u.RawQuery != "" {
		c.name += "?" + u.RawQuery
	}
	if err := c.bounded(ctx, func() error { return c.connect(digest) }); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("rtmp client: %w", err)
	}
	return c, nil
}

// bounded runs fn with a deadline, and interrupts it when ctx ends.
func (c *Client) bounded(ctx context.Context, fn func() error) error {
	if err := c.conn.SetDeadline(time.Now().Add(clientTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	err := fn()
	if !stop() && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return c.conn.SetDeadline(time.Time{})
}

func (c *Client) connect(digest bool) error {
	kind := handshake.Simple
	if digest {
		kind = handshake.Schema1
	}
	if _, err := handshake.Client(c.conn, rand.Reader, kind); err != nil {
		return err
	}
	b := chunk.AppendSetChunkSize(nil, clientChunkSize)
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	return c.call("connect", amf.Object{
		{Name: "app", Value: c.app},
		{Name: "flashVer", Value: "Vigil"},
		{Name: "tcUrl", Value: c.tcURL},
		{Name: "fpad", Value: false},
		{Name: "capabilities", Value: 15},
		{Name: "objectEncoding", Value: 0},
	})
}

// command sends a command on the message stream.
func (c *Client) command(stream uint32, name string, args ...any) error {
	c.transaction++
	values := append([]any{name, c.transaction}, args...)
	_, err := c.conn.Write(appendCommand(nil, stream, clientChunkSize, values...))
	return err
}

// call sends a command and waits for its result.
func (c *Client) call(name string, args ...any) error {
	if err := c.command(0, name, args...); err != nil {
		return err
	}
	return c.await(func(r command) (bool, error) {
		if r.transaction != c.transaction {
			return false, nil
		}
		if r.name == "_error" {
			return false, r.status()
		}
		return r.name == "_result", nil
	})
}

// await reads until a command satisfies done. What comes before media is of no interest otherwise.
func (c *Client) await(done func(command) (bool, error)) error {
	for {
		m, err := c.read()
		if err != nil {
			return err
		}
		r, ok, err := parseCommand(m)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if is, err := done(r); is || err != nil {
			return err
		}
	}
}

// status reads the status object of a command.
func (c command) status() *StatusError {
	e := &StatusError{Code: c.name}
	if len(c.args) > 1 {
		if o, ok := amf.Properties(c.args[1]); ok {
			e.Code, _ = o.String("code")
			e.Description, _ = o.String("description")
		}
	}
	return e
}

// read returns the next message that is not for the protocol itself.
func (c *Client) read() (chunk.Message, error) {
	for {
		m, err := c.in.Read()
		if err != nil {
			return m, err
		}
		if m.Type != chunk.TypeUserControl {
			return m, nil
		}
		event, data, err := m.UserControl()
		if err != nil {
			return m, err
		}
		if event == chunk.EventStreamEOF {
			return m, io.EOF
		}
		if event == chunk.EventPingRequest && len(data) >= 4 {
			at := uint32(data[0])<<24 | uint32(data[1])<<16 | uint32(data[2])<<8 | uint32(data[3])
			if _, err := c.conn.Write(chunk.AppendUserControl(nil, chunk.EventPingResponse, at)); err != nil {
				return m, err
			}
		}
	}
}

// start creates the stream, sends verb and waits for the status code that means success.
func (c *Client) start(ctx context.Context, success, verb string, args ...any) error {
	err := c.bounded(ctx, func() error {
		if err := c.call("createStream", nil); err != nil {
			return err
		}
		if err := c.command(mediaStream, verb, append([]any{nil, c.name}, args...)...); err != nil {
			return err
		}
		return c.await(func(r command) (bool, error) {
			if r.name != "onStatus" {
				return false, nil
			}
			st := r.status()
			if st.Code == success {
				return true, nil
			}
			if strings.HasPrefix(st.Code, "NetStream.Play.Reset") {
				return false, nil
			}
			return false, st
		})
	})
	if err != nil {
		return fmt.Errorf("rtmp client: %s %s/%s: %w", verb, c.app, c.name, err)
	}
	return nil
}

// Publish asks to publish. A refusal is a *StatusError.
func (c *Client) Publish(ctx context.Context) error {
	return c.start(ctx, "NetStream.Publish.Start", "publish", "live")
}

// Play asks to play. A refusal is a *StatusError.
func (c *Client) Play(ctx context.Context) error {
	return c.start(ctx, "NetStream.Play.Start", "play", -2000)
}

// WriteTag sends media.
func (c *Client) WriteTag(t flv.Tag) error {
	c.out = chunk.AppendMessage(c.out[:0], message(t.Type, t.Time, t.Body), clientChunkSize)
	_, err := c.conn.Write(c.out)
	return err
}

// ReadTag returns the next media, or io.EOF at the end of the stream.
func (c *Client) ReadTag() (flv.Tag, error) {
	for {
		m, err := c.read()
		if err != nil {
			return flv.Tag{}, err
		}
		switch m.Type {
		case chunk.TypeAudio, chunk.TypeVideo, chunk.TypeDataAMF0:
			return flv.Tag{Type: flv.TagType(m.Type), Time: m.Time, Body: m.Payload}, nil
		}
		r, ok, err := parseCommand(m)
		if err != nil {
			return flv.Tag{}, err
		}
		if ok && r.name == "onStatus" {
			if st := r.status(); st.Code == "NetStream.Play.UnpublishNotify" {
				return flv.Tag{}, io.EOF
			}
		}
	}
}

// Unpublish ends publishing as encoders do when they mean to.
func (c *Client) Unpublish() error {
	return errors.Join(c.command(0, "FCUnpublish", nil, c.name), c.command(0, "deleteStream", nil, mediaStream))
}

// Conn is the client's connection: for deadlines, and for breaking it.
func (c *Client) Conn() net.Conn { return c.conn }

// Close closes the connection without a word.
func (c *Client) Close() error { return c.conn.Close() }
