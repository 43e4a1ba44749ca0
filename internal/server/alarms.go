package server

import (
	"log/slog"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
)

// alarms writes to the log what the hub has noticed and somebody should look at. It implements hub.Observer.
type alarms struct {
	log      *slog.Logger
	refusals *protocol.Refusals // encoders try again and again
	book     *alarmBook
}

// Observe implements hub.Observer.
func (a alarms) Observe(e hub.Event) {
	s := e.Session
	switch e.Kind {
	case hub.Duel:
		a.book.raise(alarmDuel, s.Key.String(), "two publishers take the stream from each other: "+e.Rival.ID+" and "+s.ID)
		a.about(e).Warn("two publishers take a stream from each other: its owner keeps it for a while", "stream", s.Key,
			"owner", e.Rival.ID, "remote", e.Rival.Remote, "other", s.ID, "other_remote", s.Remote)
	case hub.Ghost:
		a.book.raise(alarmGhost, s.Key.String(), "publisher "+s.ID+" was refused because of "+e.Rival.ID+", which sends nothing")
		a.about(e).Warn("refused a publisher because of one that sends nothing", "stream", s.Key,
			"owner", e.Rival.ID, "remote", e.Rival.Remote, "refused", s.ID, "refused_remote", s.Remote)
	case hub.Mute:
		a.book.raise(alarmMute, s.Key.String(), "a track of publisher "+s.ID+" has stopped, others go on")
		a.log.Warn("a track has stopped, others of its stream go on", "stream", s.Key, "session", s.ID, "track", e.Track)
	case hub.Stuck:
		a.book.raise(alarmStuck, s.Key.String(), "the stream hangs and was given up: publisher "+s.ID)
		a.log.Error("gave up a stream that hangs", "stream", s.Key, "session", s.ID, "remote", s.Remote, "viewers", e.Viewers, "cause", e.Cause)
	case hub.Lapsed:
		a.log.Info("lost the publisher; viewers wait for one that resumes", "stream", s.Key, "session", s.ID, "viewers", e.Viewers,
			"cause", e.Cause)
	case hub.Resumed:
		a.log.Info("the stream goes on", "stream", s.Key, "session", s.ID, "viewers", e.Viewers)
	case hub.Unwatched:
		a.log.Info("nobody watches", "stream", s.Key, "session", s.ID)
	case hub.Published, hub.Unpublished, hub.Played, hub.Stopped, hub.Wanted, hub.Opened, hub.Closed: // the rooms log what they do
	}
}

// about returns the log for what the hub has noticed of a newcomer, if it is to be said.
func (a alarms) about(e hub.Event) *slog.Logger {
	return a.refusals.Logger(a.log, string(e.Kind), e.Session.Remote.Addr())
}
