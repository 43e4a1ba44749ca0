package watch

import (
	"sync"
	"testing"
	"unsafe"
)

// A cell fills a cache line of a 64-bit system: two loops never write to the same.
func TestCellSize(t *testing.T) {
	if n := unsafe.Sizeof(Cell{}); unsafe.Sizeof(uintptr(0)) == 8 && n != 64 {
		t.Errorf("a cell has %d bytes", n)
	}
	if at := uintptr(unsafe.Pointer(NewBoard().at(0))); at%64 != 0 {
		t.Errorf("the first cell lies at %#x", at)
	}
}

func TestNilBoard(t *testing.T) {
	var b *Board
	c := b.Claim(Label{})
	if c != nil || b.States() != nil {
		t.Errorf("%v, %v", c, b.States())
	}
	c.Begin()
	c.End()
	c.Abandon()
	c.Free()
	if c.Busy() != 0 {
		t.Error("it is busy")
	}
}

// A cell that was given back is the next that is taken, by one only, even if it was given back twice.
func TestClaimAndFree(t *testing.T) {
	b := NewBoard()
	one, two := b.Claim(Label{Class: Fanout, Name: "one", Session: "s"}), b.Claim(Label{Name: "two"})
	one.Begin()
	two.End()
	st := b.States()
	if len(st) != 2 || st[0].Name != "one" || st[0].Class != Fanout || st[0].Session != "s" || st[0].Busy == 0 || st[1].Busy != 0 {
		t.Errorf("%+v", st)
	}
	if one.Busy() == 0 || two.Busy() != 0 || st[1].Done != 1 {
		t.Errorf("%v, %v, %+v", one.Busy(), two.Busy(), st)
	}
	one.Free()
	one.Free()
	if st := b.States(); len(st) != 1 || st[0].Name != "two" {
		t.Errorf("%+v", st)
	}
	a, c := b.Claim(Label{Name: "a"}), b.Claim(Label{Name: "c"})
	if a != one || c == a || c == two || a.Busy() != 0 {
		t.Error("one cell was given to two")
	}
}

// There is a bound to what a board takes; beyond it, claims are in vain and harmless.
func TestBoardIsBounded(t *testing.T) {
	b := NewBoard()
	cells := make([]*Cell, pagesMost*cellsEach)
	for i := range cells {
		if cells[i] = b.Claim(Label{}); cells[i] == nil {
			t.Fatalf("only %d cells", i)
		}
	}
	if c := b.Claim(Label{}); c != nil {
		t.Error("one more")
	}
	cells[77].Free()
	if c := b.Claim(Label{}); c != cells[77] {
		t.Error("none, although one was given back")
	}
	g := NewGuard(GuardOptions{Board: b})
	g.scan(b.now())
	if g.pulse.Cells != len(cells) {
		t.Errorf("%d cells are looked at", g.pulse.Cells)
	}
}

// Loops come and go, hang and are abandoned, while the guard and people look: for the race detector.
func TestConcurrent(t *testing.T) {
	b := NewBoard()
	g := NewGuard(GuardOptions{Board: b})
	var loops sync.WaitGroup
	for range 8 {
		loops.Go(func() {
			for n := range 300 {
				cells := make([]*Cell, 200)
				for i := range cells {
					cells[i] = b.Claim(Label{Class: Class(i) % classes})
					cells[i].Begin()
				}
				for i, c := range cells {
					if (i+n)%3 == 0 {
						c.Abandon()
					} else {
						c.End()
					}
					_ = c.Busy()
					c.Free()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { loops.Wait(); close(done) }()
	for at := int64(scanEvery); ; at += int64(scanEvery) {
		g.scan(at)
		b.States()
		for len(g.found) > 0 {
			<-g.found
		}
		select {
		case <-done:
			g.scan(at + 1)
			if n := len(b.States()); n > 0 || g.pulse.Cells > 0 {
				t.Errorf("%d cells are left", n)
			}
			if n := b.used.Load(); n > 8*200 {
				t.Errorf("%d cells were made", n)
			}
			return
		default:
		}
	}
}

func BenchmarkStep(b *testing.B) {
	c := NewBoard().Claim(Label{Class: Fanout})
	for b.Loop() {
		c.Begin()
		c.End()
	}
}
