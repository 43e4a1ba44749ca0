package supervise

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is what the kernel says of a process.
type process struct {
	state  byte   // R, S, D, T, Z; 0: there is none
	traced bool   // by a debugger
	cpu    uint64 // ticks of a processor's time that it has used
}

// processOf returns what the kernel says of a process.
func processOf(pid int) (p process) {
	dir := "/proc/" + strconv.Itoa(pid)
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p
	}
	for line := range strings.Lines(string(b)) {
		if name, value, _ := strings.Cut(line, ":"); name == "TracerPid" {
			p.traced = strings.TrimSpace(value) != "0"
		}
	}
	if b, err = os.ReadFile(dir + "/stat"); err != nil {
		return p
	}
	_, fields := statFields(b)
	if len(fields) < 13 {
		return p
	}
	p.state = fields[0][0]
	for _, f := range fields[11:13] { // utime, stime
		n, _ := strconv.ParseUint(f, 10, 64) // it is a number
		p.cpu += n
	}
	return p
}

// statFields splits /proc/PID/stat: "pid (name) state parent ...", where the name may hold anything.
func statFields(b []byte) (pid int, rest []string) {
	head, tail, ok := bytes.Cut(b, []byte(" ("))
	at := bytes.LastIndex(tail, []byte(") "))
	if !ok || at < 0 {
		return 0, nil
	}
	pid, _ = strconv.Atoi(string(head)) // it is a number
	return pid, strings.Fields(string(tail[at+2:]))
}

// reap takes the exit codes of processes that were left to the process with the number 1, which is this one, by parents that have
// ended. Those of its own children are the business of who has started them: mine says which.
func reap(mine func(pid int) bool) {
	self := os.Getpid()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, fields := statFields(b)
		if len(fields) < 2 || fields[0] != "Z" || fields[1] != strconv.Itoa(self) || mine(pid) {
			continue
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

// cutConnections shuts down the connections of a process that cannot be ended, so that its peers do not wait for it, and returns how
// many. Its listening sockets are its successor's, too, and are left alone.
func cutConnections(pid int) (n int) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(pidfd)                                           //nolint:errcheck // nothing can be done about it
	links, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*") // the pattern is sound
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(to, "socket:") {
			continue
		}
		theirs, err := strconv.Atoi(filepath.Base(link))
		if err != nil {
			continue
		}
		fd, err := unix.PidfdGetfd(pidfd, theirs, 0)
		if err != nil {
			continue
		}
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 0 {
			if family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil && family != unix.AF_UNIX {
				_ = unix.Shutdown(fd, unix.SHUT_RDWR)
				n++
			}
		}
		_ = unix.Close(fd)
	}
	return n
}

// hangsInKernel says whether a thread of a process is where no signal reaches it, as one is that waits for a disk. Such a process cannot end,
// and keeps its descriptors until it does; once it has been killed nobody else can get at them.
func hangsInKernel(pid int) bool {
	stats, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/[0-9]*/stat") // the pattern is sound
	for _, path := range stats {
		if b, err := os.ReadFile(path); err == nil {
			if _, fields := statFields(b); len(fields) > 0 && fields[0] == "D" {
				return true
			}
		}
	}
	return false
}
