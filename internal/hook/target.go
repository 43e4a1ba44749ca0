package hook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// Limits of calls that are no settings.
const (
	dialTime    = 2 * time.Second // for a connection, its name looked up
	answerBytes = 64 << 10
	headerBytes = 32 << 10
	idleTime    = 15 * time.Second // of a connection that is kept: the far end may have forgotten it

	breakAfter = 5               // failures in a row open the breaker
	breakFor   = 2 * time.Second // then a call finds out whether the target is back
	breakPoll  = 50 * time.Millisecond
)

// Why a call fails.
var (
	errOpen     = errors.New("the target has failed too often of late: it is not asked")
	errBusy     = errors.New("too many calls are under way")
	errStatus   = errors.New("status is not 200")
	errTooLarge = errors.New("the answer is too large")
	errOff      = errors.New("the hook is off")
	errRetired  = errors.New("another configuration holds")
	errBroken   = errors.New("the call broke down")
)

// target is where one hook is sent to, under one configuration.
type target struct {
	hook    Hook
	url     URL
	timeout time.Duration
	retries int
	delay   time.Duration

	transport *http.Transport
	breaker   circuitbreaker.CircuitBreaker[any]
	questions chan struct{} // a place for each that may be under way
	cache     cache[question, error]
	verdicts  cache[reader, verdict]

	calls, failures, refusals, busy atomic.Uint64

	once    sync.Once
	retired chan struct{} // closed when another configuration holds
}

// shares divides the calls that may be under way at a target between questions and notifications.
func (c *Config) shares() (questions, notes int) {
	notes = max(1, c.Concurrency/4) //nolint:mnd // a quarter
	return max(1, c.Concurrency-notes), notes
}

// newTarget returns the target of a hook, as c says.
func newTarget(c *Config, hook Hook, at URL, dial Dial) *target {
	questions, _ := c.shares()
	return &target{
		hook: hook, url: at, timeout: c.Timeout, retries: c.Retries, delay: c.RetryDelay,
		transport: &http.Transport{
			DialContext:            dial,
			TLSHandshakeTimeout:    c.Timeout,
			MaxConnsPerHost:        c.Concurrency,
			MaxIdleConnsPerHost:    c.Concurrency,
			MaxIdleConns:           c.Concurrency,
			IdleConnTimeout:        idleTime,
			DisableCompression:     true,
			MaxResponseHeaderBytes: headerBytes,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure}, //nolint:gosec // a setting
		},
		breaker:   circuitbreaker.NewBuilder[any]().WithFailureThreshold(breakAfter).WithDelay(breakFor).WithSuccessThreshold(1).Build(),
		questions: make(chan struct{}, questions),
		retired:   make(chan struct{}),
	}
}

// ask sends body until there is an answer, and no longer than the target's timeout or ctx last.
func (t *target) ask(ctx context.Context, body *body) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if t.breaker.RemainingDelay() > 0 { // it need not wait for a place to hear that
		return answer{}, errOpen
	}
	if err := t.enter(ctx); err != nil {
		return answer{}, err
	}
	defer func() { <-t.questions }()
	for try := 0; ; try++ {
		if !t.breaker.TryAcquirePermit() {
			return answer{}, errOpen
		}
		a, err := t.call(ctx, body)
		if err == nil || try >= t.retries || !t.pause(ctx, t.delay) {
			return a, err
		}
	}
}

