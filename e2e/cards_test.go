package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/e2e/faults"
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/sim"
)

// oddball publishes what an encoder makes, at its speed, with odd things in between. Encoders follow one another: each tag says of which
// a unit is.
type oddball struct {
	*publisher
	t     testing.TB
	enc   *sim.Encoder
	now   sim.Options // of the encoder
	at    time.Duration
	shift uint32 // of the stamps, in milliseconds
	last  sim.Tag
}

// change goes on with another encoder.
func (o *oddball) change(with func(*sim.Options)) {
	o.now.Origin++
	o.now.Start = o.at + 40*time.Millisecond
	with(&o.now)
	o.enc = sim.New(o.now)
}

// on publishes for a while.
func (o *oddball) on(d time.Duration) {
	o.t.Helper()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for begin, start := o.at, time.Now(); o.at-begin < d; {
		u := o.enc.Next()
		timer.Reset(u.DTS - begin - time.Since(start))
		<-timer.C
		o.at = u.DTS
		tag, err := sim.Read(u)
		if err == nil {
			err = o.trySend(o.shift, u)
		}
		if err != nil {
			o.t.Fatalf("unit %+v: %v", tag, err)
		}
		o.last = tag
	}
}

// config sends the configuration of a track of sound.
func (o *oddball) config(asc ...byte) {
	o.t.Helper()
	track, err := av.NewAAC(sim.AudioID, asc)
	if err == nil {
		err = o.c.WriteTag(flv.Tag{Type: flv.AudioTag, Time: flv.Milliseconds(o.at) + o.shift, Body: o.form.AppendConfig(nil, track)})
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// rest is how long TestOddMedia publishes what is valid, after each thing that is not: as long as the card says in long runs.
func rest(t testing.TB) time.Duration {
	t.Helper()
	if scale(t) > 1 {
		return 10 * time.Second
	}
	return 300 * time.Millisecond
}

// TestOddMedia publishes what makes packagers fail in mid-stream, one after the other (card C04): other parameter sets, another sample
// rate, stamps that jump by hours, a key picture almost as large as messages may be, NAL units of no length, no picture at all. No
// viewer is ended, none is without media for long, and what follows comes in order and can be decoded. A key picture that is too large
// ends the publisher, and only that: its viewers go on with the next.
func TestOddMedia(t *testing.T) {
	t.Parallel()
	const recovers = 10 * time.Second
	s := serve(t)
	c := newCanary(t, s, 20_000)
	now := sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10, Start: 2 * time.Hour}
	o := &oddball{t: t, enc: sim.New(now), now: now, at: now.Start}
	o.publisher = publish(t, s, "odd", flv.Enhanced, trackAmong(av.Video, o.enc.Tracks()), trackAmong(av.Audio, o.enc.Tracks()))
	o.on(rest(t))
	var all []*watcher
	for _, way := range fewWays {
		w := watch(t.Context(), s.target("odd"), way)
		t.Cleanup(w.close)
		all = append(all, w)
	}
	arrives := func(what string) {
		t.Helper()
		begin := time.Now()
		for i, w := range all {
			if strings.HasPrefix(what, "sound at") && w.way == faults.RTSP {
				// It was told of the other sound only: it is ended, and comes again.
				within(t, recovers, "RTSP is ended", w.over)
				if err := w.fault(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				within(t, recovers, "the log says why", func() bool { return strings.Contains(s.errors.String(), "tracks changed") })
				w = watch(t.Context(), s.target("odd"), faults.RTSP)
				t.Cleanup(w.close)
				all[i] = w
			}
			if !eventually(recovers-time.Since(begin), func() bool { tag, _ := w.newest(); return tag == o.last || w.over() }) || w.over() {
				tag, _ := w.newest()
				t.Fatalf("%s: %s sees %+v of %+v, over: %v, %v", what, w.way, tag, o.last, w.over(), w.fault())
			}
		}
		t.Logf("%s: all viewers have it %v later", what, time.Since(begin))
	}
	none := func(*sim.Options) {}
	for _, odd := range []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"other parameter sets", func() { o.enc.ChangeVideo() }},
		{"sound at 44.1 kHz", func() { o.config(0x12, 0x10) }},
		{"sound at 48 kHz again", func() { o.config(0x11, 0x90) }},
		{"stamps an hour back", func() { o.shift -= 3_600_000 }},
		{"stamps ten hours ahead", func() { o.shift += 36_000_000 }},
		{"a key picture of 8 MB", func() { o.change(func(n *sim.Options) { n.KeySize, n.GOP = 8_300_000, 250 }) }},
		{"the usual", func() { o.change(func(n *sim.Options) { n.KeySize, n.GOP = 4000, 10 }) }},
		{"NAL units of no length", func() { o.empty() }},
		{"no picture", func() { o.change(func(n *sim.Options) { n.Video = 0 }); o.on(2 * time.Second) }},
		{"pictures again", func() { o.change(func(n *sim.Options) { n.Video = av.H264 }) }},
		{"another encoder", func() { o.change(none) }},
	} {
		odd.do()
		o.on(rest(t))
		arrives(odd.name)
	}
	for _, w := range all {
		if gap := w.gap(); gap > recovers { // the picture of 8 MB passes through five clients and a server with the race detector
			t.Errorf("%s: without a unit for %v", w.way, gap)
		}
	}
	o.tooLarge()
	next, took, _, err := faults.Insist(t.Context(), s.target("odd"), faults.RTMP, sim.Options{
		Video: av.H264, Audio: av.AAC, GOP: 10, Origin: o.now.Origin + 1,
	}, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("after a key picture that is too large, the next publisher is let in after %v", took)
	encode(t, next)
	awaitOrigin(t, all, o.now.Origin+1, recovers)
	for _, w := range all {
		if err := w.fault(); err != nil {
			t.Error(err)
		}
	}
	c.judge(t)
}

// empty publishes units whose NAL units are followed by some of no length.
func (o *oddball) empty() {
	o.t.Helper()
	for range 20 {
		u := o.enc.Next()
		o.at = u.DTS
		o.last, _ = sim.Read(u) // it has just been made
		body := o.form.AppendUnit(nil, u)
		if u.Track.Kind() == av.Video {
			body = append(body, make([]byte, 8)...)
		}
		tag := flv.Tag{Type: flv.TypeFor(u.Track.Kind()), Time: flv.Milliseconds(u.DTS) + o.shift, Body: body}
		if err := o.c.WriteTag(tag); err != nil {
			o.t.Fatal(err)
		}
	}
}

// tooLarge publishes a key picture of more than rtmp.max_message, and wants to be ended.
func (o *oddball) tooLarge() {
	o.t.Helper()
	o.change(func(n *sim.Options) { n.KeySize = 9_000_000 })
	u := o.enc.Next()
	within(o.t, 10*time.Second, "the publisher is ended", func() bool { return o.trySend(o.shift, u) != nil })
}

// stormAddress is where a client of a storm comes from: each has an address of its own, of the loopback network.
func stormAddress(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 3, byte(i>>8), byte(i))} }

