package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vigil-media/vigil/internal/server"
)

// How long a running server may take to answer.
const (
	askTime    = 3 * time.Second
	reloadTime = 50 * time.Second
	answerMost = 8 << 20
)

// remote is a running server, as its configuration says where it is.
type remote struct {
	server.Watching
	supervisor, http string // addresses; "" none
	secret           string
}

// reach finds the server that was started with these flags.
func reach(flags *settings, secretly bool) (*remote, error) {
	cfg, err := flags.load()
	if err != nil {
		return nil, err
	}
	r := &remote{}
	if r.Watching, err = server.WatchingOf(cfg); err != nil {
		return nil, err
	}
	if r.Listen != "" {
		if r.supervisor, err = server.Local(r.Listen); err != nil {
			return nil, fmt.Errorf("watch.listen: %w", err)
		}
	}
	if r.HTTP != "" {
		if r.http, err = server.Local(r.HTTP); err != nil {
			return nil, fmt.Errorf("http.listen: %w", err)
		}
	}
	if secretly {
		s, err := r.ReadSecret()
		if err != nil {
			return nil, fmt.Errorf("the API's secret: %w", err)
		}
		r.secret = s.Reveal()
	}
	return r, nil
}

// ask sends a request and reads the answer into body, unless that is nil. A status of 400 or more is an error.
func (r *remote) ask(method, address, path string, within time.Duration, body any) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	if r.secret != "" {
		req.Header.Set("Authorization", "Bearer "+r.secret)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // no proxy, which would learn the secret
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // which does not repeat the address
		}
		return fmt.Errorf("no answer from %s: %w", address, err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(res.Body, answerMost))
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return errors.New(complaint(res.Status, b))
	}
	if body == nil {
		return nil
	}
	return json.Unmarshal(b, body)
}

// complaint is what a refusal says in words.
func complaint(status string, b []byte) string {
	var said struct{ Message, Status string }
	if json.Unmarshal(b, &said) == nil && said.Message+said.Status != "" {
		return said.Message + said.Status
	}
	return status
}

type healthcheckCommand struct {
	Ready bool `help:"Whether media flow and newcomers are let in (/readyz), and not only whether the server works (/livez)."`
}

// Run asks for the server's health.
func (c healthcheckCommand) Run(flags *settings) error {
	r, err := reach(flags, false)
	if err != nil {
		return err
	}
	path := "/livez"
	if c.Ready {
		path = "/readyz"
	}
	address := r.supervisor
	if address == "" {
		address = r.http
	}
	if address == "" {
		return errors.New("there is nothing to ask: watch.listen and http.listen are off")
	}
	if err = r.ask(http.MethodGet, address, path, askTime, nil); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = fmt.Println("ok")
	return err
}

type reloadCommand struct {
	Worker bool `required:"" help:"Start a new worker, have it take over, and let the old one's sessions run out."`
}

// Run has the worker replaced.
func (reloadCommand) Run(flags *settings) error {
	r, err := reach(flags, true)
	if err != nil {
		return err
	}
	if r.supervisor == "" {
		return errors.New("watch.listen is off: there is nobody to ask")
	}
	var h struct{ Worker, PID int }
	if err = r.ask(http.MethodPost, r.supervisor, "/reload", reloadTime, &h); err != nil {
		return err
	}
	_, err = fmt.Printf("worker %d serves, with process id %d\n", h.Worker, h.PID)
	return err
}

type bundleCommand struct{}

