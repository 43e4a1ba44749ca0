// Command vigil is a live streaming media server. See README.md; vigil --help lists commands and flags.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/vigil-media/vigil/internal/conf"
	"github.com/vigil-media/vigil/internal/server"
	"github.com/vigil-media/vigil/internal/supervise"
	"github.com/vigil-media/vigil/internal/task"
)

// version is set by the linker.
var version = "dev"

// Exit codes, as README.md documents them, and the time that an exit may take.
const (
	exitFailure = 1
	exitConfig  = 2
	exitListen  = 3
	exitMemory  = 77
	exitGone    = 79 // a worker's, whose supervisor has ended

	exitTime = 4800 * time.Millisecond // from a signal to the end, whatever hangs
	lastWord = 200 * time.Millisecond  // to say why, on a standard error that nobody may be reading
)

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	_, err := fmt.Println("vigil", version)
	return err
}

func main() {
	var cli struct {
		settings
		Serve       serveCommand       `cmd:"" default:"1" help:"Serve (what happens when no command is given)."`
		Check       checkCommand       `cmd:"" help:"Check the configuration and exit with 0 if it is sound."`
		Convert     convertCommand     `cmd:"" help:"Make a configuration of ZLMediaKit's config.ini."`
		Sign        signCommand        `cmd:"" help:"Sign the URL of a stream, with auth.sign_key."`
		Status      statusCommand      `cmd:"" help:"Tell how the running server is."`
		Reload      reloadCommand      `cmd:"" help:"Replace the running worker by one with the present program and configuration."`
		Bundle      bundleCommand      `cmd:"" help:"Have the running server write a diagnosis bundle."`
		Healthcheck healthcheckCommand `cmd:"" help:"Exit with 0 if the running server is well, for containers."`
		Version     versionCommand     `cmd:"" help:"Print the version."`
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
	if p, ok := errors.AsType[*task.PanicError](err); ok {
		fmt.Fprintf(os.Stderr, "%s", p.Stack)
	}
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
	if e, ok := errors.AsType[*supervise.ExitError](err); ok {
		return e.Code
	}
	switch {
	case errors.Is(err, server.ErrMemory):
		return exitMemory
	case errors.Is(err, supervise.ErrGone):
		return exitGone
	}
	return exitFailure
}
