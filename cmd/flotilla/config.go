package main

import (
	"context"

	"github.com/urfave/cli/v2"
)

func configCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "show how settings are resolved",
		Subcommands: []*cli.Command{{
			Name: "print", Usage: "print each setting of serve and where it came from: flag, environment, file or default",
			Flags: append(serveFlags(), outputFlag()),
			Action: action(func(_ context.Context, s *settings) error {
				mode := s.output(sh)
				readServe(s) // for its faults
				if err := s.err(); err != nil {
					return err
				}
				return printSettings(sh, mode, s.list)
			}),
		}},
	}
}

func printSettings(sh *shell, mode string, list []setting) error {
	type line struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		From  origin `json:"from"`
		Where string `json:"where,omitempty"`
	}
	t := newTable(sh.out, "setting", "value", "from")
	if mode == "json" {
		for _, x := range list {
			where := x.where
			if x.origin == fromDefault {
				where = ""
			}
			if err := printJSON(sh.out, line{x.name, x.value, x.origin, where}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, x := range list {
		from := string(x.origin)
		if x.origin == fromEnv || x.origin == fromFile {
			from += " (" + x.where + ")"
		}
		t.row(x.name, orDash(x.value), from)
	}
	return t.flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
