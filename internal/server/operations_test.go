package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/server"
	"github.com/vigil-media/vigil/internal/supervise"
	"github.com/vigil-media/vigil/internal/watch"
)

const (
	operationsFile = "../../docs/operations.md"
	operationsDir  = "../../docs/operations/"
)

// operationsDocument is docs/operations.md with the tables that come from the code.
func operationsDocument(t *testing.T) string {
	t.Helper()
	text := read(t, operationsFile)
	for name, table := range map[string]string{"classes": classTable(), "phases": phaseTable()} {
		begin, end := "<!-- "+name+": made by make docs -->\n", "<!-- end of "+name+" -->\n"
		head, rest, ok := strings.Cut(text, begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("docs/operations.md has no place for the table of %s", name)
		}
		text = head + begin + table + end + tail
	}
	return text
}

// classTable says what a step of each class of loops may take.
func classTable() string {
	what := map[watch.Class]string{
		watch.Registry: "the control loop, which judges who owns a name", watch.Fanout: "a publisher's unit on its way to its viewers",
		watch.Cut:   "a stream's units on their way into HLS segments",
		watch.Shard: "sends to viewers", watch.Session: "what a session does between two reads", watch.Accept: "a listener",
		watch.Sink: "the log's writer", watch.Volume: "an operation on files", watch.Request: "a request to API or metrics",
		watch.Timer: "whatever else turns by the clock",
	}
	var b strings.Builder
	b.WriteString("| class | what | warn | bundle | act | what is done | budget | replaced |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range watch.Classes() {
		l := c.Limits()
		if l.Warn == 0 { // abandoned
			continue
		}
		budget, replaced := "", ""
		if l.Budget > 0 {
			budget = strconv.Itoa(l.Budget)
		}
		if l.Process {
			replaced = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", c.Name(), cmp.Or(what[c], "?"), span(l.Warn), span(l.Bundle), span(l.Act),
			l.Then, budget, replaced)
	}
	return b.String()
}

// phaseTable says what a session may take in each phase.
func phaseTable() string {
	d := hub.DefaultConfig()
	all := hub.Phases(d)
	var b strings.Builder
	b.WriteString("| phase | at most | silent at most | then | setting |\n|---|---|---|---|---|\n")
	for _, row := range []struct {
		phase         hub.Phase
		name, setting string
	}{
		{hub.Handshake, "from the connection to the request to publish or play", ""},
		{hub.Authorisation, "authorisation", ""},
		{hub.Contest, "an owner is challenged", "`publish.challenge_timeout`"},
		{hub.Steady, "publishing", "`publish.max_silence`"},
		{hub.Wait, "a viewer waits for a publisher", "`play.wait`"},
		{hub.Ready, "a viewer waits for the tracks to be known", ""},
		{hub.Lapse, "viewers of a publisher that was lost", "`publish.resume_window`"},
		{hub.Idle, "a stream that nobody watches", "`publish.idle_delay`"},
		{hub.Draining, "from the stream's end to the last byte", ""},
	} {
		l := all[row.phase]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", row.name, span(l.Age), span(l.Silence), l.Then, row.setting)
	}
	return b.String()
}

// span is a duration for people; none is nothing.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// sayingParent is a parent that has said how the server is.
type sayingParent struct{}

func (sayingParent) Listen(ctx context.Context, _, address string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(ctx, "tcp", address)
}

func (sayingParent) Health() *supervise.Health { return &supervise.Health{Probe: "ok"} }
func (sayingParent) Ready([]byte) error        { return nil }
func (sayingParent) HealthAddress() string     { return "" }
func (sayingParent) Token() string             { return "0123456789abcdef" }
func (sayingParent) Planned() bool             { return false }
func (sayingParent) Replace() error            { return nil }
func (sayingParent) Why() string               { return "" }
func (sayingParent) Safe() bool                { return false }

func (sayingParent) Beat(*watch.Pulse, supervise.Vitals)                        {}
func (sayingParent) Keep(context.Context, string, bool, []byte) (string, error) { return "", nil }

