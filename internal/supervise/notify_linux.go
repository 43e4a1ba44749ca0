package supervise

import (
	"context"

	"github.com/coreos/go-systemd/v22/daemon"
)

// noticesMost is how many notices wait for systemd. It has the state of them all: those that it does not take are dropped.
const noticesMost = 8

// notify tells systemd, if it has started this process. It does not wait.
func (s *Supervisor) notify(state string) {
	select {
	case s.notices <- state:
	default:
	}
}

// sendNotices sends what notify has taken. It may hang with systemd.
func (s *Supervisor) sendNotices(context.Context) {
	for state := range s.notices {
		_, _ = daemon.SdNotify(false, state) // nobody may be there to hear it
	}
}
