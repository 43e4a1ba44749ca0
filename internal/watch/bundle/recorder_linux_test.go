package bundle

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRecorder is what recording costs, in processor time: for two goroutines that wake each other, and for a
// message that is written to a socket and read by a goroutine that waited for it. The sends of shards are not traced.
func BenchmarkRecorder(b *testing.B) {
	for _, on := range []bool{false, true} {
		name := map[bool]string{false: "off", true: "on"}[on]
		b.Run("switch/"+name, func(b *testing.B) { recorded(b, on, switches) })
		b.Run("read/"+name, func(b *testing.B) { recorded(b, on, reads) })
	}
}

func recorded(b *testing.B, on bool, work func(*testing.B)) {
	if r := NewRecorder(); on {
		if err := r.Start(); err != nil {
			b.Fatal(err)
		}
		defer r.Stop()
	}
	before := processorTime(b)
	work(b)
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func switches(b *testing.B) {
	b.Helper()
	ping, pong := make(chan int), make(chan int)
	go func() {
		for n := range ping {
			pong <- n
		}
		close(pong)
	}()
	for range b.N {
		ping <- 1
		<-pong
	}
	close(ping)
	<-pong
}

// reads is publishers: a message of 1 KiB at a time arrives on one of 100 connections, and wakes the goroutine that waits for it.
func reads(b *testing.B) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var peers []net.Conn
	var readers sync.WaitGroup
	for range 100 {
		c, errD := net.Dial("tcp", l.Addr().String())
		in, errA := l.Accept()
		if err = errors.Join(errD, errA); err != nil {
			b.Fatal(err)
		}
		peers = append(peers, c)
		readers.Go(func() {
			_, _ = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{in})
			in.Close()
		})
	}
	message := make([]byte, 1<<10)
	for i := range b.N {
		if _, err = peers[i%len(peers)].Write(message); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range peers {
		c.Close()
	}
	readers.Wait()
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
