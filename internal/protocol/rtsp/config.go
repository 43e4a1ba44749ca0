package rtsp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
)

// Limits that are no settings.
const (
	writeTimeout  = 5 * time.Second        // of an answer
	tellTimeout   = 500 * time.Millisecond // of what is said to a publisher: its media wait meanwhile
	refusalTime   = 500 * time.Millisecond // for a peer that was refused to read why
	reportEvery   = 5 * time.Second        // between receiver reports to a publisher (RFC 3550, 6.2)
	lookEvery     = time.Second            // between two looks at viewers that may have gone
	noteEvery     = time.Second            // between two notes of how a publisher's packets fare
	settleIn      = time.Second            // of media, for a track to come that was described and is not among the newest units yet
	roundsMax     = 16                     // publications or playings of one connection
	requestsMax   = 256                    // requests of one connection before media
	mediasMax     = 16                     // of a description
	variantsMax   = 8                      // of the channels on which a stream is played, besides the usual
	badPacketsMax = 500                    // bad packets in a row
	agentMax      = 256                    // bytes that are kept of what a peer says it is
	setupBody     = 64 << 10               // bytes of a description
	playBuffer    = 512                    // that is read ahead of a peer before it publishes
	publishBuffer = 64 << 10               // the same of one that publishes
	datagramMax   = 16 << 10               // bytes of a datagram
	failuresMax   = 1000                   // of a socket, in a row
	portMin       = 1024                   // of what is sent media: below are services, of others too where they share an address
)

// Config is the section "rtsp".
type Config struct {
	Listen      conf.Address           `yaml:"listen" doc:"address of RTSP; empty: off"`
	TLS         TLSConfig              `yaml:"tls"`
	UDPPorts    PortRange              `yaml:"udp_ports" doc:"ports for RTP and RTCP by UDP, in pairs; empty: RTSP by TCP only"`
	Multicast   MulticastConfig        `yaml:"multicast"`
	PacketSize  int                    `yaml:"packet_size" doc:"largest RTP packet that is sent, in bytes (548 to 8960)"`
	ReorderTime time.Duration          `yaml:"reorder_time" doc:"how long a publisher's packets by UDP wait for one that is late (1ms to 2s)"`
	Connections int                    `yaml:"connections" doc:"connections at the same time, on both listeners together"`
	Realm       string                 `yaml:"realm" doc:"what clients are told that they need a password for"`
	Auth        []string               `yaml:"auth" doc:"how passwords may be proven, what is offered first to last: digest (MD5), digest-sha256, basic. Some clients take the last digest, and many know MD5 only"`
	Users       map[string]conf.Secret `yaml:"users" doc:"names and passwords of those who may publish and play by RTSP; empty: everybody may"`
}

// TLSConfig is the section "rtsp.tls".
type TLSConfig struct {
	Listen conf.Address `yaml:"listen" doc:"address of RTSPS, which needs tls.cert and tls.key; empty: off"`
}

// Default returns the settings that hold when nothing is configured.
func Default() *Config {
	return &Config{
		Listen: ":8554", UDPPorts: PortRange{30_000, 31_999},
		Multicast:  MulticastConfig{Ports: PortRange{40_000, 40_999}, TTL: 16},
		PacketSize: 1400, ReorderTime: 200 * time.Millisecond,
		Connections: 50_000, Realm: "Vigil", Auth: []string{"digest", "basic"},
	}
}

// Validate refuses settings that cannot work.
func (c *Config) Validate() error {
	switch {
	case c.PacketSize < 548 || c.PacketSize > 8960:
		return fmt.Errorf("packet_size: %d is not between 548 and 8960", c.PacketSize)
	case c.ReorderTime < time.Millisecond || c.ReorderTime > 2*time.Second:
		return fmt.Errorf("reorder_time: %v is not between 1ms and 2s", c.ReorderTime)
	case c.Connections < 1:
		return fmt.Errorf("connections: %d is less than 1", c.Connections)
	case strings.ContainsAny(c.Realm, "\"\r\n\\"):
		return fmt.Errorf("realm: %q has characters that cannot be in a header", c.Realm)
	}
	for _, name := range c.Auth {
		if _, ok := schemes[name]; !ok {
			return fmt.Errorf("auth: %q is none of digest, digest-sha256, basic", name)
		}
	}
	if len(c.Users) > 0 && len(c.Auth) == 0 {
		return errors.New("auth: empty, but there are users")
	}
	for name, password := range c.Users {
		switch {
		case name == "" || password.Reveal() == "": // a variable that is not set is not to let everybody in
			return fmt.Errorf("users: %q has no name or no password", name)
		case strings.Contains(name, ":"): // RFC 7617, 2: what follows it would be taken for the password
			return fmt.Errorf("users: %q: a name has no colon", name)
		}
	}
	return c.Multicast.validate()
}

// PortRange is ports from Low to High, both included; the zero PortRange is none.
type PortRange struct{ Low, High int }

// Pairs is how many pairs of an even port and the next there are.
func (r PortRange) Pairs() int {
	if r == (PortRange{}) {
		return 0
	}
	return (r.High + 1 - r.even()) / 2
}

// even is the first even port.
func (r PortRange) even() int { return (r.Low + 1) &^ 1 }

// Pair returns the even port of pair i.
func (r PortRange) Pair(i int) int { return r.even() + 2*i }

// String is as in the configuration.
func (r PortRange) String() string {
	if r == (PortRange{}) {
		return ""
	}
	return fmt.Sprintf("%d-%d", r.Low, r.High)
}

// MarshalText implements encoding.TextMarshaler.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *PortRange) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = PortRange{}
		return nil
	}
	low, high, ok := strings.Cut(string(text), "-")
	from, err := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	to, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	n := PortRange{int(from), int(to)} //nolint:gosec // 16 bits
	if !ok || err != nil || err2 != nil || from < portMin || n.Pairs() < 1 {
		return fmt.Errorf("%q is no range of ports from 1024 on with a pair (an even one and the next), such as 30000-31999", text)
	}
	*r = n
	return nil
}
