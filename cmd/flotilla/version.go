package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version = ""

// The wire versions this build speaks (P35).
const wireMin, wireMax = 1, 1

func versionCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "say which build this is and which wire versions it speaks",
		Flags: []cli.Flag{outputFlag()},
		Action: action(func(_ context.Context, s *settings) error {
			mode := s.output(sh)
			if err := s.err(); err != nil {
				return err
			}
			v, commit := buildInfo()
			if mode == "json" {
				return printJSON(sh.out, struct {
					Version string `json:"version"`
					Commit  string `json:"commit"`
					Go      string `json:"go"`
					WireMin int    `json:"wire_min"`
					WireMax int    `json:"wire_max"`
				}{v, commit, runtime.Version(), wireMin, wireMax})
			}
			_, err := fmt.Fprintf(sh.out, "flotilla %s (commit %s, %s, wire %d to %d)\n", v, commit, runtime.Version(), wireMin, wireMax)
			return err
		}),
	}
}

// buildInfo returns the version and the commit that the Go tool has stamped on this binary.
func buildInfo() (v, commit string) {
	v, commit = version, "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, commit
	}
	if v == "" {
		v = info.Main.Version
	}
	for _, kv := range info.Settings {
		if kv.Key == "vcs.revision" {
			commit = kv.Value
		}
	}
	return v, commit
}
