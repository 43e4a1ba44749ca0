package protocol

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/egress"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/watch"
)

// Protocol is what a room gives to the house. A nil function says "not supported".
type Protocol struct {
	Name     string     // of its configuration section
	Title    string     // for people: "RTMP"
	Defaults func() any // a pointer to the section's struct with its defaults
	Publish  []av.Codec // that publishers may send
	Play     []av.Codec // that viewers may get

	// Serve opens the listeners and returns the server, which accepts once it runs.
	Serve func(Env, conf.Section) (Server, error)
}

// Server is a protocol that listens. Run returns only when all that it started has ended; it ends with ctx.
type Server interface {
	Run(ctx context.Context) error
}

// Env is what a room is given.
type Env struct {
	Hub    *hub.Hub
	Log    *slog.Logger
	Net    Net
	HTTP   *Mux           // the shared HTTP listener
	Egress *egress.Egress // takes the connections of viewers over
	TLS    *tls.Config    // nil when no certificate is configured
	NewID  func() string  // a session id, unique in the process

	Passwords Passwords // of streams, for protocols in which viewers are asked for one; nil: nobody is asked
	Patience  Patience  // with who gives wrong ones; nil: it has no end

	Refusals *Refusals // for the lines about what is refused; nil: all are logged

	Watch *watch.Board // on which sessions note their progress; nil: nowhere

	// Folder returns the folder at a path that a setting has told, whether or not its disk answers. name is short, unique, and stands for it
	// in the log and in metrics. It is called while the room is made. nil: there is no disk.
	Folder func(name, path string) (Folder, error)
}

// Passwords is who knows which streams need a password of their viewers, and what it is. Its methods are called on sessions' goroutines, with a
// deadline, and may wait for somebody else. An error that wraps hub.ErrDenied is a no; any other means that nobody knows, and is a no too.
type Passwords interface {
	// Realm returns the realm in which the viewer q needs a password; "": it needs none.
	Realm(ctx context.Context, q hub.Request) (string, error)

	// Password returns the password of a user in a realm, or, if hashed, what Digest with MD5 makes of it: the hexadecimal digits of the MD5 of
	// user:realm:password (RFC 2617, 3.2.2.2). plain says that this would be of no use.
	Password(ctx context.Context, q hub.Request, user, realm string, plain bool) (password string, hashed bool, err error)
}

// Patience remembers who has given wrong passwords. Its methods are safe for concurrent use, and wait for nobody.
type Patience interface {
	// Hears returns an error that wraps hub.ErrDenied while no look is to be taken at what q gives.
	Hears(a hub.Action, q *hub.Request) error

	Wrong(a hub.Action, q *hub.Request) // notes a wrong password
	Right(a hub.Action, q *hub.Request) // notes the right one
}

// Net is how a room reaches the network. Accepted connections have keep-alive and a limit for unacknowledged data.
type Net interface {
	// Listen opens a TCP listener. name stands for it in the log and on the start-up screen: "RTMP". Its Accept fails for good
	// only: it waits out passing troubles, such as a lack of descriptors, and sees to the limits of connections.
	Listen(ctx context.Context, name, address string) (net.Listener, error)

	// ListenPacket opens a UDP socket. It is the caller's: nobody is let in or kept out, and a successor of this process opens its own.
	// errors.ErrUnsupported: this network has none.
	ListenPacket(ctx context.Context, address string) (*net.UDPConn, error)
}
