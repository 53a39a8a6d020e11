// Command flotilla runs nodes of a flotilla cluster and talks to them.
//
// One file holds one command. main.go arranges the arguments and hands them to urfave/cli; settings.go
// resolves every flag from the command line, the environment, the configuration file and the defaults, in
// that order, and remembers where each came from; exit.go owns the exit codes. The environment is read here and
// nowhere else in the house.
//
// What scripts depend on (flags, outputs, exit codes) is bound by docs/INTERFACES.md and held by
// testdata/script.
package main
