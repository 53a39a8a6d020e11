package main

import (
	"context"

	"github.com/urfave/cli/v2"
)

// notBuilt is a command that the interface names and this build does not have yet. Help does not list it; called, it
// says so, which beats "unknown command": scripts written against the interface fail with the reason.
func notBuilt(name, args, usage, hint string, flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, ArgsUsage: args, Usage: usage + " (not built yet)", Flags: flags, Hidden: true,
		Action: action(func(_ context.Context, s *settings) error {
			return usagef("%s", hint)("flotilla %s is not built yet", s.command)
		}),
	}
}

func snapshotCommand(*shell) *cli.Command {
	const hint = "snapshots come with a later version; until then stop a node and copy its data directory"
	return &cli.Command{
		Name: "snapshot", Usage: "save, inspect and restore snapshots (not built yet)", Hidden: true,
		Subcommands: []*cli.Command{
			notBuilt("save", "FILE", "save the cluster's data", hint, clientFlags()...),
			notBuilt("inspect", "FILE", "describe a snapshot", hint, outputFlag()),
			notBuilt("restore", "FILE", "make a data directory from a snapshot", hint, text("data", "", "`DIR` to make"), outputFlag()),
		},
	}
}
