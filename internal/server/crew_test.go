package server

import (
	"sync"
	"testing"
	"testing/synctest"
)

// Who joins while all are waited for is turned away, and those that were there are waited for.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c crew
		if !c.join() {
			t.Fatal("nobody waits, and it is turned away")
		}
		waited := make(chan struct{})
		go func() {
			c.wait()
			close(waited)
		}()
		synctest.Wait()
		if c.join() {
			t.Error("it joins while it is waited for")
		}
		select {
		case <-waited:
			t.Error("the one that was there is not waited for")
		default:
		}
		c.leave()
		<-waited
	})
	for range 100 { // under the race detector
		var c crew
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if c.join() {
					c.leave()
				}
			})
		}
		c.wait()
		wg.Wait()
	}
}
