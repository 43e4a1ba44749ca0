package hls

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls/internal/segment"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/task"
)

// Protocol returns the room.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "hls", Title: "HLS",
		Defaults: func() any { return Default() },
		Play: []av.Codec{
			av.H264, av.H265, av.AV1, av.VP9, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3, av.AC3, av.FLAC,
		},
		Serve: serve,
	}
}

// renditionsMax bounds the goroutines that cut: two formats of more streams than a server of this size can take.
const renditionsMax = 20_000

type server struct {
	env  protocol.Env
	cfg  *Config
	done context.Context //nolint:containedctx // the server's life, which requests and viewings end with
	stop context.CancelCauseFunc
	cuts *task.Pool // of renditions
	dir  *mirrors   // nil: there is no folder

	began  time.Time
	clock  atomic.Int64 // nanoseconds, in steps of lookEvery; stands still while the process is paused
	looked time.Time    // when it moved on; look's

	mu         sync.RWMutex // guards what follows; memory only
	renditions map[renditionKey]*rendition
	tokens     map[string]*rendition
	visitors   map[string]*visitor      // by the id of their session
	strangers  map[fingerprint]*visitor // those who have not shown yet that they keep a cookie
	newcomers  map[netip.Addr]int       // how many visitors of an address have asked once
	loaders    map[fingerprint]*visitor // the newest ones that look like that, whatever their query
	floors     map[seriesKey]uint64     // below which a name's renditions do not begin to count segments, where that is more than the clock says
	floor      uint64                   // the same of all
	breaks     uint64                   // the same of discontinuities
}

// renditionKey names a rendition.
type renditionKey struct {
	stream *stream.Stream
	format segment.Format
}

func serve(env protocol.Env, section conf.Section) (protocol.Server, error) {
	cfg := Default()
	if err := section.Decode(cfg); err != nil {
		return nil, err
	}
	s := &server{
		env: env, cfg: cfg, cuts: env.Sessions("hls", renditionsMax), renditions: map[renditionKey]*rendition{},
		tokens: map[string]*rendition{}, visitors: map[string]*visitor{}, strangers: map[fingerprint]*visitor{},
		loaders: map[fingerprint]*visitor{}, newcomers: map[netip.Addr]int{}, began: time.Now(), looked: time.Now(), floors: map[seriesKey]uint64{},
	}
	s.clock.Store(1) // 0 is no moment
	s.done, s.stop = context.WithCancelCause(context.Background())
	cfg.Always = cfg.Always || cfg.Dir != "" // who watches what others serve asks for nothing here
	var err error
	if s.dir, err = newMirrors(env, cfg, func() bool { return s.done.Err() != nil }); err != nil {
		return nil, err
	}
	if cfg.Enabled {
		s.route()
	}
	return s, nil
}

// route tells the listener what is ours.
func (s *server) route() {
	for _, suffix := range suffixes {
		s.env.HTTP.HandleSuffix(suffix, s)
	}
}

// Run looks after viewers and renditions until ctx ends, and returns when nothing is cut any more. Requests run on the goroutines of the HTTP
// listener, which waits for them.
func (s *server) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			s.look(now)
			s.dir.look(now)
		}
	}
	s.mu.Lock() // whoever begins a rendition has begun it, or will see that it is too late
	s.stop(hub.ErrClosing)
	s.mu.Unlock()
	s.cuts.Wait()
	return nil
}

// keeping says how the connections of viewers are served who come again.
func (s *server) keeping() protocol.Keeping {
	return protocol.Keeping{Done: s.done, Idle: min(s.cfg.Idle, keptIdle), Ours: routed, Serve: s}
}

// suffixes are how the paths end that are ours.
//
//nolint:gochecknoglobals // a constant
var suffixes = [...]string{
	playlistTS, playlistFMP4, playlistIndex, segment.SuffixTS, segment.SuffixPart, segment.SuffixInit,
}

func routed(path string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cfg.CORS.Asks(w, r) && s.answer(w, r) && r.Method == http.MethodGet {
		protocol.Keep(w, r, s.keeping())
	}
}
