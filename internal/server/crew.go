package server

import "sync"

// crew is what is at work and to be waited for at the end, when nobody may join any more. (A sync.WaitGroup must not be joined while it is
// waited for: the HTTP server begins requests until its last connection is closed.) The zero value is ready.
type crew struct {
	mu   sync.Mutex // guards what follows; memory only
	n    int
	over chan struct{} // made by wait; closed when n is 0
}

// join says whether there may be one more. It is to leave.
func (c *crew) join() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return false
	}
	c.n++
	return true
}

func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.over != nil {
		close(c.over)
	}
}

// wait returns when all have left. It is called once.
func (c *crew) wait() {
	c.mu.Lock()
	c.over = make(chan struct{})
	if c.n == 0 {
		close(c.over)
	}
	c.mu.Unlock()
	<-c.over
}
