package governor

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestLimit(t *testing.T) {
	const mib = 1 << 20
	machine := "MemTotal:       10240 kB\nMemFree: 1 kB\n" // 10 MiB
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  int64 // bytes that there are
	}{
		{"nothing is known", nil, 0},
		{"the machine", map[string]string{"proc/meminfo": machine}, 10 * mib},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: lots\n", "proc/self/cgroup": "what\n"}, 0},
		{"a container", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4194304\n",
		}, 4 * mib},
		{"a container without a limit", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n",
		}, 10 * mib},
		{"a service", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/system.slice/vigil.service\n",
			"sys/fs/cgroup/system.slice/vigil.service/memory.max": "8388608\n",
		}, 8 * mib},
		{"a service of a slice with less", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/system.slice/vigil.service\n",
			"sys/fs/cgroup/system.slice/vigil.service/memory.max": "max\n", "sys/fs/cgroup/system.slice/memory.max": "2097152\n",
		}, 2 * mib},
		{"the first version", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "12:cpu:/a\n5:memory:/docker/x\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3145728\n", "sys/fs/cgroup/a/memory.max": "1\n",
		}, 3 * mib},
		{"the first version without a limit", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 10 * mib},
		{"a path that is none", map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::x\n"}, 10 * mib},
		{"a path that leads outside", map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/x/memory.max": "1048576\n",
		}, mib},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tc.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := available(root); got != tc.want {
				t.Errorf("%d bytes, want %d", got, tc.want)
			}
			if got := Limit(0, root); got != tc.want*8/10 {
				t.Errorf("a limit of %d", got)
			}
			if got := Limit(77, root); got != 77 {
				t.Errorf("a limit of %d, configured 77", got)
			}
		})
	}
}

// An operator's GOMEMLIMIT is the limit where none is configured and it is less than what there is.
func TestLimitOfOperator(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	for total, want := range map[string]int64{"": 1 << 30, "MemTotal: 1024 kB\n": 1 << 20 * 8 / 10, "MemTotal: 10485760 kB\n": 1 << 30} {
		root := fstest.MapFS{"proc/meminfo": {Data: []byte(total)}}
		if got := Limit(0, root); got != want {
			t.Errorf("%q: a limit of %d, want %d", total, got, want)
		}
	}
}

// Where a machine tells what memory it has, that is some.
func TestLimitHere(t *testing.T) {
	_, err := os.Stat("/proc/meminfo")
	if got := Limit(0, os.DirFS("/")); err == nil && got < 64<<20 || got > math.MaxInt64/2 {
		t.Errorf("a limit of %d", got)
	}
}
