package server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/log"
	"github.com/vigil-media/vigil/internal/task"
)

func trimSpace(b []byte) string { return string(bytes.TrimSpace(b)) }

// announce logs what listens where, and shows the start-up screen to people. The screen may be a pipe that nobody reads:
// its writer is not waited for.
func (s *Server) announce(ctx context.Context) {
	for _, l := range s.net.all() {
		s.logger.Debug("listening", "name", l.name, "address", l.listener.Addr().String())
	}
	s.logger.Info("started", "version", s.opt.Version)
	switch p := s.opt.Parent; {
	case p == nil || p.Why() == "":
	case p.Planned():
		s.logger.Info("this worker takes over", "cause", p.Why())
	default:
		s.logger.Warn("this worker takes the place of another", "cause", p.Why())
		s.book.raise(alarmReplaced, "", p.Why())
	}
	if s.safe() {
		s.book.raise(alarmSafe, "", "workers have died again and again: no media are let in")
		s.logger.Error("safe mode: no media are let in, because workers have died again and again")
	}
	for _, n := range s.opt.Notes {
		s.logger.Warn("about the configuration", "note", n)
	}
	s.doubt(Doubts(s.opt.Config))
	if !s.auth.Asks(hub.ActionPublish) {
		s.logger.Warn("publishing is open to everybody who can reach the ports", "see", "auth.rules, hooks.on_publish")
	}
	if !s.auth.Asks(hub.ActionPlay) {
		s.logger.Warn("playing is open to everybody who can reach the ports", "see", "auth.rules, hooks.on_play")
	}
	if s.opt.Screen != nil && s.cfg.log.Format == log.FormatText && (s.opt.Parent == nil || s.opt.Parent.Why() == "") {
		screen, text := s.opt.Screen, s.screen()
		g, _ := task.NewGroup(context.WithoutCancel(ctx))
		g.Go("screen", func(context.Context) error {
			_, _ = screen.Write(text) // a closed terminal is no reason not to serve
			return nil
		})
	}
}

// screen is what a person sees first.
func (s *Server) screen() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Vigil %s\n\n", s.opt.Version)
	for _, l := range s.net.all() {
		fmt.Fprintf(&b, "  %-11s %s\n", l.name, l.listener.Addr())
	}
	if s.opt.Parent != nil && s.opt.Parent.HealthAddress() != "" {
		fmt.Fprintf(&b, "  %-11s %s\n", "health", s.opt.Parent.HealthAddress())
	}
	fmt.Fprintf(&b, "  %-11s %s\n", "data", s.store.Path())
	header := "Authorization: Bearer SECRET"
	if s.cfg.api.Secret == "" {
		fmt.Fprintf(&b, "  %-11s %s\n", "API secret", filepath.Join(s.cfg.data, secretFile))
		header = "Authorization: Bearer $(cat " + filepath.Join(s.cfg.data, secretFile) + ")"
	} else {
		fmt.Fprintf(&b, "  %-11s %s\n", "API secret", "the configured one")
	}
	b.WriteString("\nTry:\n")
	if port, ok := s.port("RTMP"); ok {
		if port != "1935" {
			port = ":" + port
		} else {
			port = ""
		}
		fmt.Fprintf(&b, "  ffmpeg -re -i in.mp4 -c copy -f flv rtmp://127.0.0.1%s/live/cam1\n", port)
	}
	if port, ok := s.port("HTTP"); ok {
		fmt.Fprintf(&b, "  ffplay http://127.0.0.1:%s/live/cam1.live.flv   # or .live.ts, .live.mp4\n", port)
		if camera, ok := s.port("RTSP"); ok {
			fmt.Fprintf(&b, "  ffplay rtsp://127.0.0.1:%s/live/cam1\n", camera)
		}
		fmt.Fprintf(&b, "  http://127.0.0.1:%s/play/live/cam1   # in a browser\n", port)
		fmt.Fprintf(&b, "  curl -H \"%s\" http://127.0.0.1:%s/api/v1/streams\n", header, port)
	}
	b.WriteString("\n")
	return b.Bytes()
}

// port returns the port of a listener.
func (s *Server) port(name string) (string, bool) {
	for _, l := range s.net.all() {
		if l.name == name {
			_, port, err := net.SplitHostPort(l.listener.Addr().String())
			return port, err == nil
		}
	}
	return "", false
}

// Addr returns the address of the listener with the given name, such as "HTTP", or nil. Listeners with port 0 have got
// a real one.
func (s *Server) Addr(name string) net.Addr {
	for _, l := range s.net.all() {
		if l.name == name {
			return l.listener.Addr()
		}
	}
	return nil
}
