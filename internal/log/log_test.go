package log_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/log"
	"github.com/vigil-media/vigil/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleep lets time pass in a synctest bubble.
func sleep(d time.Duration) {
	time.Sleep(d)
}

// sinkhole is a writer in memory that can be blocked and can fail.
type sinkhole struct {
	mu    sync.Mutex
	out   bytes.Buffer
	block chan struct{} // when not nil, Write waits until it is closed
	fail  error
}

func (s *sinkhole) Write(b []byte) (int, error) {
	s.mu.Lock()
	block, fail := s.block, s.fail
	s.mu.Unlock()
	if block != nil {
		<-block
	}
	if fail != nil {
		return 0, fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *sinkhole) set(fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *sinkhole) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSuffix(s.out.String(), "\n"), "\n")
}

// at makes a logger whose records have one fixed time.
type at struct{ slog.Handler }

func (h at) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Date(2026, 1, 2, 14, 2, 11, 42e6, time.UTC)
	return h.Handler.Handle(ctx, r)
}
func (h at) WithAttrs(a []slog.Attr) slog.Handler { return at{h.Handler.WithAttrs(a)} }
func (h at) WithGroup(n string) slog.Handler      { return at{h.Handler.WithGroup(n)} }

// logged gives the lines that do makes.
func logged(t *testing.T, cfg log.Config, do func(*slog.Logger)) []string {
	t.Helper()
	var out sinkhole
	l := log.New(log.Options{Config: cfg, Console: &out})
	do(slog.New(at{l.Logger().Handler()}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return out.lines()
}

type panics struct{}

func (panics) String() string { panic("boom") }

func TestText(t *testing.T) {
	cause := errors.New("read tcp: reset")
	for _, c := range []struct {
		want string
		do   func(*slog.Logger)
	}{
		{
			"14:02:11.042 INF rtmp 7f3a publishing live/cam1: H264 1920x1080 25 fps, AAC 48 kHz stereo",
			func(l *slog.Logger) {
				l.With("protocol", "rtmp", "session", "7f3a").Info("publishing live/cam1: H264 1920x1080 25 fps, AAC 48 kHz stereo")
			},
		},
		{"14:02:11.042 WRN m", func(l *slog.Logger) { l.Warn("m") }},
		{"14:02:11.042 ERR 7f3a m", func(l *slog.Logger) { l.Error("m", "session", "7f3a") }},
		{`14:02:11.042 INF rtmp 7f3a refused to play live/a b: no such "stream"\x1b remote=1.2.3.4:5`, func(l *slog.Logger) {
			l.Info("refused to play", "protocol", "rtmp", "session", "7f3a", "stream", "live/a b",
				"cause", errors.New("no such \"stream\"\x1b"), "remote", "1.2.3.4:5")
		}},
		{"14:02:11.042 INF rtmp 7f3a publishing live/cam1: H264, AAC", func(l *slog.Logger) {
			l.With("protocol", "rtmp", "session", "7f3a").Info("publishing", "stream", "live/cam1", "tracks", "H264, AAC")
		}},
		{"14:02:11.042 INF rtsp 2 m a=1", func(l *slog.Logger) {
			l.With("protocol", "rtmp", "session", "1").Info("m", "protocol", "rtsp", "a", 1, "session", "2")
		}},
		{`14:02:11.042 INF m a=b c="d e" f=1.5 g=true h=1m30s i="" j="x=y" k=é l="\"" m=<nil>`, func(l *slog.Logger) {
			l.Info("m", "a", "b", "c", "d e", "f", 1.5, "g", true, "h", 90*time.Second, "i", "", "j", "x=y", "k", "é", "l", `"`, "m", nil)
		}},
		{`14:02:11.042 INF m err="read tcp: reset" t=2026-01-02T00:00:00Z secret=*** u=7`, func(l *slog.Logger) {
			l.Info("m", "err", cause, "t", time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "secret", conf.Secret("hush"), "u", uint8(7))
		}},
		{"14:02:11.042 INF m a=1 g.b=2 g.h.c=3 g.session=4", func(l *slog.Logger) {
			l.With("a", 1).WithGroup("g").With("b", 2).Info("m", slog.Group("h", "c", 3), "session", 4)
		}},
		{`14:02:11.042 INF m\n14:02:11.042 ERR forged\x1b[31m\xff\u202e\u009b \ ü`, func(l *slog.Logger) {
			l.Info("m\n14:02:11.042 ERR forged\x1b[31m\xff\u202e\u009b \\ ü")
		}},
		{`14:02:11.042 INF "r\nt" m "k\n"="v\r\n\x1b\xfe\u2028" p="%!v(PANIC=String method: boom)"`, func(l *slog.Logger) {
			l.Info("m", "protocol", "r\nt", "k\n", "v\r\n\x1b\xfe\u2028", "p", panics{}) //nolint:sloglint // a hostile key
		}},
	} {
		got := logged(t, log.Default(), c.do)
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	huge := strings.Repeat("é\n", 1<<20)
	for _, format := range []string{"text", "json"} {
		cfg := log.Default()
		cfg.Format = format
		got := logged(t, cfg, func(l *slog.Logger) {
			l.Info(huge, //nolint:sloglint // hostile text, on purpose
				"session", huge, "a", huge, "err", errors.New(huge), slog.Group("g", "b", huge))
		})
		if len(got) != 1 || len(got[0]) > 128<<10 || len(got[0]) < 4<<10 {
			t.Errorf("%s: %d lines, the first of %d bytes", format, len(got), len(got[0]))
		}
	}
}

func TestJSON(t *testing.T) {
	cfg := log.Default()
	cfg.Format = "json"
	got := logged(t, cfg, func(l *slog.Logger) {
		l.With("protocol", "rtmp", "session", "7f3a").Info("m\n\x1b", "secret", conf.Secret("hush"), "err", errors.New("e"))
	})
	var m map[string]any
	if len(got) != 1 || json.Unmarshal([]byte(got[0]), &m) != nil {
		t.Fatalf("no JSON: %q", got)
	}
	for key, want := range map[string]any{
		"level": "INFO", "msg": "m\n\x1b", "protocol": "rtmp", "session": "7f3a", "secret": "***", "err": "e",
	} {
		if m[key] != want {
			t.Errorf("%s is %v, want %v", key, m[key], want)
		}
	}
}

func TestLevelChangesAtRunTime(t *testing.T) {
	var out sinkhole
	l := log.New(log.Options{Config: log.Default(), Console: &out})
	l.Logger().Debug("one")
	l.Level().Set(slog.LevelDebug)
	l.Logger().Debug("two")
	l.Level().Set(slog.LevelError)
	l.Logger().Warn("three")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := out.lines(); len(got) != 1 || !strings.HasSuffix(got[0], "DBG two") {
		t.Errorf("got %q", got)
	}
}

// running runs l beside the test; stop ends it and gives what Run returned.
func running(t *testing.T, l *log.Log) (stop func() error) {
	t.Helper()
	g, ctx := task.NewGroup(t.Context())
	g.Go("log", l.Run)
	_ = ctx
	return func() error {
		g.Stop(context.Canceled)
		return g.Wait()
	}
}

func TestBlockedSinkNeverBlocksAndCounts(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			out := sinkhole{block: make(chan struct{})}
			cfg := log.Default()
			cfg.Format = format
			l := log.New(log.Options{Config: cfg, Console: &out, QueueLines: 100, KindLines: -1})
			stop := running(t, l)
			l.Logger().Info("first")
			synctest.Wait() // now the writer is stuck with it
			start := time.Now()
			var g sync.WaitGroup
			for range 10 {
				g.Go(func() {
					for i := range 1000 {
						l.Logger().Info("line", "i", i)
					}
				})
			}
			g.Wait()
			if d := time.Since(start); d != 0 {
				t.Errorf("logging waited %v", d)
			}
			if s := l.Stats()[0]; s.Lines != 100 || s.Dropped != 9901 {
				t.Errorf("stats %+v", s)
			}
			sleep(time.Minute) // a bubble's minute
			if s := l.Stats()[0]; time.Since(s.WritingSince) < time.Minute {
				t.Errorf("stats %+v", s)
			}
			close(out.block)
			sleep(2 * time.Second)
			got := out.lines()
			if len(got) != 101 || !strings.Contains(got[100], "9901 log messages dropped") {
				t.Errorf("%d lines, the last: %s", len(got), got[len(got)-1])
			}
			l.Logger().Info("again")
			if err := stop(); err != nil {
				t.Error(err)
			}
			if got := out.lines(); len(got) != 102 || l.Stats()[0].Dropped != 9901 || !strings.Contains(got[101], "again") {
				t.Errorf("%d lines, the last: %s", len(got), got[len(got)-1])
			}
		})
	}
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	l := log.New(log.Options{Config: log.Default(), Console: io.Discard, QueueBytes: 1000, KindLines: -1})
	for range 100 {
		l.Logger().Info("line", "text", strings.Repeat("x", 200))
	}
	if s := l.Stats()[0]; s.Lines != 4 || s.Bytes > 1000 || s.Dropped != 96 {
		t.Errorf("stats %+v", s)
	}
}

