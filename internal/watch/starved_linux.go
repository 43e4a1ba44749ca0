package watch

import "golang.org/x/sys/unix"

// NewStarved returns what says whether processes wait for processors for much of the time, as of the last ten seconds: then slow is not
// stuck. The function does not wait and allocates nothing; one goroutine at a time calls it. Where the kernel does not tell, it is always
// false. It keeps a descriptor for as long as the process lives, so that it can tell when there are no more to be had.
func NewStarved() func() bool { return starvedBy("/proc/pressure/cpu") }

func starvedBy(path string) func() bool {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() bool { return false }
	}
	buf := new([256]byte)
	return func() bool {
		n, err := unix.Pread(fd, buf[:], 0)
		return err == nil && starved(buf[:n])
	}
}
