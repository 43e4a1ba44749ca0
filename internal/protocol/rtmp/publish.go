package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
)

// publish takes the key and feeds its stream until the peer stops or loses the key. It returns nil when the session may
// go on with another command.
func (s *session) publish(ctx context.Context, path, query string) error {
	req, err := s.request(path, query)
	if err != nil {
		s.refusal(hub.ActionPublish, err).Info("refused to publish", "stream", path, "remote", s.remote, "cause", err)
		return s.refuse(publishRefusal(err))
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	lease, err := s.claim(ctx, end, req)
	if errors.Is(err, errPeer) || errors.Is(err, errMemory) {
		s.log.Info("stopped waiting to publish", "stream", req.Key, "remote", s.remote, "cause", err)
		return err
	}
	if late := s.conn.Limit(writeTimeout); late != nil && err == nil {
		lease.Release(late)
		return late
	}
	if err != nil {
		s.refusal(hub.ActionPublish, err).Info("refused to publish", "stream", req.Key, "remote", s.remote, "cause", err)
		return s.refuse(publishRefusal(err))
	}
	lost, err := s.own(lease) //nolint:contextcheck // the lease's context is a child of ctx
	switch {
	case lost:
		if s.conn.Limit(writeTimeout) == nil {
			_ = s.send(s.appendStatus(nil, publishRefusal(err))) // the peer may be gone
		}
		return errRefused
	case errors.Is(err, errDeleted), errors.Is(err, errIdle):
		return s.stopped(err)
	}
	return err
}

// stopped answers a peer that has said that it is done, which has been done by now: it may not want to hear of it any more. The
// session goes on if there were media; else a name could be held for ever, one beginning after another.
func (s *session) stopped(why error) error {
	if err := s.conn.Limit(stoppedTime); err != nil {
		return err
	}
	st := status{"NetStream.Unpublish.Success", levelStatus, "Stopped publishing."}
	if err := s.send(s.appendStatus(nil, st)); err != nil {
		return err
	}
	if errors.Is(why, errIdle) {
		return why
	}
	s.in.SetLimits(setupLimits())
	return nil
}

// own feeds the stream and gives the lease back, whatever happens. It says whether the lease was lost, and why it
// ended.
func (s *session) own(lease *hub.Lease) (lost bool, err error) {
	err = errBroken
	defer func() {
		said := errors.Is(err, errDeleted) || errors.Is(err, errIdle)
		if cause := context.Cause(lease.Context()); cause != nil {
			lost, err = true, cause
		}
		if said {
			lease.Finish(err) // by its own word
		} else {
			lease.Release(err)
		}
		s.log.Info("stopped publishing", "stream", lease.Key(), "cause", err)
	}()
	return false, s.feed(lease)
}

// refuse tells the peer why, and ends the session.
func (s *session) refuse(why status) error {
	if err := s.send(s.appendStatus(nil, why)); err != nil {
		return err
	}
	return errRefused
}

// feed reads media until the peer stops. The hub judges whether enough comes; it ends the lease, and that ends reading.
func (s *session) feed(lease *hub.Lease) error {
	start := chunk.AppendUserControl(nil, chunk.EventStreamBegin, mediaStream)
	start = s.appendStatus(start, status{"NetStream.Publish.Start", levelStatus, "Started publishing stream."})
	if err := s.send(start); err != nil {
		return err
	}
	if err := s.conn.Limit(0); err != nil {
		return err
	}
	defer s.conn.Interrupt(lease.Context())()
	s.in.SetLimits(publishLimits(int(s.cfg.MaxMessage)))
	s.log.Info("accepted publisher", "stream", lease.Key(), "remote", s.remote)
	f := &feeder{session: s, lease: lease, demuxer: &flv.Demuxer{}, seen: map[string]bool{}}
	cell := s.env.PublisherCell("RTMP", lease, s.id, func() { _ = s.conn.Close() })
	defer cell.Free()
	for {
		m, err := s.in.Read()
		if err != nil {
			return protocol.Gone(err)
		}
		cell.Begin()
		err = f.message(m)
		cell.End()
		if err != nil {
			return err
		}
	}
}

// publishLimits are for a peer that publishes messages of up to the given number of bytes. Its buffer takes most pictures
// with one read.
func publishLimits(message int) chunk.Limits {
	return chunk.Limits{Message: message, Partial: 2 * message, Buffer: chunk.DefaultBuffer}
}

// feeder turns the messages of one publishing into units.
type feeder struct {
	*session
	lease   *hub.Lease
	demuxer *flv.Demuxer

	announced bool            // the tracks have been logged
	deaf      bool            // the peer does not take what is said to it: nothing can follow
	media     int             // messages of sound or pictures
	bad       int             // bad media messages in a row
	seen      map[string]bool // causes that have been logged
}

func (f *feeder) message(m chunk.Message) error {
	if err := f.acknowledge(f.in.Bytes(), f.answer); err != nil {
		return err
	}
	switch m.Type {
	case chunk.TypeAudio, chunk.TypeVideo, chunk.TypeDataAMF0, chunk.TypeDataAMF3:
		return f.mediaMessage(m, len(m.Payload))
	case chunk.TypeAggregate:
		parts, err := chunk.SplitAggregate(m)
		for _, p := range parts {
			if bad := f.mediaMessage(p, len(m.Payload)); bad != nil {
				return bad
			}
		}
		return err
	}
	if handled, err := f.control(m, f.answer); handled || err != nil {
		return err
	}
	c, ok, err := parseCommand(m)
	if err != nil || !ok {
		return err
	}
	switch c.name {
	case "deleteStream", "closeStream", "FCUnpublish":
		return f.stop(c)
	case "publish":
		st := status{"NetStream.Publish.BadName", levelError, "This connection publishes already."}
		return f.answer(f.appendStatus(nil, st))
	case "play", "play2":
		return f.answer(f.appendStatus(nil, status{"NetStream.Play.Failed", levelError, "This connection publishes."}))
	}
	f.tell(func() error {
		_, err := f.command(c) // nothing that begins media comes here
		return err
	})
	return nil
}

// mediaMessage takes a message of sound, pictures or data, which keeps held bytes of memory alive. Others it passes over:
// an aggregate has no business with them.
func (f *feeder) mediaMessage(m chunk.Message, held int) error {
	switch m.Type {
	case chunk.TypeAudio, chunk.TypeVideo:
		f.media++
		return f.tag(flv.Tag{Type: flv.TagType(m.Type), Time: m.Time, Body: m.Payload, Held: held})
	case chunk.TypeDataAMF0, chunk.TypeDataAMF3:
		return f.tag(flv.Tag{Type: flv.ScriptTag, Time: m.Time, Body: scriptBody(m)})
	}
	return nil
}

// answer writes while media flows. It does not fail: what the peer has sent before it stopped listening counts, above all its word that
// it is done.
func (f *feeder) answer(b []byte) error {
	f.tell(func() error { return f.send(b) })
	return nil
}

// tell has something written, when no deadline of a phase stands.
func (f *feeder) tell(write func() error) {
	if f.deaf {
		return
	}
	err := f.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		err = write()
	}
	f.deaf = err != nil // reading tells why
}

