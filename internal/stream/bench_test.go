package stream

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/sim"
)

// benchUnits are the units of a second, made before the clock runs: writing takes a unit over, so that each round makes
// copies of the headers only.
type benchUnits struct {
	from []*av.AccessUnit
	n    int
}

func newBenchUnits(o sim.Options) *benchUnits {
	e := sim.New(o)
	return &benchUnits{from: e.Take(68)}
}

// next returns a new unit with the next stamp.
func (b *benchUnits) next() *av.AccessUnit {
	u := *b.from[b.n%len(b.from)]
	round := b.n / len(b.from)
	b.n++
	last := b.from[len(b.from)-1]
	u.DTS += (last.DTS + 20*ms) * time.Duration(round)
	u.PTS = u.DTS
	return &u
}

// 2 Mbit/s: 25 pictures and 46.9 frames of sound a second.
var benchOptions = sim.Options{Video: av.H264, Audio: av.AAC, Size: 8900, KeySize: 30_000}

// BenchmarkPublish is a publisher without readers. Of its allocations one is the unit itself.
func BenchmarkPublish(b *testing.B) {
	s := New(Options{})
	p, units := s.Publish(), newBenchUnits(benchOptions)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		u := units.next()
		size += u.Size()
		if err := p.Write(u); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size / b.N))
}

// BenchmarkPublishShared is a publisher with one share that nobody reads: the cost of muxing.
func BenchmarkPublishShared(b *testing.B) {
	s := New(Options{})
	p, units := s.Publish(), newBenchUnits(benchOptions)
	v, err := s.Watch("bytes", func() Muxer { return plain{} })
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Write(units.next()); err != nil {
			b.Fatal(err)
		}
	}
}

// plain is a muxer that costs one copy.
type plain struct{}

func (plain) Head(dst []byte, _ []*av.Track) []byte                       { return dst }
func (plain) Config(dst []byte, _, _ []*av.Track, _ time.Duration) []byte { return dst }
func (plain) Unit(dst []byte, _ []*av.Track, u *av.AccessUnit) []byte {
	for _, d := range u.Data {
		dst = append(dst, d...)
	}
	return dst
}

var benchReaders = []int{1, 100, 1000, 10_000}

// BenchmarkDeliverUnits is one unit from Write to every one of n readers, each of which has taken it before the next
// is written. allocs/op are for all readers together.
func BenchmarkDeliverUnits(b *testing.B) {
	for _, n := range benchReaders {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := New(Options{})
			deliver(b, s, n, func() func() (int, error) {
				r, dst := s.NewReader(), make([]Entry, 16)
				return func() (int, error) { return r.Read(b.Context(), dst) }
			})
		})
	}
}

// BenchmarkDeliverBytes is the same for viewers of a share.
func BenchmarkDeliverBytes(b *testing.B) {
	for _, n := range benchReaders {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := New(Options{})
			deliver(b, s, n, func() func() (int, error) {
				v, err := s.Watch("bytes", func() Muxer { return plain{} })
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(v.Close)
				return func() (int, error) {
					_, err := v.Next(b.Context(), 64<<10)
					return 1, err
				}
			})
		})
	}
}

// deliver writes units one by one, each when all readers have the one before.
func deliver(b *testing.B, s *Stream, n int, attach func() func() (int, error)) {
	p, units := s.Publish(), newBenchUnits(benchOptions)
	var left atomic.Int64
	all := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for range n {
		take := attach()
		wg.Go(func() {
			for {
				got, err := take()
				if err != nil {
					return
				}
				if left.Add(int64(-got)) == 0 {
					all <- struct{}{}
				}
			}
		})
	}
	write := func() {
		left.Store(int64(n))
		if err := p.Write(units.next()); err != nil {
			b.Fatal(err)
		}
		<-all
	}
	write()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		write()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/unit/reader")
	s.End(errOver)
	wg.Wait()
}
