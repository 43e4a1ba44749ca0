package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// relay is a bad network between one publisher over RTSP and the server: it hands on what is said by TCP, with its own ports in place of
// theirs, and the datagrams of media, of which it loses some and swaps others.
type relay struct {
	addr   string // where the publisher connects
	server string
	bad    atomic.Bool // it loses and swaps
	lost   atomic.Int64
	swaps  atomic.Int64
	all    sync.WaitGroup

	mu    sync.Mutex
	ports []*relayPort
}

// relayPort is a pair of sockets between two ports: the server is told of one of them, the publisher of the other.
type relayPort struct {
	toClient, toServer *net.UDPConn
	client, server     atomic.Pointer[net.UDPAddr]
	control            bool
	count              int    // datagrams on a bad network
	kept               []byte // one that is to come after the next
}

// newRelay returns a relay to the server, for publishers, until the test ends.
func newRelay(t testing.TB, s *server) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), server: s.rtsp}
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for _, p := range r.ports {
			_, _ = p.toClient.Close(), p.toServer.Close()
		}
		r.mu.Unlock()
		r.all.Wait()
	})
	r.all.Go(func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.server)
		if err != nil {
			_ = client.Close()
			return
		}
		r.all.Go(func() { r.talk(client, server, r.offer) })
		r.talk(server, client, r.accept)
	})
	return r
}

// talk hands messages on, each with its Transport changed, until one side ends; then both have.
func (r *relay) talk(from, to net.Conn, transport func(string) string) {
	defer from.Close()
	defer to.Close()
	in := bufio.NewReader(from)
	body := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch strings.ToLower(name) {
		case "transport":
			line = transport(line)
		case "content-length":
			body, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		if _, err := io.WriteString(to, line); err != nil {
			return
		}
		if strings.TrimSpace(line) == "" && body > 0 {
			if _, err := io.CopyN(to, in, int64(body)); err != nil {
				return
			}
			body = 0
		}
	}
}

var (
	clientPorts = regexp.MustCompile(`client_port=(\d+)-(\d+)`)
	serverPorts = regexp.MustCompile(`server_port=(\d+)-(\d+)`)
)

// offer opens sockets for a media, and offers those to the server.
func (r *relay) offer(line string) string {
	m := clientPorts.FindStringSubmatch(line)
	if m == nil {
		return line
	}
	var told [2]int
	for i := range told {
		p := &relayPort{control: i == 1}
		for _, c := range []**net.UDPConn{&p.toClient, &p.toServer} {
			var err error
			if *c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
				return line // the server will get nothing, and the test will tell
			}
		}
		p.client.Store(localPort(m[1+i]))
		told[i] = p.toServer.LocalAddr().(*net.UDPAddr).Port
		r.mu.Lock()
		r.ports = append(r.ports, p)
		r.mu.Unlock()
		r.all.Go(func() { r.carry(p) })
		r.all.Go(func() { p.back() })
	}
	return clientPorts.ReplaceAllString(line, fmt.Sprintf("client_port=%d-%d", told[0], told[1]))
}

// accept notes the server's ports for the newest media, and tells the publisher of its own.
func (r *relay) accept(line string) string {
	m := serverPorts.FindStringSubmatch(line)
	if m == nil {
		return line
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := r.ports[len(r.ports)-2:]
	var mine, theirs [2]int
	for i, p := range newest {
		p.server.Store(localPort(m[1+i]))
		mine[i], theirs[i] = p.toClient.LocalAddr().(*net.UDPAddr).Port, p.client.Load().Port
	}
	line = serverPorts.ReplaceAllString(line, fmt.Sprintf("server_port=%d-%d", mine[0], mine[1]))
	return clientPorts.ReplaceAllString(line, fmt.Sprintf("client_port=%d-%d", theirs[0], theirs[1]))
}

func localPort(text string) *net.UDPAddr {
	n, _ := strconv.Atoi(text)
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n}
}

// carry takes datagrams to the server: one of twenty is lost, one of twenty comes after the next.
func (r *relay) carry(p *relayPort) {
	b := make([]byte, 64<<10)
	for {
		n, _, err := p.toClient.ReadFromUDP(b)
		if err != nil {
			return
		}
		to := p.server.Load()
		if to == nil {
			continue // a hole that is punched before there is anybody
		}
		if !p.control && r.bad.Load() {
			p.count++
		}
		switch at := p.count % 20; {
		case p.control || n < 12 || !r.bad.Load():
			_, _ = p.toServer.WriteToUDP(b[:n], to)
		case at == 7:
			r.lost.Add(1)
			continue
		case at == 15:
			r.swaps.Add(1)
			p.kept = append([]byte(nil), b[:n]...)
			continue
		default:
			_, _ = p.toServer.WriteToUDP(b[:n], to)
		}
		if p.kept != nil {
			_, _ = p.toServer.WriteToUDP(p.kept, to)
			p.kept = nil
		}
	}
}

// back takes the server's reports to the publisher.
func (p *relayPort) back() {
	b := make([]byte, 64<<10)
	for {
		n, _, err := p.toServer.ReadFromUDP(b)
		if err != nil {
			return
		}
		_, _ = p.toClient.WriteToUDP(b[:n], p.client.Load())
	}
}
