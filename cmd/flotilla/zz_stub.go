package main

import (
	"github.com/urfave/cli/v2"
)

func offlineCommand(sh *shell) *cli.Command { return &cli.Command{Name: "offline"} }
