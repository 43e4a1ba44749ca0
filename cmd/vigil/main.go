// Command vigil is a live streaming media server. See README.md; vigil --help lists commands and flags.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
)

// version is set by the linker.
var version = "dev"

// Exit codes, as README.md documents them, and the time that an exit may take.
const (
	exitFailure = 1
	exitConfig  = 2
	exitListen  = 3
	exitMemory  = 77

	exitTime = 4800 * time.Millisecond // from a signal to the end, whatever hangs
	lastWord = 200 * time.Millisecond  // to say why, on a standard error that nobody may be reading
)

// settings are the flags that say what the configuration is.
type settings struct {
	Config    string   `short:"c" placeholder:"FILE" env:"VIGIL_CONFIG" help:"Configuration file."`
	Set       []string `sep:"none" placeholder:"KEY=VALUE" help:"Set one key, such as rtmp.listen=:1936. May be repeated."`
	LogLevel  string   `placeholder:"LEVEL" help:"debug, info, warn or error; the same as --set log.level=LEVEL."`
	LogFormat string   `placeholder:"FORMAT" help:"text or json; the same as --set log.format=FORMAT."`
}

func (s settings) load() (*conf.Config, error) {
	set := s.Set
	if s.LogLevel != "" {
		set = append(set, "log.level="+s.LogLevel)
	}
	if s.LogFormat != "" {
		set = append(set, "log.format="+s.LogFormat)
	}
	return conf.Load(conf.Source{File: s.Config, Env: os.Environ(), Set: set, Known: server.Known()})
}

type serveCommand struct{}

// Run serves until a signal ends it.
func (serveCommand) Run(flags *settings) error {
	cfg, err := flags.load()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a log collector that dies must not take the server with it
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := server.New(server.Options{
		Config: cfg, Version: version, Console: os.Stderr, Screen: os.Stdout, Exit: func() { os.Exit(exitMemory) },
	})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends the process at once
		time.AfterFunc(exitTime, func() { os.Exit(exitFailure) })
	})
	return s.Run(ctx)
}

type checkCommand struct{}

// Run reads the configuration and says whether it is sound.
func (checkCommand) Run(flags *settings) error {
	cfg, err := flags.load()
	if err != nil {
		return err
	}
	if err = server.Check(cfg); err != nil {
		return err
	}
	_, err = fmt.Println("the configuration is sound")
	return err
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	_, err := fmt.Println("vigil", version)
	return err
}

func main() {
	var cli struct {
		settings
		Serve   serveCommand   `cmd:"" default:"1" help:"Serve (what happens when no command is given)."`
		Check   checkCommand   `cmd:"" help:"Check the configuration and exit with 0 if it is sound."`
		Version versionCommand `cmd:"" help:"Print the version."`
	}
	k := kong.Must(&cli, kong.Name("vigil"), kong.Description("A live streaming media server that never plays dead."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	run, err := k.Parse(os.Args[1:])
	if err != nil {
		fail(err, exitConfig)
	}
	if err := run.Run(&cli.settings); err != nil {
		fail(err, code(err))
	}
}

// fail says why and exits, even when nobody reads the standard error.
func fail(err error, code int) {
	time.AfterFunc(lastWord, func() { os.Exit(code) })
	fmt.Fprintf(os.Stderr, "vigil: %v\n", err)
	os.Exit(code)
}

// code is the exit code for an error.
func code(err error) int {
	if _, ok := errors.AsType[conf.Problems](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[*server.ListenError](err); ok {
		return exitListen
	}
	if errors.Is(err, server.ErrMemory) {
		return exitMemory
	}
	return exitFailure
}
