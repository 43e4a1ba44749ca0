//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// nginxMissing says in the report why a line is not there.
const nginxMissing = "There is no nginx here, so what serves the same files from memory was not measured (Debian: apt install nginx-light)."

// findNginx returns the path of nginx, or nothing. Debian keeps it where only root looks.
func findNginx() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if file, err := exec.LookPath(name); err == nil {
			return file
		}
	}
	return ""
}

// withoutNginx leaves out what cannot be measured, and says so.
func withoutNginx(targets []target, nginx string) (possible []target, note string) {
	if nginx != "" {
		return targets, ""
	}
	possible = slices.DeleteFunc(slices.Clone(targets), func(t target) bool {
		c, ok := crowds(t.kind)
		return ok && c.nginx
	})
	if len(possible) < len(targets) {
		note = nginxMissing
	}
	return possible, note
}

// nginx is one that runs.
type nginx struct {
	cmd  *exec.Cmd
	dir  string // what it serves: a folder of tmpfs
	port int
	end  context.CancelFunc
	done chan error
	idle chan struct{} // closed when the mirror has ended
}

// nginxConf serves a folder as one who serves files for a living would have it: {workers}, {port}, {dir} and {scratch} are to be filled in.
const nginxConf = `
daemon off;
worker_processes {workers};
worker_rlimit_nofile 65536;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx.log warn;
events { worker_connections 16384; }
http {
	types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }
	default_type application/octet-stream;
	client_body_temp_path {scratch}/nginx-body;
	proxy_temp_path {scratch}/nginx-proxy;
	fastcgi_temp_path {scratch}/nginx-fastcgi;
	uwsgi_temp_path {scratch}/nginx-uwsgi;
	scgi_temp_path {scratch}/nginx-scgi;
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_timeout 75s;
	keepalive_requests 10000000;
	server {
		listen 127.0.0.1:{port} backlog=4096;
		root {dir};
		location ~ \.m3u8$ { add_header Cache-Control no-cache; }
		location / { open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s; add_header Cache-Control "max-age=60, immutable"; }
	}
}
`

// shm is where Linux has memory as a file system.
const shm = "/dev/shm"

// startNginx starts nginx on copies of what a mirror is of, which go on being made until stop.
func (w *yard) startNginx(ctx context.Context, m *mirror) (*nginx, error) {
	var fs syscall.Statfs_t
	const tmpfs = 0x01021994
	if err := syscall.Statfs(shm, &fs); err != nil || fs.Type != tmpfs {
		return nil, fmt.Errorf("%s is no tmpfs: %w", shm, errors.Join(err, errors.ErrUnsupported))
	}
	root, err := os.MkdirTemp(shm, "bench-")
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	n := &nginx{dir: root, end: end, done: make(chan error, 1), idle: make(chan struct{})}
	m.dir = filepath.Join(root, "live", "s0")
	err = errors.Join(os.Chmod(root, 0o755), os.MkdirAll(m.dir, 0o755)) //nolint:gosec // its workers are another user
	if err == nil {
		err = m.step(ctx) // so that there is something to serve
	}
	if err != nil {
		close(n.idle)
		close(n.done)
		n.stop()
		return nil, err
	}
	go func() { defer close(n.idle); m.run(ctx) }()
	if err := n.start(ctx, w); err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

func (n *nginx) start(ctx context.Context, w *yard) error {
	defer func() {
		if n.cmd == nil {
			close(n.done)
		}
	}()
	free, err := freePorts(ctx, 1)
	if err != nil {
		return err
	}
	n.port = free[0]
	file := filepath.Join(w.dir, "nginx.conf")
	conf := strings.NewReplacer("{workers}", strconv.Itoa(runtime.NumCPU()), "{port}", strconv.Itoa(n.port), "{dir}", n.dir, "{scratch}", w.dir).Replace(nginxConf)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	c := exec.CommandContext(ctx, w.nginx, "-p", w.dir, "-c", file, "-e", filepath.Join(w.dir, "nginx.log"))
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 5 * time.Second
	if err := c.Start(); err != nil {
		return err
	}
	n.cmd = c
	go func() { n.done <- c.Wait(); close(n.done) }()
	return n.ready(ctx)
}

// ready waits until it listens and has all its workers.
func (n *nginx) ready(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(limit, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)))
		if err == nil {
			_ = conn.Close() // it was only to see
			if len(n.pids()) == 1+runtime.NumCPU() {
				return nil
			}
		}
		select {
		case err := <-n.done:
			return fmt.Errorf("nginx ended: %w; see nginx.log", errors.Join(err, errors.ErrUnsupported))
		case <-limit.Done():
			return fmt.Errorf("nginx does not listen: %w", limit.Err())
		case <-poll.C:
		}
	}
}

func (n *nginx) url(list string) string {
	return fmt.Sprintf("http://127.0.0.1:%d/live/s0%s", n.port, list)
}

// pids are its processes.
func (n *nginx) pids() []int {
	pid := n.cmd.Process.Pid
	all := []int{pid}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // without it there are none, and ready says so
	for word := range strings.FieldsSeq(string(b)) {
		if child, err := strconv.Atoi(word); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// stop ends it and the copying, and takes the copies away.
func (n *nginx) stop() {
	n.end()
	<-n.idle
	for range n.done {
	}
	_ = os.RemoveAll(n.dir) // what is left is in memory until the next start of the machine
}