// stop ends publishing because the peer says so.
func (f *feeder) stop(c command) error {
	if f.media == 0 {
		return errIdle
	}
	return fmt.Errorf("%w (%s)", errDeleted, c.name)
}

// scriptBody is the body of the script tag that a data message stands for: without AMF3's marker, and without the
// @setDataFrame that encoders put before onMetaData.
func scriptBody(m chunk.Message) []byte {
	b := m.Payload
	if m.Type == chunk.TypeDataAMF3 && len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return bytes.TrimPrefix(b, setDataFrame)
}

var setDataFrame = amf.Append(nil, "@setDataFrame") //nolint:gochecknoglobals // a constant that Go cannot write

// tag demuxes a tag and writes its units. A bad tag is logged, each cause once, and skipped.
func (f *feeder) tag(t flv.Tag) error {
	units, err := f.demuxer.Demux(t)
	if len(units) > 0 { // there may be an error as well: one track of several may be bad for ever
		f.bad = 0
	} else if err != nil {
		f.bad++
	}
	if err != nil {
		if err = f.complain(err); err != nil {
			return err
		}
	}
	if t.Type == flv.ScriptTag {
		if video, audio, known := f.demuxer.Declared(); known {
			f.lease.Declare(video, audio)
		}
		return nil
	}
	for _, u := range units {
		if err := f.lease.Write(u); err != nil {
			return err
		}
	}
	if s := f.lease.Stream(); !f.announced && s != nil && s.Ready() {
		f.announced = true
		f.log.Info("publishing", "stream", f.lease.Key(), "tracks", protocol.Describe(s.Tracks()))
	}
	return nil
}

// complain logs a bad tag and ends the session when there is nothing else any more.
func (f *feeder) complain(err error) error {
	if f.bad > badTagsMax {
		return fmt.Errorf("%d bad media messages in a row, the last: %w", f.bad, err)
	}
	const causesMax = 16
	cause := err.Error()
	if inner := errors.Unwrap(err); inner != nil {
		cause = inner.Error() // without the place, so that the same cause is the same text
	}
	if !f.seen[cause] && len(f.seen) < causesMax {
		f.seen[cause] = true
		f.log.Warn("skipped a bad media message", "stream", f.lease.Key(), "cause", err)
	}
	return nil
}
