package main

import (
	"context"
	"io"
	"os"

	"flotilla/internal/progress"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func main() {
	os.Exit(run(os.Args, &shell{in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: isTerminal(os.Stdout), live: progress.Mode(isTerminal(os.Stderr)), attended: attended()}))
}

// shell is the process's surroundings as the commands see them.
type shell struct {
	in       io.Reader
	out, err io.Writer
	// terminal says whether out is one: tables and colour there, JSON elsewhere.
	terminal bool
	// live says whether err is one.
	live progress.Mode
	// attended says whether there is somebody to be asked.
	attended bool
}

// progress is told on stderr: stdout has the result.
func (sh *shell) progress() *progress.Progress { return progress.New(sh.err, sh.live) }

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// run executes one command line and returns the exit code.
func run(args []string, sh *shell) int {
	app := newApp(sh)
	call, err := arrange(app, args)
	if err == nil {
		err = app.RunContext(context.Background(), call.args)
	}
	if err == nil {
		return exitOK
	}
	e := classify(err)
	e.print(sh.err, errorsAsJSON(call, err, sh))
	return e.code
}

func newApp(sh *shell) *cli.App {
	return &cli.App{
		Name:      "flotilla",
		Usage:     "many rafts, one fence: a replicated key-value store and the Raft system under it",
		UsageText: "flotilla COMMAND [flags] [arguments]\n\nStart here:  flotilla dev    a whole cluster in this terminal",
		Writer:    sh.out, ErrWriter: sh.err,
		HideVersion: true, HideHelpCommand: true,
		ExitErrHandler: func(*cli.Context, error) {}, // run prints and returns the code
		Commands: []*cli.Command{
			serveCommand(sh), devCommand(sh),
			kvCommand(sh), statusCommand(sh), groupCommand(sh), memberCommand(sh), benchCommand(sh),
			certCommand(sh), offlineCommand(sh), snapshotCommand(sh), configCommand(sh), versionCommand(sh),
		},
	}
}
