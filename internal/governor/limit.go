package governor

import (
	"bytes"
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	shareOfMachine = 0.8 // of what there is, where no limit is configured: the kernel's buffers and others need some
	shareOfRuntime = 0.9 // of the limit, at which the runtime begins to collect as hard as it may
)

// Limit returns the limit in bytes: the configured one, or, where that is 0, 80 % of what the machine or the container has, but no more
// than the GOMEMLIMIT that the operator has set. 0: nobody knows. root is the root of the file system.
func Limit(configured int64, root fs.FS) int64 {
	if configured > 0 {
		return configured
	}
	limit := int64(float64(available(root)) * shareOfMachine)
	if set := debug.SetMemoryLimit(-1); set < math.MaxInt64 && (limit == 0 || set < limit) {
		return set
	}
	return limit
}

// limitRuntime sets the runtime's limit, unless the operator has set one, and returns what undoes that.
func limitRuntime(limit int64) (undo func()) {
	set := debug.SetMemoryLimit(-1)
	if set < math.MaxInt64 {
		return func() {}
	}
	debug.SetMemoryLimit(int64(float64(limit) * shareOfRuntime))
	return func() { debug.SetMemoryLimit(set) }
}

// available is the memory in bytes that the machine has, or the control groups that the process is in allow it, whichever is less. 0:
// nobody knows.
func available(root fs.FS) int64 {
	least := meminfo(root)
	for _, name := range groupFiles(root) {
		b, err := fs.ReadFile(root, name)
		if err != nil {
			continue
		}
		// "max", and in the first version a number near the largest, mean that there is no limit.
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil && n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// meminfo is MemTotal.
func meminfo(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 53)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// groupFiles lists where a limit of the process's control groups, and of those that they are in, may stand: of the second version and
// of the first. In a container the process sees its own as the outermost.
func groupFiles(root fs.FS) []string {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		top, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "memory":
			top, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			names = append(names, path.Join(top, group, file))
			if group == "/" {
				break
			}
		}
	}
	return names
}