func TestRunReturnsThoughTheSinkIsBlockedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := sinkhole{block: make(chan struct{})}
		l := log.New(log.Options{Config: log.Default(), Console: &out})
		stop := running(t, l)
		l.Logger().Info("one")
		synctest.Wait()
		l.Logger().Info("two")
		start := time.Now()
		err := stop()
		want := "log: console is blocked, 2 messages lost"
		if d := time.Since(start); d != log.DrainTime || fmt.Sprint(err) != want {
			t.Errorf("after %v: %v", d, err)
		}
		l.Logger().Info("three")
		close(out.block) // so that the goroutine that is left behind ends with the bubble
	})
}

func TestFailingSinkIsToldWhatItLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sinkhole
		l := log.New(log.Options{Config: log.Default(), Console: &out})
		stop := running(t, l)
		out.set(errors.New("no space left on device"))
		for range 3 {
			l.Logger().Info("lost")
			sleep(5 * time.Second)
		}
		out.set(nil)
		sleep(2 * time.Second) // nothing is logged, and it is told all the same
		if got := out.lines(); len(got) != 1 || !strings.HasSuffix(got[0], "WRN 3 log messages dropped") {
			t.Errorf("got %q", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

type panicWriter struct{}

func (panicWriter) Write([]byte) (int, error) { panic("boom") }

func TestPanickingSinkIsAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := log.New(log.Options{Config: log.Default(), Console: panicWriter{}})
		stop := running(t, l)
		l.Logger().Info("lost")
		synctest.Wait()
		if err := stop(); err != nil || l.Stats()[0].Dropped != 1 {
			t.Errorf("%v, %+v", err, l.Stats())
		}
	})
}

