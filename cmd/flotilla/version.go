package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"flotilla/quictransport"
	"flotilla/server"

	"github.com/urfave/cli/v2"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version = ""

func versionCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "say which build this is and which wire versions it speaks",
		Flags: []cli.Flag{outputFlag()},
		Action: action(func(_ context.Context, s *settings) error {
			mode := s.output(sh)
			if err := s.err(); err != nil {
				return err
			}
			v := versionInfo()
			if mode == "json" {
				return printJSON(sh.out, v)
			}
			_, err := fmt.Fprintf(sh.out, "flotilla %s (commit %s, %s, wire %d to %d)\n", v.Version, v.Commit, v.Go, v.WireMin, v.WireMax)
			return err
		}),
	}
}

// versionInfo returns what the Go tool has stamped on this binary.
func versionInfo() server.Version {
	v := server.Version{Version: version, Commit: "unknown", Go: runtime.Version(), WireMin: int(quictransport.WireMin), WireMax: int(quictransport.WireMax)}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, kv := range info.Settings {
		if kv.Key == "vcs.revision" {
			v.Commit = kv.Value
		}
	}
	return v
}
