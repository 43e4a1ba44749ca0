package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-media/vigil/internal/task"
	"github.com/vigil-media/vigil/internal/watch"
)

const (
	partWithin = time.Second // for each part; they are made side by side
	pieceMax   = 2 << 20     // of each file but those that say otherwise
	stacksMax  = 3 << 20     // of goroutines.txt
)

// ErrBusy is returned by Collect while another one is under way.
var ErrBusy = errors.New("a bundle is being put together already")

var errLate = errors.New("it has not come in time")

// Sources is where evidence comes from. All of it may be missing. Functions are called on tasks of their own, may hang, and then are not
// called again until they come back.
type Sources struct {
	Reason   string // for people
	Found    []Found
	Board    *watch.Board
	Recorder *Recorder

	Log      func() []byte                 // the newest lines, the oldest of them first
	Sessions func(ctx context.Context) any // for sessions.json
	Peers    func(ctx context.Context) []Peer
	Config   func() []byte // YAML without secrets

	// Secrets are blotted out wherever they stand in a text or in the trace. Those of less than 4 bytes are not.
	Secrets []string
}

// Bundle is evidence.
type Bundle struct {
	At      time.Time
	Reason  string
	Verdict []string // see the function Verdict
	Data    []byte   // .tar.gz, at most 16 MiB
}

// Collector puts bundles together. Its methods are safe for concurrent use.
type Collector struct {
	within time.Duration
	busy   atomic.Bool
	tasks  *task.Pool

	mu    sync.Mutex // guards what follows; memory only
	hangs map[string]time.Time
}

// NewCollector returns a collector. It starts nothing before Collect is called.
func NewCollector() *Collector {
	return &Collector{within: partWithin, tasks: task.NewPool(filesMax, nil), hangs: map[string]time.Time{}}
}

// yield is what making a part gives: files, and what the verdict is made from.
type yield struct {
	files []File
	tell  func(*Case)
}

// part is something that is made by itself.
type part struct {
	name string // of its first file
	make func(ctx context.Context) (yield, error)
}

// outcome is how it went.
type outcome struct {
	yield

	at   int
	took time.Duration
	err  error
}

// Collect gathers evidence of this process. It takes 1 s at the most, and the packing, also when parts hang: those are left out and the
// manifest says so. When ctx ends, what is there by then is packed. One at a time is made; a second gets ErrBusy at once.
func (c *Collector) Collect(ctx context.Context, s Sources) (*Bundle, error) {
	if !c.busy.CompareAndSwap(false, true) {
		return nil, ErrBusy
	}
	defer c.busy.Store(false)
	parts := parts(&s)
	files, known := c.gather(ctx, parts)
	known.Reason, known.Found = s.Reason, s.Found
	b := &Bundle{At: time.Now(), Reason: s.Reason, Verdict: Verdict(&known)}
	secrets := secretForms(s.Secrets)
	b.blot(secrets)
	files = slices.Insert(files, 0, File{Name: "verdict.txt", Data: []byte(strings.Join(b.Verdict, "\n") + "\n"), Most: pieceMax})
	blot(files, secrets)
	data, err := Compose(files)
	b.Data = data
	return b, err
}

// gather makes all parts, side by side.
func (c *Collector) gather(ctx context.Context, parts []part) (files []File, known Case) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.within, errLate)
	defer cancel()
	came := make(chan outcome, len(parts)) // so that one that comes late does not wait for anybody
	all := make([]outcome, len(parts))
	waiting := 0
	for i, p := range parts {
		all[i].err, all[i].took = errLate, c.within
		if err := c.begin(ctx, p, i, came); err != nil {
			all[i].err, all[i].took = err, 0
			continue
		}
		waiting++
	}
	for o := range arrivals(ctx, came, waiting) {
		all[o.at] = o
	}
	for i := range all {
		files = append(files, all[i].result(parts[i].name)...)
		if all[i].err == nil && all[i].tell != nil {
			all[i].tell(&known)
		}
	}
	return files, known
}

// arrivals gives what comes until ctx ends, n outcomes at the most. What has come by then is given too.
func arrivals(ctx context.Context, came <-chan outcome, n int) iter.Seq[outcome] {
	return func(yield func(outcome) bool) {
		for range n {
			select {
			case o := <-came:
				yield(o)
				continue
			default:
			}
			select {
			case o := <-came:
				yield(o)
			case <-ctx.Done():
				return
			}
		}
	}
}

// result is the files of a part, or one that says why there are none.
func (o *outcome) result(name string) []File {
	if o.err != nil {
		return []File{{Name: name, Took: o.took, Err: o.err}}
	}
	for i := range o.files {
		o.files[i].Took = o.took
	}
	return o.files
}

