package main

import (
	"net"

	"github.com/urfave/cli/v2"
)

func newLimitedListener(l net.Listener, n int) net.Listener { return l }
func kvCommand(sh *shell) *cli.Command      { return &cli.Command{Name: "kv"} }
func statusCommand(sh *shell) *cli.Command  { return &cli.Command{Name: "status"} }
func groupCommand(sh *shell) *cli.Command   { return &cli.Command{Name: "group"} }
func memberCommand(sh *shell) *cli.Command  { return &cli.Command{Name: "member"} }
func benchCommand(sh *shell) *cli.Command   { return &cli.Command{Name: "bench"} }
func offlineCommand(sh *shell) *cli.Command { return &cli.Command{Name: "offline"} }
func clientFlags() []cli.Flag               { return nil }
