package egress

import (
	"errors"
	"fmt"
	"time"
)

// Options are the settings of an Egress, and the section "egress".
type Options struct {
	AudioHold    time.Duration `yaml:"audio_hold" doc:"sound waits so long for the next picture to be sent with; streams without pictures are sent as often"`
	MergeWindow  time.Duration `yaml:"merge_window" doc:"what comes within so long is sent at once: less work, more latency; 0: pictures are sent when they come"`
	StallTimeout time.Duration `yaml:"stall_timeout" doc:"a viewer that accepts no data for so long is ended"`
}

// Default returns the settings that hold when nothing is configured.
func Default() Options {
	return Options{AudioHold: 40 * time.Millisecond, StallTimeout: 10 * time.Second}
}

// Validate refuses settings that cannot work.
func (o *Options) Validate() error {
	switch {
	case o.AudioHold < 0 || o.AudioHold > time.Second:
		return fmt.Errorf("audio_hold: %v is not between 0 and 1s", o.AudioHold)
	case o.MergeWindow < 0 || o.MergeWindow > time.Second:
		return fmt.Errorf("merge_window: %v is not between 0 and 1s: viewers that are 1.5s behind skip", o.MergeWindow)
	case o.StallTimeout < time.Second || o.StallTimeout > 10*time.Minute:
		return fmt.Errorf("stall_timeout: %v is not between 1s and 10m", o.StallTimeout)
	}
	return nil
}

// Why a link ends, besides what ends its viewer, its context and its session.
var (
	// ErrStalled means that the peer accepted nothing for the stall timeout.
	ErrStalled error = &stalled{}
	// ErrReplies means that the peer asks faster than it takes answers.
	ErrReplies = errors.New("too many unanswered requests")
	// ErrLeft means that the peer closed the connection, or that it broke.
	ErrLeft = errors.New("the peer closed the connection")
	// ErrHung means that the session, or what it plays, did not return from a call and held others up.
	ErrHung error = &hung{}
	// ErrClosed means that the Egress has ended.
	ErrClosed = errors.New("egress has ended")
)

type stalled struct{}

// Error implements error.
func (*stalled) Error() string { return "stalled: the peer accepts no data" }

// Reason is the word for metrics and the API.
func (*stalled) Reason() string { return "stalled" }

type hung struct{}

// Error implements error.
func (*hung) Error() string { return "hung: others were held up" }

// Reason is the word for metrics and the API.
func (*hung) Reason() string { return "hung" }

// Limits that are no settings.
const (
	batchBytes   = 128 << 10 // handed to a socket at once
	walkBytes    = 256 << 10 // to one viewer, before others have had their turn
	yieldEvery   = 32        // viewers, after which a shard looks at the clock
	audienceMin  = 64        // viewers of one share that are not spread over shards
	repliesBytes = 4 << 10   // answers that wait for a packet's end
	inputBytes   = 2 << 10   // read from a peer that is played to at a time: its words are few, and each costs others time

	yieldAfter   = 2 * time.Millisecond   // of work, after which a shard lets others run
	stepTime     = time.Millisecond       // of a turn, for listening to peers, and for newcomers
	awayLeast    = time.Second            // between two turns: more says that the process was stopped
	sweepEvery   = 500 * time.Millisecond // how often peers are listened to
	gatherShare  = 150 * time.Millisecond // times how busy it is: what a busy shard lets pass at least between two turns
	gatherMost   = 30 * time.Millisecond  // the same, at most
	scanEvery    = 40 * time.Millisecond  // how often a shard looks at all its streams, at least
	holdGrain    = 2 * time.Millisecond   // sound may be held so much longer, lest a shard looks all the time
	retryFirst   = 5 * time.Millisecond   // after which a full socket is tried again; doubles each time
	retryLast    = 250 * time.Millisecond
	farewellTime = 5 * time.Second        // for last words to be taken, behind what the peer has yet to take
	dismissTime  = 500 * time.Millisecond // the same, when the link is ended from outside
	lingerTime   = time.Second            // for the peer to read them and to close

	// Overload: a shard that is busy for more than busyHigh of a second doubles its interval, from intervalMin to intervalMax,
	// and halves it again below busyLow.
	busyHigh    = 0.6
	busyLow     = 0.25
	busySpan    = time.Second
	intervalMin = 80 * time.Millisecond // twice the 40 ms of a usual picture
	intervalMax = 160 * time.Millisecond
)
