package watch

import (
	"bytes"
	"os"
)

// Held says whether a debugger holds the process, so that what seems to be stuck is only being looked at. Where the system does not tell,
// it is false.
func Held() bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && traced(status)
}

// traced reads the state of a process as Linux writes it.
func traced(status []byte) bool {
	_, rest, ok := bytes.Cut(status, []byte("\nTracerPid:"))
	if !ok {
		return false
	}
	pid, _, _ := bytes.Cut(rest, []byte("\n"))
	pid = bytes.TrimSpace(pid)
	return len(pid) > 0 && !bytes.Equal(pid, []byte("0"))
}