func TestFileBesidesConsole(t *testing.T) {
	var out sinkhole
	cfg := log.Default()
	cfg.File = filepath.Join(t.TempDir(), "logs", "vigil.log")
	l := log.New(log.Options{Config: cfg, Console: &out, KindLines: -1})
	stop := running(t, l)
	for i := range 1000 {
		l.Logger().Info("line", "i", i)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(cfg.File)
	if err != nil || strings.TrimSuffix(string(data), "\n") != strings.Join(out.lines(), "\n") {
		t.Errorf("file and console differ: %v", err)
	}
	if n := len(out.lines()); n != 1000 {
		t.Errorf("%d lines", n)
	}
}

func TestFileRotates(t *testing.T) {
	dir := t.TempDir()
	cfg := log.Default()
	cfg.File, cfg.FileSize, cfg.FileKeep = filepath.Join(dir, "v.log"), 4<<20, 2
	l := log.New(log.Options{Config: cfg, QueueLines: 1 << 20, QueueBytes: 2 << 20, KindLines: -1})
	stop := running(t, l)
	long := strings.Repeat("x", 4000)
	for range 6000 {
		for l.Stats()[0].Bytes > 1<<20 { // wait for the disk, as no caller would
			<-time.After(time.Millisecond)
		}
		l.Logger().Info("line", "text", long)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/v*.log")
	if err != nil || len(files) != 3 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestConfig(t *testing.T) {
	known := []conf.Known{{Name: "log", Defaults: log.Default()}}
	if _, err := conf.Load(conf.Source{Known: known, Data: []byte(conf.Reference(known))}); err != nil {
		t.Error(err)
	}
	bad := "log: {level: loud, format: xml, file_size: 1KiB, file_keep: 0}"
	_, err := conf.Load(conf.Source{Known: known, Data: []byte(bad)})
	want := `vigil.yaml:1:7: log.level: "loud" is none of debug, info, warn, error
vigil.yaml:1:20: log.format: "xml" is neither text nor json
vigil.yaml:1:33: log.file_size: must be from 4MiB to 1TiB
vigil.yaml:1:50: log.file_keep: must be from 1 to 10000`
	if fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func FuzzTextIsOneLine(f *testing.F) {
	f.Add("m", "k", "v")
	f.Add("\n\x1b[0m", "=\xff", "\u2028\u202e")
	f.Fuzz(func(t *testing.T, msg, key, value string) {
		got := logged(t, log.Default(), func(l *slog.Logger) {
			l.Info(msg, key, value, //nolint:sloglint // hostile text, on purpose
				"err", errors.New(value), slog.Group(key, key, value))
		})
		if len(got) != 1 || strings.ContainsAny(got[0], "\x1b\r\x00\u2028\u009b\u202e") {
			t.Fatalf("%q", got)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			cfg := log.Default()
			cfg.Format = format
			l := log.New(log.Options{Config: cfg, Console: io.Discard, QueueLines: 1 << 30, QueueBytes: 1 << 30, KindLines: 1e9})
			g, _ := task.NewGroup(b.Context())
			g.Go("log", l.Run)
			session := l.Logger().With("protocol", "rtmp", "session", "7f3a")
			b.ReportAllocs()
			for b.Loop() {
				session.Info("publishing live/cam1: H264 1920x1080 25 fps, AAC 48 kHz stereo", "peer", "192.0.2.1:50000", "tracks", 2)
			}
			b.StopTimer()
			g.Stop(context.Canceled)
			if err := g.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.Run("below-level", func(b *testing.B) {
		l := log.New(log.Options{Config: log.Default(), Console: io.Discard})
		session := l.Logger().With("protocol", "rtmp")
		b.ReportAllocs()
		for b.Loop() {
			session.Debug("x", "tracks", 2)
		}
	})
	b.Run("full-queue", func(b *testing.B) {
		l := log.New(log.Options{Config: log.Default(), Console: io.Discard, QueueLines: 1, KindLines: -1})
		session := l.Logger().With("protocol", "rtmp", "session", "7f3a")
		b.ReportAllocs()
		for b.Loop() {
			session.Info("publishing live/cam1", "peer", "192.0.2.1:50000")
		}
	})
}

func BenchmarkFlood(b *testing.B) {
	l := log.New(log.Options{Config: log.Default(), Console: io.Discard})
	session := l.Logger().With("protocol", "rtmp", "session", "7f3a")
	b.ReportAllocs()
	for b.Loop() {
		session.Info("publishing live/cam1", "peer", "192.0.2.1:50000")
	}
}
