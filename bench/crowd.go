//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// segmented is what is measured of HTTP Live Streaming when "segmented" is named.
const segmented = "nginx:2000 hls:2000 llhls:200 m3u8:64 m3u8-gzip:64 m3u8-stranger:64 llm3u8:64 llm3u8-gzip:64 llm3u8-stranger:64"

// From the publisher's start, in seconds: crowdKnown to the first request, when the server has seen how far key pictures are apart and can say
// a target duration that fits; crowdLead to the first viewer, when there are some segments.
const crowdKnown, crowdLead = 6, 12

// crowd is a way to use playlists and segments.
type crowd struct {
	list  string // end of the playlist's path
	how   string // flags of the generator
	flood bool   // playlists only, as fast as they come
	nginx bool   // what is measured is nginx
}

func crowds(kind string) (c crowd, ok bool) {
	const ts, fmp4 = "/hls.m3u8", "/hls.fmp4.m3u8"
	switch kind {
	case "hls":
		return crowd{list: ts}, true
	case "nginx":
		return crowd{list: ts, nginx: true}, true
	case "llhls":
		return crowd{list: fmp4, how: "--low-latency"}, true
	}
	c.flood = true
	name, variant, hasVariant := strings.Cut(kind, "-")
	switch name {
	case "m3u8":
		c.list = ts
	case "llm3u8":
		c.list = fmp4
	default:
		return crowd{}, false
	}
	c.how = "--flood"
	switch {
	case variant == "gzip":
		c.how += " --gzip"
	case variant == "stranger":
		c.how += " --no-cookies"
	case variant == "nginx" && c.list == ts:
		c.nginx = true
	case hasVariant:
		return crowd{}, false
	}
	return c, true
}

// crowdResult is what the generator says that the referee does not.
type crowdResult struct {
	Requests  float64 `json:"requests,omitempty"`
	Lists     float64 `json:"playlists,omitempty"`
	ListBytes float64 `json:"playlist_bytes,omitempty"`
	Pieces    float64 `json:"pieces,omitempty"` // segments or parts
	Missed    int     `json:"missed,omitempty"`
	LatePiece int     `json:"late_pieces,omitempty"`
	PerCPU    float64 `json:"requests_per_cpu,omitempty"` // requests for each CPU second of the server

	ListP50  float64 `json:"list_p50,omitempty"` // milliseconds from the request to the whole playlist
	ListP99  float64 `json:"list_p99,omitempty"`
	PieceP50 float64 `json:"piece_p50,omitempty"`
	PieceP99 float64 `json:"piece_p99,omitempty"`
	AgeP50   float64 `json:"age_p50,omitempty"` // milliseconds since the newest of a playlist was complete
	AgeP99   float64 `json:"age_p99,omitempty"`
}

// crowdLine is such a result for the impatient.
func (r result) crowdLine(c crowd) string {
	s := fmt.Sprintf("%-14v", r.target)
	if c.flood {
		s += fmt.Sprintf(" %.0f requests a CPU second, %.0f a second", r.PerCPU, r.Requests/r.Seconds)
	} else {
		s += fmt.Sprintf(" %5.1f %% delivered, %.3f CPU-s/GB, %.0f requests a second, playlist %.1f/%.1f ms, segment %.1f/%.1f ms, "+
			"age %.2f/%.2f s, %d missed, %d late", r.Ratio*100, r.PerGB, r.Requests/r.Seconds, r.ListP50, r.ListP99, r.PieceP50, r.PieceP99,
			r.AgeP50/1e3, r.AgeP99/1e3, r.Missed, r.LatePiece)
	}
	s += fmt.Sprintf("; others took %.2f cores", others(r))
	if r.Error != "" {
		s += fmt.Sprintf("; %d failed, %d died: %s", r.Failed, r.Died, r.Error)
	}
	return s
}

// measureCrowd takes one figure with playlists: a publisher, and viewers of its stream at the server, or at nginx, which has copies.
func (w *yard) measureCrowd(ctx context.Context, t target, c crowd, s *serving, r *result) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	publisher, err := w.publish(ctx, t, s)
	if err != nil {
		return err
	}
	defer publisher.Wait() //nolint:errcheck // it is ended by the signal
	defer cancel()
	m := &mirror{from: fmt.Sprintf("http://127.0.0.1:%d/live/s0%s", s.ports["http"], c.list)}
	began := time.Now()
	if err = m.ready(ctx, began.Add(crowdKnown*time.Second), began.Add(crowdLead*time.Second)); err != nil {
		return err
	}
	url, pids := m.from, []int{s.cmd.Process.Pid}
	if c.nginx {
		var n *nginx
		if n, err = w.startNginx(ctx, m); err != nil {
			return err
		}
		defer n.stop()
		url, pids = n.url(c.list), n.pids()
	}
	args := []string{
		"--url", url, "--count", strconv.Itoa(t.viewers), "--pid", strings.Trim(strings.ReplaceAll(fmt.Sprint(pids), " ", ","), "[]"),
		"--ramp", strconv.Itoa(ramp), "--warmup", strconv.Itoa(warmUp), "--duration", strconv.Itoa(w.duration),
	}
	args = append(args, strings.Fields(c.how)...)
	if w.memory && !c.nginx {
		args = append(args, "--mark")
	}
	out, err := exec.CommandContext(ctx, w.crowd, args...).Output()
	if err != nil {
		return withOutput(err, nil)
	}
	return errors.Join(json.Unmarshal(out, r), m.err())
}

// publish starts a publisher, which goes on until ctx ends.
func (w *yard) publish(ctx context.Context, t target, s *serving) (*exec.Cmd, error) {
	clip, err := w.clip(ctx, t.kbits)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, w.referee, "--pub", s.url("rtmp", "rtmp", ""), "--file", clip, "--label", filepath.Base(clip),
		"--lead", "0", "--warmup", "0", "--duration", "3600", "--quiet")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Second
	return c, c.Start()
}
