//go:build linux

package main

import (
	"fmt"
	"os"
	"syscall"
)

// spare is what each process opens besides one descriptor for each viewer and publisher.
const spare = 64

// fits raises the limit of open files to what the system allows, for all that is started from here, and says whether the largest
// measurement fits into that and into the source ports of one address.
func fits(targets []target) error {
	most := 0
	for _, t := range targets {
		most = max(most, t.viewers+t.streams)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	// Go has raised it for this process already, but children get the old one unless it is set by hand.
	files.Cur = files.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if uint64(most+spare) > files.Max {
		return fmt.Errorf("%d connections need more open files than the hard limit of %d (ulimit -Hn)", most, files.Max)
	}
	var first, last int
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(b), &first, &last)
	}
	if err != nil {
		return fmt.Errorf("source ports: %w", err)
	}
	if most+spare > last-first {
		return fmt.Errorf("%d connections need more source ports than the %d there are (sysctl net.ipv4.ip_local_port_range)", most, last-first)
	}
	return nil
}
