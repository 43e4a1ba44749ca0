package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"time"
)

// App is the application that the server keeps for its probe.
const App = "__probe"

// Dialer makes connections, as [net.Dialer] does.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Target is what is looked at.
type Target struct {
	RTMP, HTTP string   // host:port; "": off
	Others     []string // listeners that are only connected to; host:port
	App        string   // to publish in; "": [App]
	Token      string   // which the server knows the probe by
}

// Result is what a run has found.
type Result struct {
	OK      bool
	Latency time.Duration // from when the picture was sent until the last player had it; 0 without RTMP
	// Stage is what failed, "" if nothing did: "GET /livez", "connect RTMP", "publish", "play RTMP", "play HTTP-FLV", "unpublish",
	// "GET list", "connect " with an address.
	Stage string
	Err   error     // why, for people
	At    time.Time // when the run ended
}

// Run looks at all of the target once, one thing after another, until something fails. It takes a few milliseconds, and no longer than
// ctx lives: give that a deadline. What has failed by then stands in the result.
func Run(ctx context.Context, d Dialer, t Target) Result {
	r := &run{ctx: ctx, dialer: d, target: t, name: t.Token + "-" + random(8), marker: random(16)}
	if r.target.App == "" {
		r.target.App = App
	}
	defer r.close()
	for _, s := range r.stages() {
		if err := s.do(); err != nil {
			return Result{Stage: s.name, Err: err, At: time.Now()}
		}
	}
	return Result{OK: true, Latency: r.latency, At: time.Now()}
}

// random returns n random bytes as hexadecimal digits.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it does not fail
	return hex.EncodeToString(b)
}

// run is one look. Its goroutine owns it.
type run struct {
	ctx          context.Context //nolint:containedctx // the run's life is that of the call
	dialer       Dialer
	target       Target
	name, marker string

	lines     []*line // all of them
	publisher *line
	player    *line // by RTMP
	viewer    *line // by HTTP
	sent      time.Time
	latency   time.Duration
}

type stage struct {
	name string
	do   func() error
}

// stages is the script. Health comes first: if the process is dead, that is to be said. Players ask when the name is taken, so that
// nobody has to wait for a publisher, and before there is a picture, so that its way is the one of live media.
func (r *run) stages() []stage {
	var all []stage
	add := func(on bool, name string, do func() error) {
		if on {
			all = append(all, stage{name, do})
		}
	}
	media, web := r.target.RTMP != "", r.target.HTTP != ""
	add(web, "GET /livez", func() error { return r.get("/livez", "") })
	add(media, "connect RTMP", func() error { return r.open(&r.publisher) })
	add(media, "publish", r.publish)
	add(media, "connect RTMP", func() error { return r.open(&r.player) })
	add(media, "play RTMP", func() error { return r.player.say(play(r.name)) })
	add(media && web, "play HTTP-FLV", r.view)
	add(media, "publish", r.send)
	add(media, "play RTMP", func() error { return r.see(r.player) })
	add(media && web, "play HTTP-FLV", func() error { return r.see(r.viewer) })
	add(media, "unpublish", r.unpublish)
	add(web, "GET list", func() error { return r.get("/api/v1/streams?brief=true", r.target.Token) })
	for _, address := range r.target.Others {
		add(true, "connect "+address, func() error {
			_, err := r.call(address)
			return err
		})
	}
	return all
}

func (r *run) call(address string) (*line, error) {
	l, err := call(r.ctx, r.dialer, address)
	if err == nil {
		r.lines = append(r.lines, l)
	}
	return l, err
}

func (r *run) close() {
	for _, l := range r.lines {
		l.close()
	}
}

// get asks for a path, which must be there.
func (r *run) get(path, token string) error {
	l, err := r.call(r.target.HTTP)
	if err != nil {
		return err
	}
	if err := l.say(get(r.target.HTTP, path, token)); err != nil {
		return err
	}
	begin := statusLine(200)
	if err := l.hear(len(begin)); err != nil {
		return err
	}
	if string(l.heard[:len(begin)]) != begin {
		return fmt.Errorf("want 200%s", l.said())
	}
	return l.find("\r\n\r\n")
}

// open connects, shakes hands, and asks for the application.
func (r *run) open(to **line) error {
	l, err := r.call(r.target.RTMP)
	if err != nil {
		return err
	}
	*to = l
	if err := l.say(hello()); err != nil {
		return err
	}
	if err := l.hear(answerSize); err != nil {
		return err
	}
	if err := l.say(append(l.heard[1:helloSize:helloSize], connect(r.target.App)...)); err != nil { // C2 is S1
		return err
	}
	l.heard = l.heard[answerSize:]
	return l.find(connected)
}

func (r *run) publish() error {
	if err := r.publisher.say(publish(r.name)); err != nil {
		return err
	}
	return r.publisher.find(published)
}

// view asks for the stream by HTTP. The answer begins when there is media.
func (r *run) view() (err error) {
	if r.viewer, err = r.call(r.target.HTTP); err != nil {
		return err
	}
	return r.viewer.say(get(r.target.HTTP, "/"+r.target.App+"/"+r.name+".live.flv", ""))
}

func (r *run) send() error {
	r.sent = time.Now()
	return r.publisher.say(picture(r.marker))
}

// see waits for the picture.
func (r *run) see(l *line) error {
	if err := l.find(r.marker); err != nil {
		return fmt.Errorf("the picture was not seen: %w", err)
	}
	r.latency = time.Since(r.sent)
	return nil
}

// unpublish ends the publication by the publisher's own word, so that the server waits for nobody.
func (r *run) unpublish() error {
	if err := r.publisher.say(unpublish(r.name)); err != nil {
		return err
	}
	return r.publisher.find(unpublished)
}
