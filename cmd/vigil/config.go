package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/conf/zlm"
	"github.com/vigil-media/vigil/internal/server"
)

// settings are the flags that say what the configuration is.
type settings struct {
	Config    string   `short:"c" placeholder:"FILE" env:"VIGIL_CONFIG" help:"Configuration file; one of ZLMediaKit's, if its name ends with .ini."`
	Set       []string `sep:"none" placeholder:"KEY=VALUE" help:"Set one key, such as rtmp.listen=:1936. May be repeated."`
	LogLevel  string   `placeholder:"LEVEL" help:"debug, info, warn or error; the same as --set log.level=LEVEL."`
	LogFormat string   `placeholder:"FORMAT" help:"text or json; the same as --set log.format=FORMAT."`

	NoSupervisor bool `help:"Serve in one process, without one that watches over it: for debugging."`
}

func (s settings) load() (*conf.Config, error) {
	cfg, _, err := s.loadWithNotes()
	return cfg, err
}

// loadWithNotes returns besides what of ZLMediaKit's file is not as it was there.
func (s settings) loadWithNotes() (*conf.Config, []zlm.Note, error) {
	set := s.Set
	if s.LogLevel != "" {
		set = append(set, "log.level="+s.LogLevel)
	}
	if s.LogFormat != "" {
		set = append(set, "log.format="+s.LogFormat)
	}
	src := conf.Source{File: s.Config, Env: os.Environ(), Set: set, Known: server.Known()}
	var notes []zlm.Note
	if strings.EqualFold(filepath.Ext(s.Config), ".ini") {
		var err error
		if src.Data, notes, err = convert(s.Config); err != nil {
			return nil, nil, err
		}
	}
	cfg, err := conf.Load(src)
	return cfg, notes, err
}

// worthTelling are the notes that the log tells at start: what has no effect here is a matter of vigil check.
func worthTelling(notes []zlm.Note) (said []string) {
	for _, n := range notes {
		if n.Kind != zlm.NoEffect {
			said = append(said, n.String())
		}
	}
	return said
}

// iniMost bounds a file of ZLMediaKit's.
const iniMost = 1 << 20

// convert reads a file of ZLMediaKit's and makes ours of it.
func convert(path string) ([]byte, []zlm.Note, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, conf.Problems{{At: conf.Position{Source: path}, Message: "cannot be read: " + err.Error()}}
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, iniMost+1))
	if err != nil {
		return nil, nil, err
	}
	return zlm.Convert(path, text)
}

type checkCommand struct{}

// Run reads the configuration and says whether it is sound, and what is to be known of it all the same.
func (checkCommand) Run(flags *settings) error {
	cfg, notes, err := check(flags)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if _, err = fmt.Println(n); err != nil {
			return err
		}
	}
	for _, d := range server.Doubts(cfg) {
		if _, err = fmt.Println(d); err != nil {
			return err
		}
	}
	_, err = fmt.Println("the configuration is sound")
	return err
}

// check reads the configuration and looks whether it is sound.
func check(flags *settings) (cfg *conf.Config, notes []zlm.Note, err error) {
	if cfg, notes, err = flags.loadWithNotes(); err != nil {
		return nil, nil, err
	}
	return cfg, notes, server.Check(cfg)
}

// sound is check, without the notes.
func sound(flags *settings) error {
	_, _, err := check(flags)
	return err
}

type convertCommand struct {
	File   string `arg:"" help:"ZLMediaKit's config.ini."`
	Output string `short:"o" placeholder:"FILE" help:"File to write; otherwise the standard output."`
}

// Run writes our configuration for one of ZLMediaKit's to the standard output or a new file, and what is not as it was there to the standard error.
func (c convertCommand) Run(*settings) error {
	yaml, notes, err := convert(c.File)
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(os.Stderr, n)
	}
	if cfg, wrong := conf.Load(conf.Source{File: c.Output, Data: yaml, Known: server.Known()}); wrong == nil { // else vigil check says what is wrong
		for _, d := range server.Doubts(cfg) {
			fmt.Fprintln(os.Stderr, d)
		}
	}
	if c.Output == "" {
		_, err = os.Stdout.Write(yaml)
		return err
	}
	f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it may hold secrets
	if err != nil {
		return err
	}
	_, err = f.Write(yaml)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(c.Output) // a part of it is of no use, and would be in the way of another attempt
	}
	return err
}

type signCommand struct {
	Action string        `arg:"" enum:"publish,play" help:"publish or play."`
	Stream string        `arg:"" help:"The stream, app/name."`
	For    time.Duration `default:"1h" help:"How long it holds."`
}

// Run prints the query of a signed URL.
func (c signCommand) Run(flags *settings) error {
	cfg, err := flags.load()
	if err != nil {
		return err
	}
	query, err := server.Sign(cfg, c.Action, c.Stream, time.Now().Add(c.For))
	if err != nil {
		return err
	}
	_, err = fmt.Println(query)
	return err
}
