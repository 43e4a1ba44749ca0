package hub

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/vigil-media/vigil/internal/stream"
)

// Whatever the order in which some go in and out of a stream and others close their viewers, no viewer is left open once all have come
// out, and the stream has ended if it was to.
func TestNobodyIsLeftInside(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		for round := range 2000 {
			b := &broadcast{stream: stream.New(stream.Options{})}
			p := b.stream.Publish()
			if err := p.Write(encoder(0).Next()); err != nil {
				t.Fatal(err)
			}
			var all []*stream.Viewer
			for range 6 {
				v, err := b.watch("x", func() stream.Muxer { return null{} })
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, v)
			}
			var wg sync.WaitGroup
			for n := range 3 {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(round), uint64(n)))
					for range 4 {
						b.enter()
						pause(rnd)
						b.exit()
					}
				})
			}
			for n, v := range all {
				wg.Go(func() { pause(rand.New(rand.NewPCG(uint64(round), uint64(3+n)))); b.close(v) })
			}
			ends := round%2 == 0
			if ends {
				wg.Go(func() { pause(rand.New(rand.NewPCG(uint64(round), 99))); b.end(ErrUnpublished) })
			}
			wg.Wait()
			if b.late.Load() != nil {
				t.Fatalf("%d processors, round %d: a viewer is left to somebody who is not there", procs, round)
			}
			if (b.stream.Ended() != nil) != ends {
				t.Fatalf("%d processors, round %d: ended: %v, want %v", procs, round, b.stream.Ended(), ends)
			}
		}
	}
}

// pause lets others run, as chance will have it.
func pause(rnd *rand.Rand) {
	for range rnd.IntN(4) {
		runtime.Gosched()
	}
}
