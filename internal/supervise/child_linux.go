package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// phase is how far a worker has come.
type phase uint8

const (
	starting  phase = iota
	serving         // it accepts
	retiring        // another serves, and it lets its sessions run out
	condemned       // it is being ended
	gone
)

// child is a worker as the loop knows it, which owns all of it but what says otherwise.
type child struct {
	number  int
	program string // that it runs
	cmd     *exec.Cmd
	line    *line    // any goroutine may send
	beats   *os.File // its own goroutine reads
	last    *os.File // its standard error: the last words, in memory

	phase   phase
	why     string    // it was started, or is ended
	begun   time.Time // it was started
	since   time.Time // it was ready
	limit   time.Time // for what it is doing: to be ready, to retire, to die
	killed  bool
	safe    bool           // it lets no media in
	spared  bool           // it would have been replaced, and somebody has been told
	failed  *said          // why it cannot start
	claimed map[place]bool // what it has asked to listen on
	heard   chan struct{}  // closed when it has said all

	beat   beat
	beatAt time.Time
	cpu    uint64    // that it had used
	cpuAt  time.Time // when it was first seen to have

	planned chan<- error // who waits for it to serve; or nil
}

// String is the word for the log.
func (p phase) String() string {
	return [...]string{"starting", "serving", "retiring", "ending", "gone"}[p]
}

// start starts a worker of a program and sends the first message. Its descriptors are closed on failure.
func (o *Options) start(ctx context.Context, program string, number int, h *hello) (_ *child, err error) {
	c := &child{
		number: number, program: program, claimed: map[place]bool{}, why: h.Why, safe: h.Safe, heard: make(chan struct{}),
	}
	var theirs, beatsTheirs *os.File
	defer func() {
		closeFile(theirs)
		closeFile(beatsTheirs)
		if err != nil {
			c.close()
		}
	}()
	if c.line, theirs, err = linePair(); err != nil {
		return nil, err
	}
	if c.beats, beatsTheirs, err = os.Pipe(); err != nil {
		return nil, err
	}
	if c.last, err = boundedMemory("last words", lastWordsMost); err != nil {
		return nil, err
	}
	// Its context never ends: how a worker ends is the loop's business.
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, o.Args...)
	c.cmd.Args[0] = "vigil-worker"
	c.cmd.Env = append(append([]string(nil), o.Env...), workerEnv+"=1", "GOTRACEBACK=all",
		"GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",tracebacklabels=1", ",")) // so that stacks tell of their tasks
	c.cmd.Stdout, c.cmd.Stderr = o.Screen, c.last
	c.cmd.ExtraFiles = []*os.File{theirs, beatsTheirs, o.Console} // lineFD, beatFD, consoleFD
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}       // an interrupt from the terminal is the supervisor's
	if err = c.line.send(&message{Hello: h}, -1); err != nil {
		return nil, err
	}
	if err = c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	c.begun = time.Now()
	c.beatAt = c.begun
	return c, nil
}

// ownProgram is the program that this process runs, whatever has come into its place.
const ownProgram = "/proc/self/exe"

// program is the one to start: what is in the place of this one by now, which may be newer; if nothing is, this one.
func (o *Options) program() string {
	if _, err := os.Stat(o.Executable); err == nil {
		return o.Executable
	}
	return ownProgram
}

func (c *child) pid() int {
	if c.cmd == nil || c.cmd.Process == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// signal sends a signal. A worker that has ended does not get it.
func (c *child) signal(s os.Signal) {
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return // there is nothing else to be done: the loop looks again
	}
}

// answer tells who has planned a worker how that went.
func (c *child) answer(err error) {
	if c.planned != nil {
		c.planned <- err // it has room for one
		c.planned = nil
	}
}

// hearOut waits until all has been heard that a worker that has ended had said.
func (c *child) hearOut() {
	limit := time.NewTimer(hearTime)
	defer limit.Stop()
	select {
	case <-c.heard:
	case <-limit.C:
	}
}

// hearTime bounds hearOut: a worker may have asked for a socket that takes its time to be opened.
const hearTime = 500 * time.Millisecond

// close gives back what the supervisor has of a worker that has ended.
func (c *child) close() {
	if c.line != nil {
		_ = c.line.conn.Close()
	}
	closeFile(c.beats)
	closeFile(c.last)
}

// exit is how a worker has ended.
type exit struct {
	code   int            // -1: by a signal
	signal syscall.Signal // 0: by itself
}

// String says it in words.
func (e exit) String() string {
	if e.signal != 0 {
		return "signal " + e.signal.String()
	}
	return fmt.Sprintf("exit code %d", e.code)
}

// wait waits until a worker has ended.
func (c *child) wait() exit {
	_ = c.cmd.Wait() // the state tells
	st := c.cmd.ProcessState
	if st == nil {
		return exit{code: -1}
	}
	e := exit{code: st.ExitCode()}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.signal = ws.Signal()
	}
	return e
}
