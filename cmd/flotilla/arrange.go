package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// invocation is a command line whose flags stand before its arguments, as urfave/cli wants them; people
// write them in any order.
type invocation struct {
	args []string
	cmd  *cli.Command
	// given is what arrange was given.
	given []string
}

// said returns the value given for a flag, whatever else is wrong with the command line, or that of the environment.
func (v invocation) said(name string) string {
	value := os.Getenv(envName(name))
	for i, arg := range v.given {
		if arg == "--" {
			break
		}
		flag, inline, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if len(arg) < 2 || arg[0] != '-' || flag != name && (name != "output" || flag != "o") {
			continue
		}
		if !ok && i+1 < len(v.given) {
			inline = v.given[i+1]
		}
		value = inline
	}
	return value
}

// arrange finds the command in args, checks that its flags exist, and moves them before its arguments.
// Everything after "--" is an argument.
func arrange(app *cli.App, args []string) (invocation, error) {
	v := invocation{args: args[:1:1], given: args}
	if len(args) > 1 && isVersionFlag(args[1]) {
		args = append([]string{args[0], "version"}, args[2:]...)
	}
	commands, rest := app.Commands, args[1:]
	for len(rest) > 0 && len(commands) > 0 {
		name := rest[0]
		if isHelp(name) {
			v.args = append(v.args, "--help")
			return v, nil
		}
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(name) })
		if i < 0 {
			return v, unknownCommand(v, commands, name)
		}
		v.cmd, v.args, rest = commands[i], append(v.args, name), rest[1:]
		commands = v.cmd.Subcommands
	}
	if v.cmd == nil {
		return v, nil // flotilla alone: the overview
	}
	if len(commands) > 0 {
		return v, usagef("see: flotilla %s --help", v.path())("%s needs a subcommand: one of %s", v.cmd.Name, names(commands))
	}
	return v.permute(rest)
}

func (v invocation) permute(rest []string) (invocation, error) {
	var flags, positional []string
	for i := 0; i < len(rest); i++ {
		arg := rest[i]
		if arg == "--" {
			positional = append(positional, rest[i+1:]...)
			break
		}
		if isHelp(arg) && arg != "help" {
			v.args = append(v.args, "--help")
			return v, nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			positional = append(positional, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f := flagNamed(v.cmd.Flags, name)
		if f == nil {
			return v, v.unknownFlag(arg, name)
		}
		_, boolean := f.(*cli.BoolFlag)
		if _, err := strconv.ParseBool(value); boolean && hasValue && err != nil {
			return v, usagef("see: flotilla %s --help", v.path())("--%s: %q is neither true nor false", name, value)
		}
		if !boolean && !hasValue {
			if i++; i == len(rest) {
				return v, usagef("see: flotilla %s --help", v.path())("flag %s needs a value", arg)
			}
			arg += "=" + rest[i]
		}
		flags = append(flags, arg)
	}
	v.args = append(append(v.args, flags...), "--")
	v.args = append(v.args, positional...)
	return v, nil
}

// path is the command without the program's name.
func (v invocation) path() string { return strings.Join(v.args[1:], " ") }

func (v invocation) unknownFlag(arg, name string) error {
	if v.cmd.ArgsUsage != "" && len(name) > 0 && name[0] >= '0' && name[0] <= '9' {
		return usagef("put -- before an argument that begins with a dash")("unknown flag %s", arg)
	}
	hint := "see: flotilla " + v.path() + " --help"
	if s := nearest(name, flagNames(v.cmd.Flags)); s != "" {
		hint = "did you mean --" + s + "?"
	}
	return usagef("%s", hint)("unknown flag %s of flotilla %s", arg, v.path())
}

func unknownCommand(v invocation, commands []*cli.Command, name string) error {
	hint := "commands: " + names(commands)
	switch {
	case strings.HasPrefix(name, "-") && v.cmd == nil:
		return usagef("flags follow the command: flotilla COMMAND %s ...", name)("flag %s before a command", name)
	case strings.HasPrefix(name, "-"):
		call := v.path() + " " + strings.ReplaceAll(names(commands), ", ", "|")
		return usagef("flags follow the subcommand: flotilla %s %s ...", call, name)("flag %s before a subcommand", name)
	}
	var known []string
	for _, c := range commands {
		known = append(known, c.Names()...)
	}
	if s := nearest(name, known); s != "" {
		hint = fmt.Sprintf("did you mean %s?", strings.Join(append([]string{"flotilla"}, append(v.args[1:], s)...), " "))
	}
	return usagef("%s", hint)("unknown command %q", strings.Join(append(v.args[1:], name), " "))
}

func isHelp(arg string) bool {
	return arg == "--help" || arg == "-help" || arg == "-h" || arg == "help"
}

func isVersionFlag(arg string) bool { return arg == "--version" || arg == "-version" || arg == "-v" }

// names lists the commands that are built, or all where none is.
func names(commands []*cli.Command) string {
	var built, all []string
	for _, c := range commands {
		all = append(all, c.Name)
		if !c.Hidden {
			built = append(built, c.Name)
		}
	}
	if built == nil {
		built = all
	}
	return strings.Join(built, ", ")
}

func flagNames(flags []cli.Flag) []string {
	var list []string
	for _, f := range flags {
		list = append(list, f.Names()[0])
	}
	return list
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}
