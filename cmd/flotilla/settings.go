package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// origin says where a setting's value came from.
type origin string

// The origins, strongest first.
const (
	fromFlag    origin = "flag"
	fromEnv     origin = "environment"
	fromFile    origin = "file"
	fromDefault origin = "default"
)

type setting struct {
	name, value string
	origin      origin
	where       string // what to call it in an error: the flag, the variable, or file:line
}

// settings are the resolved flags and arguments of one command. The typed readers collect faults, so that
// one run reports all of them: read everything, then ask err.
type settings struct {
	command string
	args    []string
	list    []setting
	faults  []error
	context *cli.Context // to resolve again
}

// envName is the rule: --node-id -> FLOTILLA_NODE_ID.
func envName(flag string) string {
	return "FLOTILLA_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// text declares a flag with a value. Whatever its type, it is read as text and parsed by settings, so that a
// wrong value is reported the same way from wherever it came.
func text(name, value, usage string) cli.Flag {
	f := &cli.StringFlag{Name: name, Value: value, Usage: usage + " [$" + envName(name) + "]"}
	if name == "output" {
		f.Aliases = []string{"o"}
	}
	return f
}

// toggle declares a flag without a value.
func toggle(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage + " [$" + envName(name) + "]", DisableDefaultText: true}
}

// configFlag is common to every command that has settings worth a file.
func configFlag() cli.Flag { return text("config", "", "YAML `FILE` with any of these flags as keys") }

// action turns fn into a command's action: settings resolved, arguments counted against ArgsUsage.
func action(fn func(ctx context.Context, s *settings) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s, err := resolve(c)
		if err != nil {
			return err
		}
		if err := fn(c.Context, s); err != nil {
			return &runError{err, s}
		}
		return nil
	}
}

// runError is how a command failed whose settings were resolved.
type runError struct {
	error
	settings *settings
}

// Unwrap returns the command's error.
func (e *runError) Unwrap() error { return e.error }

// again resolves one setting anew: the file may have changed since.
func (s *settings) again(name string) (setting, error) {
	fresh, err := resolve(s.context)
	if err != nil {
		return setting{}, err
	}
	return fresh.find(name), nil
}

func resolve(c *cli.Context) (*settings, error) {
	s := &settings{command: strings.TrimPrefix(c.Command.HelpName, "flotilla "), args: c.Args().Slice(), context: c}
	if err := checkArgs(s.command, c.Command.ArgsUsage, s.args); err != nil {
		return nil, err
	}
	given := c.LocalFlagNames()
	var file configFile
	if f := flagNamed(c.Command.Flags, "config"); f != nil {
		path := valueOf(c, f, given, nil).value
		var err error
		if file, err = readConfigFile(path, flagNames(c.Command.Flags)); err != nil {
			return nil, err
		}
	}
	for _, f := range c.Command.Flags {
		if f.Names()[0] != "help" {
			s.list = append(s.list, valueOf(c, f, given, file))
		}
	}
	return s, nil
}

func valueOf(c *cli.Context, f cli.Flag, given []string, file configFile) setting {
	name := f.Names()[0]
	if slices.ContainsFunc(f.Names(), func(n string) bool { return slices.Contains(given, n) }) {
		return setting{name, fmt.Sprint(c.Value(name)), fromFlag, "--" + name}
	}
	if v := os.Getenv(envName(name)); v != "" {
		return setting{name, v, fromEnv, envName(name)}
	}
	if v, ok := file[name]; ok {
		return setting{name, v.value, fromFile, fmt.Sprintf("%s in %s:%d", name, v.path, v.line)}
	}
	return setting{name, fmt.Sprint(c.Value(name)), fromDefault, "--" + name}
}

// checkArgs counts args against a usage like "KEY VALUE" or "PREFIX [END]".
func checkArgs(command, usage string, args []string) error {
	words := strings.Fields(usage)
	need := 0
	for _, w := range words {
		if !strings.HasPrefix(w, "[") {
			need++
		}
	}
	call := strings.TrimSpace("flotilla " + command + " " + usage)
	switch {
	case len(args) < need:
		return usagef("usage: %s", call)("%s is missing", words[len(args)])
	case len(args) > len(words):
		return usagef("usage: %s", call)("unexpected argument %q", args[len(words)])
	}
	return nil
}

func (s *settings) find(name string) setting {
	i := slices.IndexFunc(s.list, func(x setting) bool { return x.name == name })
	if i < 0 {
		panic("flag " + name + " is not declared by " + s.command)
	}
	return s.list[i]
}

func (s *settings) fault(x setting, format string, args ...any) {
	s.faults = append(s.faults, fmt.Errorf("%s: %s", x.where, fmt.Sprintf(format, args...)))
}

// given reports whether name was set by anybody.
func (s *settings) given(name string) bool { return s.find(name).origin != fromDefault }

// elsewhere reports whether name was set, if it is a setting here, by the environment or the file.
func (s *settings) elsewhere(name string) bool {
	return slices.ContainsFunc(s.list, func(x setting) bool {
		return x.name == name && (x.origin == fromEnv || x.origin == fromFile)
	})
}

// text returns a setting as it stands.
func (s *settings) text(name string) string { return s.find(name).value }

// on returns a toggle.
func (s *settings) on(name string) bool {
	x := s.find(name)
	v, err := strconv.ParseBool(x.value)
	if err != nil {
		s.fault(x, "%q is neither true nor false", x.value)
	}
	return v
}

// number returns a whole number within [lo, hi].
func (s *settings) number(name string, lo, hi uint64) uint64 {
	x := s.find(name)
	if x.value == "" {
		return 0
	}
	v, err := strconv.ParseUint(x.value, 10, 64)
	if err != nil || v < lo || v > hi {
		s.fault(x, "%q is not a whole number from %d to %d", x.value, lo, hi)
	}
	return v
}

// duration returns a duration within [lo, hi].
func (s *settings) duration(name string, lo, hi time.Duration) time.Duration {
	x := s.find(name)
	v, err := time.ParseDuration(x.value)
	if err != nil || v < lo || v > hi {
		s.fault(x, "%q is not a duration from %v to %v (like 250ms or 10s)", x.value, lo, hi)
	}
	return v
}

// oneOf returns a word of a closed set.
func (s *settings) oneOf(name string, words ...string) string {
	x := s.find(name)
	if !slices.Contains(words, x.value) {
		s.fault(x, "%q is not one of %s", x.value, strings.Join(words, ", "))
	}
	return x.value
}

// err returns every fault found so far, joined, as a usage error.
func (s *settings) err() error {
	if len(s.faults) == 0 {
		return nil
	}
	return fail(exitUsage, errors.Join(s.faults...), "see: flotilla "+s.command+" --help")
}

// argument reads an argument as a number from lo to hi.
func (s *settings) argument(at int, what string, lo, hi uint64) uint64 {
	n, err := strconv.ParseUint(s.args[at], 10, 64)
	if err != nil || n < lo || n > hi {
		s.faults = append(s.faults, fmt.Errorf("%q is no %s: want a number from %d", s.args[at], what, lo))
	}
	return n
}