// processTime is how long processors have worked for the program.
func (s *server) processTime(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), ") ")
	fields, ticks := strings.Fields(after), 0
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// TestStormOfRefused has 100 encoders, from four addresses, ask for a name that is taken, and ask again at once: none hears of a success, no
// address is heard more often than handshakes_per_address says, it costs little, and the canary notices nothing (card S08).
// What an authorizer says is played by the conformance suite.
//
// It is about work, so the program has no race detector.
func TestStormOfRefused(t *testing.T) {
	const clients, addresses, perSecond = 100, 4, 80 // of which our own questions to the API take most
	s := serveFrom(t, built(t, buildPlain), "publish.on_conflict=reject", "limits.handshakes_per_address="+strconv.Itoa(perSecond))
	c := newCanary(t, s, 20_000)
	length := hammerTime(t, 5*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	before, begin := s.processTime(t), time.Now()
	var wg sync.WaitGroup
	var tries atomic.Int64
	var heard [addresses]atomic.Int64
	for i := range clients {
		wg.Go(func() {
			for pause := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-pause.C {
				tries.Add(1)
				err := askFrom(ctx, stormAddress(i%addresses), s.rtmpURL("canary"))
				switch {
				case refusal(err) == "NetStream.Publish.BadName":
					heard[i%addresses].Add(1)
				case err == nil:
					t.Error("a publisher of a taken name hears of success")
				}
			}
		})
	}
	wg.Wait()
	took, worked := time.Since(begin), s.processTime(t)-before
	share := 100 * worked / took
	limit := int64(took/time.Second+2) * perSecond
	for i := range heard {
		n := heard[i].Load()
		t.Logf("of address %d, %d attempts were heard in %v", i, n, took)
		if n > limit || n < limit/4 {
			t.Errorf("%d attempts of an address were heard, the limit is %d", n, limit)
		}
	}
	t.Logf("%d attempts in all; %d %% of a processor", tries.Load(), share)
	if share > 40 { // of one of two processors: a fifth of all
		t.Errorf("the program has worked for %v of %v", worked, took)
	}
	c.judge(t)
}

// askFrom asks to publish from an address.
func askFrom(ctx context.Context, from net.Addr, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	d := net.Dialer{LocalAddr: from, Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := rtmp.NewClient(ctx, conn, u, false)
	if err != nil {
		return err
	}
	return client.Publish(ctx)
}

// TestPublishersFirst has twice as many players as there is room for, who wait for streams that nobody publishes and come again every
// 500 ms when they are refused; then the publishers come back (card Q03). Players have left room for them: all publish within 10 s, and
// all who were let in play within 30 s.
func TestPublishersFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, setting string
	}{
		{"all connections", "limits.connections=96"},
		{"connections of RTMP", "rtmp.connections=96"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const streams, room = 4, 96 - 96/16
			s := serve(t, c.setting, "play.wait=1m")
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer func() { cancel(); wg.Wait() }()
			for i := range 2 * room {
				to := s.target(fmt.Sprint("first-", i%streams))
				wg.Go(func() { comeAgain(ctx, to, faults.RTMP) })
			}
			within(t, 20*time.Second, "there is no room for more players", func() bool { return len(s.streams(t).Waiting) >= room-2 })
			api := s.probe(t)
			begin := time.Now()
			for i := range streams {
				wg.Go(func() {
					limited, done := context.WithTimeout(ctx, 20*time.Second)
					defer done()
					p, took, n, err := faults.Insist(limited, s.target(fmt.Sprint("first-", i)), faults.RTMP, both(0), 500*time.Millisecond)
					if err != nil || took > 10*time.Second {
						t.Errorf("publisher %d: let in after %v and %d attempts: %v", i, took, n, err)
						return
					}
					defer p.Close()
					_ = p.Encode(ctx)
				})
			}
			if !eventually(10*time.Second, func() bool { return s.streams(t).Publishers == streams }) {
				t.Fatalf("%d publishers of %d are back", s.streams(t).Publishers, streams)
			}
			back := time.Since(begin)
			within(t, 30*time.Second, "all players that there is room for play", func() bool {
				st := s.streams(t)
				return st.Viewers >= room-2 && len(st.Waiting) == 0
			})
			t.Logf("%d publishers are back after %v, their players after %v", streams, back, time.Since(begin))
			api.judge(t, time.Second)
		})
	}
}

// comeAgain is a player that comes again every 500 ms until it is let in, and whenever it is ended.
func comeAgain(ctx context.Context, to faults.Target, way faults.Way) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		p, err := faults.Play(ctx, to, way, false)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { _ = p.Close() })
			err = p.Discard()
			stop()
			_ = p.Close()
		}
		if errors.Is(err, context.Canceled) {
			return
		}
		<-tick.C
	}
}
