package main

import (
	"context"
	"errors"
	"io/fs"

	"flotilla"
	"flotilla/catalog/restore"
	"flotilla/client"
	"flotilla/snapshotstream"

	"github.com/urfave/cli/v2"
)

func snapshotCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "snapshot", Usage: "save a whole cluster to a file, look into it, make a new cluster of it",
		Subcommands: []*cli.Command{
			{
				Name: "save", ArgsUsage: "FILE", Usage: "save the data of all groups, and what the cluster knows of itself, while it runs",
				Flags: patientFlags("how long to try to reach the cluster, a `DURATION`; then it ends when nothing comes for 30s",
					toggle("force", "replace FILE if it is there")),
				Action: onFile(snapshotSave(sh)),
			}, {
				Name: "inspect", ArgsUsage: "FILE", Usage: "read a saved FILE to its end, which finds any damage, and say what is in it",
				Flags: []cli.Flag{outputFlag(), configFlag()}, Action: onFile(snapshotInspect(sh)),
			}, {
				Name: "restore", ArgsUsage: "FILE", Usage: "make the data directory of one node of a new cluster of a saved FILE; run it for each node, with the same FILE and --initial-cluster",
				Flags: []cli.Flag{
					text("data", "", "`DIR` to make; only its tls may be there already"),
					text("node-id", "", "the node's `ID` in the new cluster"),
					text("initial-cluster", "", "the nodes of the new cluster: `1=h:p,2=h:p,3=h:p`, the same at every node"),
					text("cluster", "", "`NAME` of the new cluster, as in the certificates (default: that of the saved one)"),
					text("tls-dir", "", "`DIR` with ca.crt, node.crt, node.key (default: DATA/tls)"),
					text("epoch", "", "`N` that the new epochs begin above, the same at every node (default: a million above the saved one)"),
					outputFlag(), configFlag(),
				},
				Action: onFile(snapshotRestore(sh)),
			},
		},
	}
}

// onFile makes an action of a command that has to do with a cluster in a file, whose faults have next steps of their own.
func onFile(fn func(context.Context, *settings) error) cli.ActionFunc {
	return action(func(ctx context.Context, s *settings) error { return fileFault(fn(ctx, s)) })
}

func fileFault(err error) error {
	var (
		asked    *client.Error
		config   *flotilla.ConfigError
		notEmpty *flotilla.NotEmptyError
		newer    *snapshotstream.VersionError
	)
	switch {
	case errors.As(err, &asked):
		return err // of the cluster, not of the file
	case errors.As(err, &config):
		return fail(exitUsage, err, "see: flotilla snapshot restore --help")
	case errors.As(err, &notEmpty):
		return &exitError{exitRefused, "not_empty", err, "what is there is left alone: choose another --data, or move it away"}
	case errors.Is(err, restore.ErrInUse):
		return &exitError{exitUnavailable, "in_use", err, "wait for it, or choose another --data"}
	case errors.Is(err, snapshotstream.ErrCorrupt):
		return fail(exitCorrupt, err, "nothing was made of it: use another copy of the file, or save again")
	case errors.As(err, &newer):
		return &exitError{exitRefused, "format", err, "use the flotilla version that wrote it, or a newer one"}
	case errors.Is(err, fs.ErrExist):
		return &exitError{exitPrecondition, "exists", err, "choose another name, or replace it with --force"}
	}
	return err
}
