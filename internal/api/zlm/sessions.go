package zlm

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vigil-media/vigil/internal/control"
	"github.com/vigil-media/vigil/internal/hub"
	words "github.com/vigil-media/vigil/internal/zlm"
)

// typeOf is the name that the original has for the class of a session's connection: tools show it, or tell protocols by it.
func typeOf(s *hub.SessionInfo) string {
	class := "mediakit::HttpSession"
	wire := words.WireOf(s.Protocol, s.Secure)
	switch {
	case strings.HasPrefix(wire, "rtmp"):
		class = "mediakit::RtmpSession"
	case strings.HasPrefix(wire, "rtsp"):
		class = "mediakit::RtspSession"
	}
	if s.Secure {
		return "toolkit::SessionWithSSL<" + class + ">"
	}
	return class
}

// peers is which sessions a call means. known is false if that cannot be read.
func (c *call) peers() (p control.Peers, known bool) {
	if text := strings.TrimSpace(c.text("local_port")); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return p, false
		}
		p.LocalPort = uint16(port)
	}
	if text := strings.TrimSpace(c.text("peer_ip")); text != "" {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return p, false
		}
		p.Addr = addr.Unmap()
	}
	return p, true
}

// sessionSize is about what a session takes as text.
const sessionSize = 256

// listSessions answers who publishes and watches. Connections of this API are no sessions. A filter that cannot be read fits nobody.
func (a *API) listSessions(_ context.Context, c *call) reply {
	p, known := c.peers()
	if !known {
		return ok(nil)
	}
	all := a.opt.Control.Sessions(p)
	return enumerate(len(all), sessionSize, func(b []byte, i int) []byte {
		socket := words.SocketOf(all[i])
		b = appendSocket(append(b, '{'), &socket)
		b = appendText(append(b, `,"id":`...), all[i].ID)
		b = appendText(append(b, `,"type":"tcp","typeid":`...), typeOf(all[i])) // of all protocols here, the session is a connection
		return append(b, '}')
	})
}

// kick ends a session.
func (a *API) kick(ctx context.Context, c *call) reply {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	switch err := a.opt.Control.Kick(ctx, c.text("id")); {
	case err == nil:
		return with(codeSuccess, "success", nil)
	case errors.Is(err, hub.ErrNotFound):
		return failed(codeFailed, noTarget)
	default:
		return failed(codeFailed, "it was told to end, and has not in time: "+err.Error())
	}
}

// kickAll ends the sessions that are meant. The connection of this call is none. A filter that cannot be read is an error, where the original
// takes it for none, and ends all.
func (a *API) kickAll(ctx context.Context, c *call) reply {
	p, known := c.peers()
	if !known {
		return with(codeArguments, "local_port is no port, or peer_ip no address", fields{"count_hit": 0})
	}
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	hit, err := a.opt.Control.KickAll(ctx, p)
	msg := ""
	if err != nil {
		msg = "some have not ended in time"
	}
	return with(codeSuccess, msg, fields{"count_hit": hit})
}
