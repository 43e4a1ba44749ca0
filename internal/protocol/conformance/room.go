package conformance

import (
	"context"
	"net"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/protocol"
)

// Room is what a protocol's room hands to the suite.
type Room struct {
	Protocol protocol.Protocol
	Listener string   // name of the listener that clients dial: "HTTP" is the shared one
	Settings []string // "section.key=value"
	Forms    []Form   // at least one; the first is for all cases

	Publish func(ctx context.Context, v Visit) (Publication, error) // nil: nobody publishes by this protocol
	Play    func(ctx context.Context, v Visit) (Playback, error)    // nil: nobody plays by it

	Code  func(error) string // the protocol's own code in a driver's error
	Codes Codes

	Hello []byte // what a client begins with, to be sent very slowly

	// Tick is how exact stamps are; 0: as exact as those of the usual encoder. Where there is one, and not Decodes, the protocol carries
	// presentation times only; DTS are what its receivers make of them.
	Tick time.Duration
	// Decodes says that decoding times are carried too, as exactly.
	Decodes bool
	// Announced says that publishers and players agree on the tracks before media flow: what joins a stream later is for others.
	Announced bool
	// Told says that players are told of the tracks before media flow, and are ended where there are others: they come again.
	Told bool
	// Behind is how much media a player is behind the newest unit at the most, of the usual encoder; 0: it gets each unit at once. Players
	// of such a room have no connection either: that of a Playback only stands for who asks, and may begin with what is older than a GOP.
	Behind time.Duration
}

// decodes says whether decoding times are carried.
func (r *Room) decodes() bool { return r.Tick == 0 || r.Decodes }

// Form is a variant of what the room can be set to.
type Form struct {
	Name     string
	Settings []string
	Codecs   []av.Codec // that it carries
}

// Codes are the protocol's own words for what the hub says. None for the loss of a key: the connection is just closed.
type Codes struct {
	Busy, PublishDenied string // to a publisher that is not let in
	Replaced, Silent    string // to one that loses its key
	Kicked              string // to one that the operator ends
	NotFound, Denied    string // to a player
}

// Visit is what a driver is asked for.
type Visit struct {
	House  *House
	Path   string      // "app/name"
	Query  string      // "token=x"
	Form   string      // name of the form
	Tracks []*av.Track // that a publisher begins with, or will have
}

// Publication is a client that publishes. Its goroutines, if any, end when its connection does.
type Publication interface {
	// Write sends a unit, and before it what is new about its track.
	Write(u *av.AccessUnit) error
	// End stops publishing as a client does that means it.
	End() error
	// Wait returns why the server ended the publication; Room.Code knows the code of it.
	Wait() error
	// Conn is the client's connection.
	Conn() net.Conn
}

// Playback is a client that plays.
type Playback interface {
	// Read returns the next unit, io.EOF when the server says that the stream is over or ends it cleanly.
	Read() (*av.AccessUnit, error)
	// Conn is the client's connection.
	Conn() net.Conn
}