// enter waits for a place among the questions that are under way: no longer than half of the timeout, since a call that has no time left says
// nothing of the target.
func (t *target) enter(ctx context.Context) error {
	patience := time.NewTimer(t.timeout / 2) //nolint:mnd // half
	defer patience.Stop()
	select {
	case t.questions <- struct{}{}:
		if err := ctx.Err(); err != nil {
			<-t.questions
			return err
		}
		return nil
	case <-patience.C:
		t.busy.Add(1)
		return fmt.Errorf("%w: %d", errBusy, cap(t.questions))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell sends body until it is taken. No attempt begins once patience, a child of ctx, has ended; each has its whole time. An answer that is none is a reason to send again as often as retries says; the
// lack of any, and of a platform behind a gateway, is none to give up. errRetired: another target is to be told.
func (t *target) tell(ctx, patience context.Context, body *body) (answer, error) {
	for try := 0; ; {
		for !t.breaker.TryAcquirePermit() {
			if !t.pause(patience, max(t.breaker.RemainingDelay(), breakPoll)) {
				return answer{}, t.why(errOpen)
			}
		}
		within, cancel := context.WithTimeout(ctx, t.timeout)
		a, err := t.call(within, body)
		cancel()
		if err == nil {
			return a, nil
		}
		if answered(err) && t.breaker.IsClosed() {
			if try++; try > t.retries {
				return answer{}, err
			}
		}
		if !t.pause(patience, t.delay) {
			return answer{}, t.why(err)
		}
	}
}

// why is why there are no more attempts.
func (t *target) why(err error) error {
	select {
	case <-t.retired:
		return errRetired
	default:
		return err
	}
}

// call sends body once, with the breaker's permit, and tells the breaker what came of it.
func (t *target) call(ctx context.Context, body *body) (a answer, err error) {
	trial := t.breaker.IsHalfOpen()
	t.calls.Add(1)
	err = errBroken // should it panic
	defer func() { t.judge(ctx, trial, err) }()
	a, err = t.post(ctx, body)
	return a, err
}

// judge tells the breaker how a call went. trial says that the breaker waits for it.
func (t *target) judge(ctx context.Context, trial bool, err error) {
	select {
	case <-t.retired:
		t.transport.CloseIdleConnections()
	default:
	}
	switch {
	case err == nil:
		t.breaker.RecordSuccess()
	case !errors.Is(ctx.Err(), context.Canceled):
		t.failures.Add(1)
		t.transport.CloseIdleConnections() // what has failed may be the way there: the next call finds another
		if trial || !onKept(err) {
			t.breaker.RecordFailure()
		}
	case trial:
		t.breaker.RecordFailure() // not that it was: but it is over
	default: // Who wanted to know has gone. That says nothing of the target, which is not to be found guilty, nor innocent.
	}
}

// post makes one request of body and reads the answer. It follows no redirects.
func (t *target) post(ctx context.Context, body *body) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(t.url), bytes.NewReader(body.encode()))
	if err != nil {
		return answer{}, t.failure(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Vigil")
	if body.vhost != "" {
		r.Header["X-VHOST"] = []string{body.vhost}
	}
	if user := r.URL.User; user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	kept := false
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { kept = c.Reused }}))
	res, err := t.transport.RoundTrip(r)
	if err != nil {
		return answer{}, t.unheard(err, kept)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	if res.StatusCode != http.StatusOK {
		return answer{}, t.failure(&statusError{res.StatusCode})
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, answerBytes+1))
	switch {
	case err != nil:
		return answer{}, t.unheard(err, kept)
	case len(text) > answerBytes:
		return answer{}, t.failure(fmt.Errorf("%w: more than %d bytes", errTooLarge, answerBytes))
	}
	a, err := parseAnswer(text)
	if err != nil {
		return answer{}, t.failure(err)
	}
	if a.code != 0 {
		t.refusals.Add(1)
	}
	return a, nil
}

// statusError is an answer with a status that is none.
type statusError struct{ code int }

// Error implements error.
func (e *statusError) Error() string {
	return fmt.Sprintf("%v: %d %s", errStatus, e.code, http.StatusText(e.code))
}

// Unwrap gives errStatus.
func (*statusError) Unwrap() error { return errStatus }

// answered says whether the platform has answered, if only with nonsense. A gateway answers for one that is down.
func answered(err error) bool {
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.code != http.StatusBadGateway && s.code != http.StatusServiceUnavailable && s.code != http.StatusGatewayTimeout
	}
	return errors.Is(err, errAnswer) || errors.Is(err, errTooLarge)
}

// callError is why a call failed, as it may be logged: on a line, and without what a target has sent, which may be what was sent to it.
type callError struct {
	text  string
	cause error
	kept  bool // it had no answer on a connection that had been kept: it is that which may have gone deaf, and not the target
}

// Error implements error.
func (e *callError) Error() string { return e.text }

// Unwrap gives the cause.
func (e *callError) Unwrap() error { return e.cause }

func (t *target) failure(err error) error { return t.unheard(err, false) }

func (t *target) unheard(err error, kept bool) error {
	text, _, _ := strings.Cut(err.Error(), `"`) // what is quoted is the target's words
	return &callError{plain(t.url.String() + ": " + strings.TrimSpace(text)), err, kept}
}

// onKept says whether a call had no answer on a connection that had been kept.
func onKept(err error) bool {
	e, ok := errors.AsType[*callError](err)
	return ok && e.kept
}

// retire ends what the target keeps. Calls under way end by themselves. Calls after the first do nothing.
func (t *target) retire() {
	t.once.Do(func() { close(t.retired) })
	t.transport.CloseIdleConnections()
}

// pause waits for about d, and says whether to go on: not if ctx ends before, nor for a target that was retired.
func (t *target) pause(ctx context.Context, d time.Duration) bool {
	d = jitter(d)
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.retired:
	case <-ctx.Done():
	}
	return false
}

// jitter is d, a fifth more or less, so that many who were refused together do not come back together.
func jitter(d time.Duration) time.Duration {
	const part = 5
	return d - d/part + rand.N(2*d/part+1) //nolint:gosec,forbidigo // it is no secret, and no run is repeated by it
}
