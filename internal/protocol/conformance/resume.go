package conformance

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/sim"
)

// comeback is how an encoder differs from the one whose stream it goes on with.
type comeback struct {
	name          string
	before, after sim.Options
	change        bool // of the parameter sets
}

func (s *stage) comebacks() []comeback {
	usual := s.usual()
	pictures, late := usual, usual
	pictures.Audio, pictures.BFrames = 0, 0
	sound := sim.Options{Audio: usual.Audio}
	late.Start = 10 * time.Hour
	all := []comeback{
		{name: "the same", before: usual, after: usual},
		{name: "other parameter sets", before: usual, after: usual, change: true},
		{name: "stamps from 0", before: late, after: usual},
		{name: "stamps from far ahead", before: usual, after: late},
		{name: "without sound", before: usual, after: pictures},
		{name: "with sound", before: pictures, after: usual},
		{name: "without pictures", before: usual, after: sound},
		{name: "with pictures", before: sound, after: usual},
	}
	if s.room.Announced || s.room.Told { // what is new is for others: see lateForOthers and lateEnds
		all = slices.DeleteFunc(all, func(c comeback) bool {
			more := c.after.Audio != 0 && c.before.Audio == 0 || c.after.Video != 0 && c.before.Video == 0
			less := c.after.Audio == 0 && c.before.Audio != 0 || c.after.Video == 0 && c.before.Video != 0
			return more || less && s.room.Told
		})
	}
	return all
}

// resume (S04, S05): a publisher vanishes, and another goes on with the same stream: viewers keep their connections, DTS rises, and what
// comes after the splice begins with a key picture and can be decoded.
func resume(s *stage) {
	s.forPairs(func(p pair, path string) {
		for _, c := range s.comebacks() {
			s.comeBack(p, path+"-"+strings.ReplaceAll(c.name, " ", "-"), c)
			if s.t.Failed() {
				s.t.Fatalf("this was %s: %s", p.name, c.name)
			}
		}
	})
}

func (s *stage) comeBack(p pair, path string, c comeback) {
	s.t.Helper()
	src := s.publishBy(p.owner, path, c.before)
	src.write(5)
	v := s.watch(path)
	v.loose = true
	src.on(40, v)
	v.whole()
	before := s.Hub.Snapshot().Figures
	src.vanish()
	s.Publishers(0)
	s.Viewers(1)
	if i, ok := s.stream(); !ok || i.Publisher != nil || i.Left <= 0 || len(i.Viewers) != 1 {
		s.t.Errorf("a stream that was lost is shown as %+v", i)
	}
	if s.memory {
		time.Sleep(hub.DefaultConfig().Publish.ResumeWindow * 8 / 10)
	}
	c.after.Origin = 1
	e := sim.New(c.after)
	if c.change {
		e.ChangeVideo()
	}
	second, err := s.begin(p.newcomer, path, c.after, e)
	if err != nil {
		s.t.Fatalf("resume: %v", err)
	}
	second.write(10)
	v.until(second)
	late := s.watch(path)
	late.loose = true
	second.on(50, v, late)
	late.whole()
	v.check.Gaps = 0 // what is left of those that nobody may see
	if after := s.Hub.Snapshot().Figures; after.Resumes != before.Resumes+1 || after.Lapses != before.Lapses+1 {
		s.t.Errorf("%d lapses and %d resumes are counted", after.Lapses-before.Lapses, after.Resumes-before.Resumes)
	}
	second.finish(v)
	late.over(second)
	leave(late)
	s.Publishers(0)
	s.Viewers(0)
}

// windowOver (S04): when nobody resumes a stream, its viewers are told after the resume window, and why; and then it is gone.
func windowOver(s *stage) {
	window := hub.DefaultConfig().Publish.ResumeWindow
	most := window + 500*time.Millisecond
	if !s.memory {
		window, most = 300*time.Millisecond, 3*time.Second // the machine may be busy
	}
	s.forPairs(func(p pair, path string) {
		src := s.publishBy(p.owner, path, s.usual())
		src.write(5)
		v := s.watch(path)
		src.on(25, v)
		begin := time.Now()
		src.vanish()
		for s.memory && time.Since(begin) < window-time.Second { // each read has a deadline, which is shorter
			time.Sleep(time.Second)
		}
		s.Viewers(1)
		v.over(src)
		if took := time.Since(begin); took < window || took > most {
			s.t.Errorf("%s: told after %v, want %v to %v", p.name, took, window, most)
		}
		leave(v)
		s.Viewers(0)
		s.publishBy(p.newcomer, path, s.usual()).finish(nil)
	})
	s.Logged("stopped playing", hub.ErrUnpublished.Error())
}

// diary is an observer that writes down what it is told, slowly.
type diary struct {
	mu     sync.Mutex
	rng    *rand.Rand
	events []hub.Event
}

func newDiary() hub.Observer {
	return &diary{rng: rand.New(rand.NewPCG(10, 0))} //nolint:gosec // a seed repeats the run
}

// Observe implements hub.Observer. It takes as long as something far away may take.
func (d *diary) Observe(e hub.Event) {
	d.mu.Lock()
	pause := time.Duration(d.rng.Int64N(int64(3 * time.Second)))
	d.mu.Unlock()
	time.Sleep(pause)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

func (d *diary) of(k hub.Key) []hub.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []hub.Event
	for _, e := range d.events {
		if e.Session.Key == k && (e.Kind == hub.Published || e.Kind == hub.Unpublished) {
			all = append(all, e)
		}
	}
	return all
}

// flapping (S10): a publisher comes and goes 200 times, by one protocol or the other, with a word or without. Observers are told of
// each coming and each going, in turn, by rising epochs, although they are slow.
func flapping(s *stage) {
	const rounds = 200
	rng := rand.New(rand.NewPCG(10, 1)) //nolint:gosec // a seed repeats the run
	pause := func() { time.Sleep(50*time.Millisecond + time.Duration(rng.Int64N(int64(450*time.Millisecond)))) }
	o := sim.Options{Video: av.H264, GOP: 10}
	for i := range rounds {
		src := s.publishBy([]driver{s.own(), publishInMemory}[rng.IntN(2)], "live/flap", o)
		src.write(1 + rng.IntN(20))
		pause()
		if rng.IntN(2) == 0 {
			src.vanish()
		} else {
			src.stop()
			if i%4 == 0 { // and its connection breaks on top of it
				src.vanish()
			}
		}
		pause()
	}
	s.Publishers(0)
	d, _ := s.told.(*diary)
	key, err := hub.ParseKey("live/flap")
	if err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Hour); len(d.of(key)) < 2*rounds && time.Now().Before(deadline); {
		time.Sleep(time.Second)
	}
	events, epoch := d.of(key), uint64(0)
	if len(events) != 2*rounds {
		s.t.Errorf("%d events, want %d", len(events), 2*rounds)
	}
	for i, e := range events {
		want := []hub.EventKind{hub.Published, hub.Unpublished}[i%2]
		if e.Kind != want || want == hub.Published && e.Epoch <= epoch || want == hub.Unpublished && e.Epoch != epoch {
			s.t.Fatalf("event %d: %s of epoch %d after epoch %d", i, e.Kind, e.Epoch, epoch)
		}
		epoch = e.Epoch
	}
	if drops := s.Hub.Snapshot().DroppedEvents; drops > 0 {
		s.t.Errorf("%d events were dropped", drops)
	}
}
