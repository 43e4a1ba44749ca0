package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/disk"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/all"
	"github.com/vigil-media/vigil/internal/watch"
	"github.com/vigil-media/vigil/internal/watch/bundle"
)

const gatherTime = 10 * time.Second // for evidence to be gathered and kept

// Gather has evidence gathered and kept, and does not wait for it. asked says that a person wants it: then it may be the second within a
// minute.
func (s *Server) Gather(reason string, asked bool) { s.gather(reason, asked, nil) }

// gatherFor gathers evidence of a loop that is stuck.
func (s *Server) gatherFor(f watch.Finding, o watch.Outcome) {
	if f.Again == 0 {
		s.gather(f.Label.Class.Name()+" "+f.Label.Name+" is stuck", false, &bundle.Found{Finding: f, Outcome: o})
	}
}

func (s *Server) gather(reason string, asked bool, f *bundle.Found) {
	if !asked && !s.watch.due() { // to gather stops the world for some milliseconds
		return
	}
	err := s.watch.heals.Go(context.Background(), "evidence", func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, gatherTime)
		defer cancel()
		path, err := s.evidence(ctx, reason, asked, f)
		switch {
		case errors.Is(err, bundle.ErrTooSoon), errors.Is(err, bundle.ErrBusy):
		case err != nil:
			s.logger.Warn("evidence could not be kept", "reason", reason, "cause", err)
		default:
			s.logger.Warn("kept evidence", "reason", reason, "file", path)
		}
	})
	if err != nil {
		s.logger.Warn("no evidence is gathered", "reason", reason, "cause", err)
	}
}

// Evidence gathers evidence for a person, and returns the file that it is in.
func (s *Server) Evidence(ctx context.Context, reason string) (string, error) {
	return s.evidence(ctx, reason, true, nil)
}

func (s *Server) evidence(ctx context.Context, reason string, asked bool, f *bundle.Found) (string, error) {
	b, err := s.collect(ctx, s.sources(reason, f), asked)
	if err != nil {
		return "", err
	}
	for _, line := range b.Verdict {
		s.logger.Warn("evidence says", "verdict", line)
	}
	if s.opt.Parent != nil {
		return s.opt.Parent.Keep(ctx, reason, asked, b.Data)
	}
	return disk.Call(ctx, s.volume, int64(len(b.Data)), "bundle", func() (string, error) {
		if asked {
			return s.watch.shelf.Force(reason, b.Data)
		}
		return s.watch.shelf.Put(reason, b.Data)
	})
}

// collect collects evidence. A person waits until what is being collected already has been.
func (s *Server) collect(ctx context.Context, from bundle.Sources, asked bool) (b *bundle.Bundle, err error) {
	poll := time.NewTicker(collectPoll)
	defer poll.Stop()
	for {
		b, err = s.watch.collector.Collect(ctx, from)
		if !asked || !errors.Is(err, bundle.ErrBusy) {
			return b, err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return b, err
		}
	}
}

const collectPoll = 100 * time.Millisecond

// sources is where evidence comes from.
func (s *Server) sources(reason string, f *bundle.Found) bundle.Sources {
	src := bundle.Sources{
		Reason: reason, Board: s.watch.board, Recorder: s.watch.recorder,
		Log:      func() []byte { return []byte(strings.Join(s.log.Recent(recentLines), "\n")) },
		Sessions: func(context.Context) any { return s.hub.Snapshot() },
		Peers:    func(context.Context) []bundle.Peer { return peers(s.hub.Snapshot()) },
		Config:   s.effective,
		Secrets:  []string{s.apiSecret.Load().Reveal()},
	}
	if f != nil {
		src.Found = []bundle.Found{*f}
	}
	return src
}

const recentLines = 2000

// gatherEvery is how often evidence is gathered that nobody has asked for.
const gatherEvery = time.Minute

// due says whether it is time for evidence that nobody has asked for.
func (w *watcher) due() bool {
	now := max(1, int64(time.Since(w.begun))) // not the wall clock, which may be set back
	last := w.gathered.Load()
	return (last == 0 || now-last >= int64(gatherEvery)) && w.gathered.CompareAndSwap(last, now)
}

// peers lists who publishes and plays.
func peers(snap *hub.Snapshot) (all []bundle.Peer) {
	add := func(i *hub.SessionInfo) {
		all = append(all, bundle.Peer{ID: i.ID, Stream: i.Key.String(), Remote: i.Remote.String()})
	}
	for i := range snap.Streams {
		st := &snap.Streams[i]
		if st.Publisher != nil {
			add(st.Publisher)
		}
		if st.Standby != nil {
			add(st.Standby)
		}
		for j := range st.Viewers {
			add(&st.Viewers[j])
		}
	}
	return all
}

// effective is the configuration that holds, without secrets.
func (s *Server) effective() []byte {
	now := s.live.now.Load()
	known := now.cfg.known()
	for _, p := range all.Protocols() {
		d := p.Defaults()
		if err := now.conf.Section(p.Name).Decode(d); err == nil { // it is sound
			known = append(known, conf.Known{Name: p.Name, Doc: p.Title + ".", Defaults: d})
		}
	}
	return []byte(conf.Reference(known))
}