// Run has a diagnosis bundle written.
func (bundleCommand) Run(flags *settings) error {
	r, err := reach(flags, true)
	if err != nil {
		return err
	}
	var b struct{ Path, Status string }
	err = errors.New("http.listen is off")
	if r.http != "" {
		err = r.ask(http.MethodPost, r.http, "/api/v1/bundle", 4*askTime, &b)
	}
	if err != nil && r.supervisor != "" {
		fmt.Fprintf(os.Stderr, "vigil: the worker gives no evidence (%v): the supervisor is asked\n", err)
		err = r.ask(http.MethodPost, r.supervisor, "/bundle", askTime, &b)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Println(b.Path + b.Status) // it has one of them
	return err
}

type statusCommand struct {
	All bool `help:"Every loop, and not only those that are busy."`
}

// statusHealth, statusLoop and statusWatch are what status reads of the answers.
type (
	statusAnswer struct {
		OK     bool
		Status string
	}
	statusHealth struct {
		Live, Ready, Overload statusAnswer
		Worker, PID           int
		Since                 time.Time
		Replacements          int
		LastReplacement       string  `json:"last_replacement"`
		Safe                  bool    `json:"safe_mode"`
		Probe                 string  `json:"probe"`
		Latency               float64 `json:"probe_latency_ms"`
		ProbeAge              float64 `json:"probe_age_s"`
		BeatAge               float64 `json:"heartbeat_age_s"`
	}
	statusLoop struct {
		Name, Session string
		Done          uint64
		Busy          float64 `json:"busy_s"`
		State         string
	}
	statusClass struct {
		Class string
		Loops []statusLoop
	}
	statusWatch struct{ Classes []statusClass }
)

// Run tells how the server is.
func (c statusCommand) Run(flags *settings) error {
	r, err := reach(flags, true)
	if err != nil {
		return err
	}
	var said strings.Builder
	var h statusHealth
	if r.supervisor == "" {
		said.WriteString("supervisor  not asked: watch.listen is off\n")
	} else if err = r.ask(http.MethodGet, r.supervisor, "/status", askTime, &h); err != nil {
		fmt.Fprintf(&said, "supervisor  does not answer: %v\n", err)
	} else {
		h.tell(&said)
	}
	var w statusWatch
	if r.http == "" {
		said.WriteString("worker      not asked: http.listen is off\n")
	} else if werr := r.ask(http.MethodGet, r.http, "/api/v1/watch", askTime, &w); werr != nil {
		fmt.Fprintf(&said, "worker      does not answer: %v\n", werr)
		err = errors.Join(err, werr)
	} else {
		w.tell(&said, c.All)
	}
	fmt.Print(said.String())
	if err != nil {
		return errors.New("not all could be asked")
	}
	if !h.Live.OK && r.supervisor != "" {
		return errors.New("the server is not well")
	}
	return nil
}

func (h *statusHealth) tell(b *strings.Builder) {
	fmt.Fprintf(b, "live        %s\n", h.Live.Status)
	fmt.Fprintf(b, "ready       %s\n", h.Ready.Status)
	fmt.Fprintf(b, "overload    %s\n", h.Overload.Status)
	if h.Worker > 0 {
		fmt.Fprintf(b, "worker      %d, process id %d, since %s\n", h.Worker, h.PID, h.Since.Local().Format(time.DateTime))
		fmt.Fprintf(b, "heartbeat   %.1f s ago\n", h.BeatAge)
	} else {
		b.WriteString("worker      none serves\n")
	}
	if h.Latency > 0 {
		fmt.Fprintf(b, "probe       %s; the last that succeeded took %.1f ms, %.1f s ago\n", h.Probe, h.Latency, h.ProbeAge)
	} else {
		fmt.Fprintf(b, "probe       %s; none has succeeded yet\n", h.Probe)
	}
	if h.Replacements > 0 {
		fmt.Fprintf(b, "replaced    %d times, at last because: %s\n", h.Replacements, h.LastReplacement)
	}
	if h.Safe {
		b.WriteString("safe mode   no media are let in\n")
	}
}

func (w *statusWatch) tell(b *strings.Builder, all bool) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, c := range w.Classes {
		busy := 0
		for _, l := range c.Loops {
			if l.Busy > 0 {
				busy++
			}
		}
		fmt.Fprintf(t, "%s\t%d loops\t%d busy\t\n", c.Class, len(c.Loops), busy)
		sort.SliceStable(c.Loops, func(i, j int) bool { return c.Loops[i].Busy > c.Loops[j].Busy })
		for _, l := range c.Loops {
			if all || l.State != "" && l.State != "ok" {
				fmt.Fprintf(t, "  %s\t%s\t%d steps\tbusy %.3f s\t%s\n", l.Name, l.Session, l.Done, l.Busy, l.State)
			}
		}
	}
	_ = t.Flush() // to memory
}
