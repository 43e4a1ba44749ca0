package rtsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/rtsp/internal/wire"
)

// beginRecord is RECORD before media flow.
func (s *session) beginRecord(r *wire.Request) (do func(context.Context) error, err error) {
	if s.record != nil {
		for _, m := range s.record.medias {
			if m.usable() && m.transport != nil {
				return func(ctx context.Context) error { return s.publish(ctx, r) }, nil
			}
		}
	}
	return nil, s.respond(r, answer{code: base.StatusMethodNotValidInThisState, session: s.token})
}

// publish takes the key and feeds its stream until the peer stops or loses the key. It returns nil when the session may
// go on with another request.
func (s *session) publish(ctx context.Context, r *wire.Request) error {
	req, err := s.ask(s.record.target)
	if err != nil {
		return s.refuse(r, err) // announce has checked it
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	lease, err := s.claim(ctx, stop, req)
	if errors.Is(err, errPeer) || errors.Is(err, errMemory) {
		s.log.Info("stopped waiting to publish", "stream", req.Key, "remote", s.remote, "cause", err)
		return err
	}
	if err == nil {
		if late := s.conn.Limit(writeTimeout); late != nil {
			lease.Release(late)
			return late
		}
	}
	if err != nil {
		s.refused(hub.ActionPublish, req.Key, err)
		return s.refuse(r, err)
	}
	lost, end, err := s.own(lease, r) //nolint:contextcheck // the lease's context is a child of ctx
	switch {
	case lost:
		return errRefused
	case errors.Is(err, errTeardown):
		if err = s.conn.Limit(writeTimeout); err != nil {
			return err
		}
		if err = s.respond(end, answer{code: base.StatusOK}); err != nil {
			return err
		}
		s.in.SetLimits(setupLimits(), playBuffer)
		return nil
	}
	return err
}

// claim asks the hub for the key. A peer that goes away ends the wait with errPeer, lest it displace an owner that lives.
func (s *session) claim(ctx context.Context, end context.CancelCauseFunc, req hub.Request) (lease *hub.Lease, err error) {
	left := s.overhear(ctx, end, func() { lease, err = s.env.Hub.Publish(ctx, req) })
	if lease != nil && (left != nil || !s.setup.Leave()) {
		lease.Release(left)
	}
	switch {
	case s.setup.Evicted():
		return nil, errMemory
	case left != nil:
		return nil, left
	}
	return lease, err
}

// own feeds the stream and gives the lease back, whatever happens. It says whether the lease was lost, and why it ended; end is the request
// by which the peer did.
func (s *session) own(lease *hub.Lease, r *wire.Request) (lost bool, end *wire.Request, err error) {
	err = errBroken
	defer func() {
		if cause := context.Cause(lease.Context()); cause != nil {
			lost, err = true, cause
		}
		if errors.Is(err, errTeardown) {
			lease.Finish(err) // by its own word
		} else {
			lease.Release(err)
		}
		s.log.Info("stopped publishing", "stream", lease.Key(), "cause", err)
	}()
	if err = s.respond(r, answer{code: base.StatusOK, session: s.token}); err != nil {
		return false, nil, err
	}
	end, err = s.feed(lease)
	return false, end, err
}

// feed reads media until the peer stops. The hub judges whether enough comes; it ends the lease, and that ends reading.
func (s *session) feed(lease *hub.Lease) (end *wire.Request, err error) {
	if err := s.conn.Limit(0); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(lease.Context())
	defer stop(nil)
	defer s.conn.Interrupt(ctx)()
	s.record.begun()
	s.in.SetLimits(setupLimits(), publishBuffer)
	s.log.Info("accepted publisher", "stream", lease.Key(), "remote", s.remote, "transport", s.transport(s.record.pair[0] != nil, false))
	f := newFeeder(s, lease)
	hang := func() { _ = s.conn.Close() }
	cell := s.env.PublisherCell("RTSP", lease, s.id, hang)
	defer cell.Free()
	if f.udp {
		f.cell = s.env.PublisherCell("RTSP by UDP", lease, s.id, hang)
		defer f.cell.Free()
		defer f.hearDatagrams(ctx, stop)()
	}
	for {
		it, err := s.in.Read()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			return nil, protocol.Gone(err)
		}
		cell.Begin()
		end, err = f.item(it)
		cell.End()
		if f.udp && errors.Is(err, errTeardown) {
			f.settle(ctx)
		}
		if err != nil {
			return end, err
		}
	}
}

// item takes what has come on the connection.
func (f *feeder) item(it wire.Item) (end *wire.Request, err error) {
	if it.Request != nil {
		return it.Request, f.request(it.Request)
	}
	if it.Response != nil {
		return nil, nil //nolint:nilnil // no end
	}
	if m := f.channels[it.Channel]; m.receiver != nil {
		if err = f.packet(m.receiver, it.Frame, m.control); err != nil {
			return nil, err
		}
	}
	if !f.udp && f.due() {
		f.reportBySelf()
	}
	return nil, nil //nolint:nilnil // no end
}

// request does what a publisher asks for.
func (f *feeder) request(r *wire.Request) error {
	a, done := common(r, f.token)
	switch {
	case done:
	case r.Method == base.Teardown:
		return fmt.Errorf("%w", errTeardown)
	case r.Method == base.Record, r.Method == base.Pause: // GStreamer pauses before it ends; the hub judges a silence
		a = answer{code: base.StatusOK, session: f.token}
	default:
		a = answer{code: base.StatusMethodNotValidInThisState, session: f.token}
	}
	f.tell(a.to(r))
	return nil
}

// tell writes, when no deadline of a phase stands. It does not fail: what the peer has sent before it stopped listening counts.
func (f *feeder) tell(b []byte) {
	if f.deaf || len(b) == 0 {
		return
	}
	err := f.conn.SetWriteDeadline(time.Now().Add(tellTimeout))
	if err == nil {
		_, err = f.conn.Write(b)
	}
	f.deaf = err != nil // reading tells why
}

// declare tells the hub what kinds of tracks will come.
func (s *session) declare(lease *hub.Lease) {
	video, audio := false, false
	for _, m := range s.record.medias {
		if m.usable() && m.transport != nil {
			video, audio = video || m.Kind == av.Video, audio || m.Kind == av.Audio
		}
	}
	lease.Declare(video, audio)
}
