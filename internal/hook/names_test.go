package hook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// bind is a resolver and a network: hosts by their names, and addresses that let themselves be dialled.
type bind struct {
	*names
	hosts   map[string]string // addresses with blanks between; "hangs": no answer
	up      string            // addresses
	lookups int
	dialled []string
}

func newBind() *bind {
	b := &bind{hosts: map[string]string{}}
	b.names = &names{
		lookup: func(ctx context.Context, host string) (all []netip.Addr, err error) {
			b.lookups++
			switch text, ok := b.hosts[host]; {
			case !ok:
				return nil, errors.New("no such host")
			case text == "hangs":
				<-ctx.Done()
				return nil, ctx.Err()
			default:
				for a := range strings.FieldsSeq(text) {
					all = append(all, netip.MustParseAddr(a))
				}
				return all, nil
			}
		},
		dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			b.dialled = append(b.dialled, address)
			if strings.Contains(b.up, address) {
				c, _ := net.Pipe()
				return c, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	return b
}

// connects says how long a connection took, or why there is none, and which addresses were dialled.
func (b *bind) connects(t *testing.T, host string) string {
	t.Helper()
	b.dialled = nil
	begun := time.Now()
	c, err := b.connect(t.Context(), "tcp", net.JoinHostPort(host, "80"))
	if err != nil {
		return fmt.Sprint(time.Since(begun), " ", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	_ = c.Close()
	return fmt.Sprint(time.Since(begun), " ", b.dialled)
}

// TestNames: a name is asked for twice a minute, and while the resolver has no answer what it said last holds for an hour.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBind()
		b.hosts["platform"], b.up = "10.0.0.1", "10.0.0.1:80"
		wants := func(what string, lookups int, want string) {
			t.Helper()
			if got := b.connects(t, "platform"); got != want || b.lookups != lookups {
				t.Errorf("%s: %s, %d lookups, want %s, %d", what, got, b.lookups, want, lookups)
			}
		}
		wants("first", 1, "0s [10.0.0.1:80]")
		wants("again", 1, "0s [10.0.0.1:80]")
		time.Sleep(freshTime)
		b.hosts["platform"], b.up = "10.0.0.2", "10.0.0.2:80"
		wants("moved", 2, "0s [10.0.0.2:80]")
		time.Sleep(freshTime)
		b.hosts["platform"] = "hangs"
		wants("the resolver hangs", 3, "1s [10.0.0.2:80]")
		wants("it is not asked at once again", 3, "0s [10.0.0.2:80]")
		time.Sleep(againTime)
		delete(b.hosts, "platform")
		wants("the name is gone", 4, "0s [10.0.0.2:80]")
		time.Sleep(staleTime)
		wants("for too long", 5, "0s look up platform: no such host")
		b.hosts["platform"] = ""
		wants("no address", 6, "0s look up platform: it has no address")
		b.hosts["platform"] = "10.0.0.2"
		wants("back", 7, "0s [10.0.0.2:80]")
	})
}

// TestAddressesInTurn: an address that is deaf costs its share of the time, and a name takes no more than all of it.
func TestAddressesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBind()
		b.hosts["two"], b.up = "10.0.0.1 ::ffff:10.0.0.2", "10.0.0.2:80 [fd00::1]:80 192.0.2.7:80"
		b.hosts["deaf"] = "10.0.0.3 10.0.0.4 10.0.0.5"
		b.hosts["hung"] = "hangs"
		for host, want := range map[string]string{
			"two": "1s [10.0.0.1:80 10.0.0.2:80]", "fd00::1": "0s [[fd00::1]:80]", "192.0.2.7": "0s [192.0.2.7:80]",
			"hung": "1s look up hung: context deadline exceeded",
			"deaf": "2s context deadline exceeded; context deadline exceeded; context deadline exceeded",
		} {
			if got := b.connects(t, host); got != want {
				t.Errorf("%s: %s, want %s", host, got, want)
			}
		}
		for i := range 3 * namesMost {
			b.hosts[fmt.Sprint("h", i)] = "10.0.0.2"
			b.connects(t, fmt.Sprint("h", i))
		}
		if len(b.by) > namesMost {
			t.Errorf("%d names are remembered", len(b.by))
		}
	})
}

// TestResolver: names of this machine are found without asking anybody.
func TestResolver(t *testing.T) {
	if addrs, err := newNames().find(t.Context(), "localhost"); err != nil || !addrs[0].IsLoopback() {
		t.Errorf("%v, %v", addrs, err)
	}
}