// metricsPage is what a server that has a supervisor answers to a scrape.
func metricsPage(t *testing.T) string {
	t.Helper()
	const secret = "correct horse"
	s, err := server.New(server.Options{Config: load(t, "api.secret="+secret, "hooks.on_play=http://127.0.0.1:1/"), Version: "test", Console: io.Discard, Parent: sayingParent{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	status, page := (&running{Server: s}).get(t, "/metrics", secret)
	if status != 200 {
		t.Fatalf("%d: %s", status, page)
	}
	return page
}

var (
	metricName     = regexp.MustCompile(`\bvigil_[a-z_]+\b`)
	metricSample   = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{([^}]*)\})? `)
	metricLiteral  = regexp.MustCompile(`"(vigil_[a-z_]+)"`)
	metricSelector = regexp.MustCompile(`\b((?:vigil|go|process)_[a-z_]+)\b(?:\{([^}]*)\})?`)
	labelMatcher   = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	alertName      = regexp.MustCompile("`(Vigil[A-Z][A-Za-z]+)`")
)

// eventful are the metrics that have no samples before something has happened.
var eventful = []string{
	"vigil_log_held_total", "vigil_refused_total", "vigil_sessions", "vigil_sessions_ended_total", "vigil_sessions_started_total",
}

// metricNames are all that internal/metrics makes: what a server shows at once, and what it shows when it has happened.
func metricNames(t *testing.T, page string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../metrics/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	known := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range metricLiteral.FindAllStringSubmatch(read(t, file), -1) {
			known[m[1]] = true
		}
	}
	shown := samples(page)
	for name := range known {
		if shown[name] == nil && !slices.Contains(eventful, name) {
			t.Errorf("%s is made by internal/metrics, and a server does not show it", name)
		}
	}
	for name := range shown {
		if strings.HasPrefix(name, "vigil_") && !known[name] {
			t.Errorf("%s is shown by a server, and not made by internal/metrics", name)
		}
	}
	return known
}

// samples are the labels and values of each metric of a page, as "label=value".
func samples(page string) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, m := range metricSample.FindAllStringSubmatch(page, -1) {
		if all[m[1]] == nil {
			all[m[1]] = map[string]bool{}
		}
		for _, l := range labelMatcher.FindAllStringSubmatch(m[2], -1) {
			all[m[1]][l[1]] = true
			all[m[1]][l[1]+"="+l[3]] = true
		}
	}
	return all
}

// TestOperations holds docs/operations.md and the files beside it against the server: metrics, alarms, alerts.
func TestOperations(t *testing.T) {
	page := metricsPage(t)
	known := metricNames(t, page)
	text := read(t, operationsFile)
	for _, name := range metricName.FindAllString(text, -1) {
		if !known[name] {
			t.Errorf("docs/operations.md tells of %s, which does not exist", name)
		}
	}
	for name := range known {
		if !strings.Contains(text, "\n| `"+name+"` |") {
			t.Errorf("the table of metrics in docs/operations.md lacks %s", name)
		}
	}
	for label := range samples(page)["vigil_alarms_total"] {
		if kind, ok := strings.CutPrefix(label, "kind="); ok && !strings.Contains(text, "\n| `"+kind+"` |") {
			t.Errorf("the table of alarms in docs/operations.md lacks %s", kind)
		}
	}
	alerts := alertRules(t)
	for _, m := range alertName.FindAllStringSubmatch(text, -1) {
		if alerts[m[1]] == "" {
			t.Errorf("docs/operations.md tells of the alert %s, which does not exist", m[1])
		}
	}
	for name, expr := range alerts {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/operations.md does not say what to do about %s", name)
		}
		judgeExpression(t, name, expr, known, page)
	}
	for title, expr := range dashboardExpressions(t) {
		judgeExpression(t, title, expr, known, page)
	}
}

// judgeExpression looks whether what a query selects exists.
func judgeExpression(t *testing.T, where, expr string, known map[string]bool, page string) {
	t.Helper()
	if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("%s: brackets do not match: %s", where, expr)
	}
	shown, found := samples(page), false
	for _, m := range metricSelector.FindAllStringSubmatch(expr, -1) {
		found = true
		if !known[m[1]] && shown[m[1]] == nil {
			t.Errorf("%s: there is no %s", where, m[1])
		}
		for _, l := range labelMatcher.FindAllStringSubmatch(m[2], -1) {
			switch {
			case l[1] == "instance" || l[1] == "job" || shown[m[1]] == nil: // Prometheus' own; or not known before something happens
			case !shown[m[1]][l[1]]:
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			case (l[1] == "kind" || l[1] == "class") && !shown[m[1]][l[1]+"="+l[3]]:
				t.Errorf("%s: there is no %s with %s", where, m[1], l[0])
			}
		}
	}
	if !found && !strings.Contains(expr, "up{") {
		t.Errorf("%s: selects no metric: %s", where, expr)
	}
}

// alertRules are the alerts by name.
func alertRules(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, operationsDir+"prometheus-alerts.yaml")), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Expr == "" || r.Annotations["summary"] == "" || all[r.Alert] != "" ||
				!slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) {
				t.Errorf("%s: incomplete, or there twice: %+v", g.Name, r)
			}
			if _, err := time.ParseDuration(cmp.Or(r.For, "0s")); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			all[r.Alert] = r.Expr
		}
	}
	return all
}

// dashboardExpressions are the queries of the dashboard by the panels' titles.
func dashboardExpressions(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Panels []struct {
			ID          int
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, operationsDir+"grafana-dashboard.json")), &file); err != nil {
		t.Fatal(err)
	}
	all, ids := map[string]string{}, map[int]bool{}
	for _, p := range file.Panels {
		if ids[p.ID] || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d, %s: is there twice, or shows nothing", p.ID, p.Title)
		}
		ids[p.ID] = true
		for i, target := range p.Targets {
			all[fmt.Sprintf("panel %s, query %d", p.Title, i)] = target.Expr
		}
	}
	return all
}

// pod is what of a Kubernetes object concerns the server.
type pod struct {
	Spec struct {
		Template struct {
			Spec struct {
				Containers []map[string]any
			}
		}
	}
}

// TestKubernetesExample looks whether the settings and the paths in the example exist.
func TestKubernetesExample(t *testing.T) {
	r := run(t)
	var env []string
	probes := map[string]string{}
	dec := yaml.NewDecoder(strings.NewReader(read(t, operationsDir+"kubernetes.yaml")))
	for {
		var p pod
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Spec.Template.Spec.Containers {
			for _, e := range c["env"].([]any) {
				e := e.(map[string]any)
				value, _ := e["value"].(string)
				env = append(env, fmt.Sprint(e["name"], "=", cmp.Or(value, "correct horse")))
			}
			for _, name := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
				probes[name] = c[name].(map[string]any)["httpGet"].(map[string]any)["path"].(string)
			}
		}
	}
	cfg, err := conf.Load(conf.Source{Env: env, Known: server.Known()})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := server.WatchingOf(cfg); err != nil || w.Listen != ":8081" || w.Data != "/data" {
		t.Errorf("%+v, %v", w, err)
	}
	want := map[string]string{"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
	if !maps.Equal(probes, want) {
		t.Errorf("probes %v, want %v", probes, want)
	}
	for _, path := range probes {
		if status, body := r.get(t, path, ""); status != 200 {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
}

// TestUnitFile holds the systemd unit against what the guide and the design say of it.
func TestUnitFile(t *testing.T) {
	b, err := os.ReadFile(operationsDir + "vigil.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Type=notify", "NotifyAccess=main", "WatchdogSec=30", "Restart=always", "StartLimitBurst=5", "StartLimitIntervalSec=120", "TimeoutAbortSec=20",
		"KillMode=mixed", "OOMPolicy=continue",
	} {
		if !strings.Contains(string(b), "\n"+line+"\n") {
			t.Errorf("vigil.service lacks %s", line)
		}
	}
}