// begin starts to make a part, unless it hangs since another time.
func (c *Collector) begin(ctx context.Context, p part, at int, came chan<- outcome) error {
	begun := time.Now()
	if since, hangs := c.mark(p.name, begun); hangs {
		return fmt.Errorf("it hangs since %s, when another bundle was put together", since.UTC().Format(time.RFC3339))
	}
	err := c.tasks.Go(ctx, "bundle "+p.name, func(ctx context.Context) {
		defer c.unmark(p.name)
		o := outcome{at: at}
		o.err = task.Guard(p.name, func() (err error) {
			o.yield, err = p.make(ctx)
			return err
		})
		o.took = time.Since(begun)
		came <- o
	})
	if err != nil {
		c.unmark(p.name)
	}
	return err
}

// mark notes that a part is being made, if it is not already.
func (c *Collector) mark(name string, now time.Time) (since time.Time, hangs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since, hangs = c.hangs[name]; !hangs {
		c.hangs[name] = now
	}
	return since, hangs
}

func (c *Collector) unmark(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.hangs, name)
}

// parts lists what a bundle consists of, in the order of the archive.
func parts(s *Sources) []part {
	all := []part{
		{"cells.txt", s.cells},
		{"goroutines.txt", goroutines},
		{"process.txt", func(ctx context.Context) (yield, error) {
			return one("process.txt", process(ctx, "/proc/self")), nil
		}},
		{"sockets.txt", ownSockets},
		{"runtime.txt", func(context.Context) (yield, error) { return one("runtime.txt", runtimeText()), nil }},
		{"config.yaml", s.config},
		{"log.txt", s.log},
		{"sessions.json", s.sessions},
		{"peers", s.peers},
		{"trace.out", s.trace},
	}
	for _, name := range [...]string{"goroutine", "heap", "mutex", "block"} {
		all = append(all, part{name + ".pb.gz", func(ctx context.Context) (yield, error) {
			data, err := profile(ctx, name)
			return yield{files: []File{{Name: name + ".pb.gz", Data: data, Whole: true}}}, err
		}})
	}
	return all
}

func one(name string, data []byte) yield {
	return yield{files: []File{{Name: name, Data: data, Most: pieceMax}}}
}

var errNone = errors.New("nobody has given it")

func (s *Sources) cells(context.Context) (yield, error) {
	if s.Board == nil {
		return yield{}, errNone
	}
	states := s.Board.States()
	y := one("cells.txt", cellsText(states))
	y.tell = func(c *Case) { c.Cells = states }
	return y, nil
}

func goroutines(ctx context.Context) (yield, error) {
	text := stacks()
	d, err := dump(ctx, text)
	if err != nil {
		return yield{}, err
	}
	return yield{
		files: []File{
			{Name: "goroutines-grouped.txt", Data: d.Text(), Most: pieceMax},
			{Name: "goroutines.txt", Data: text, Most: stacksMax},
		},
		tell: func(c *Case) { c.Dump = d },
	}, nil
}

func ownSockets(ctx context.Context) (yield, error) {
	if runtime.GOOS != "linux" {
		return one("sockets.txt", []byte("This is known on Linux only.\n")), nil
	}
	all, err := sockets(ctx, "/proc/self")
	if err != nil {
		return yield{}, err
	}
	y := one("sockets.txt", socketsText(all))
	y.tell = func(c *Case) { c.Sockets = all }
	return y, nil
}

func (s *Sources) config(context.Context) (yield, error) {
	if s.Config == nil {
		return yield{}, errNone
	}
	return one("config.yaml", s.Config()), nil
}

func (s *Sources) log(context.Context) (yield, error) {
	if s.Log == nil {
		return yield{}, errNone
	}
	y := one("log.txt", s.Log())
	y.files[0].Tail = true
	return y, nil
}

func (s *Sources) sessions(ctx context.Context) (yield, error) {
	if s.Sessions == nil {
		return yield{}, errNone
	}
	data, err := json.MarshalIndent(s.Sessions(ctx), "", " ")
	return one("sessions.json", data), err
}

// peers gives no file: the verdict needs them.
func (s *Sources) peers(ctx context.Context) (yield, error) {
	if s.Peers == nil {
		return yield{}, nil
	}
	all := s.Peers(ctx)
	return yield{tell: func(c *Case) { c.Peers = all }}, nil
}

func (s *Sources) trace(ctx context.Context) (yield, error) {
	data, err := s.Recorder.Snapshot(ctx)
	return yield{files: []File{{Name: "trace.out", Data: data, Whole: true}}}, err
}
