// Package gobuild builds this module's program for tests that run it as a process. `go test` keeps the result of a test as long as
// the files are the same that it looked at, and knows nothing of those that a compiler looked at on its behalf: such a test
// would pass from memory whatever had become of the program. So Build looks at them too.
package gobuild

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Program is the import path of what Build builds.
const Program = "flotilla/cmd/flotilla"

// Build compiles the program into the file or directory out, with build tags if any are given. An error has what the go command said.
func Build(out string, tags ...string) error {
	with := "-tags=" + strings.Join(tags, ",")
	if _, err := run("build", "-buildvcs=false", with, "-o", out, Program); err != nil {
		return err
	}
	sources, err := Sources(tags...)
	if err != nil {
		return err
	}
	for _, path := range sources {
		if _, err := os.Stat(path); err != nil { // this is what go test takes note of
			return err
		}
	}
	return nil
}

// Sources returns the absolute paths of the files of this module that the program is built of, go.mod and go.sum among them.
func Sources(tags ...string) ([]string, error) {
	const files = `{{with .Module}}{{if .Main}}{{.GoMod}}{{"\n"}}{{.Dir}}/go.sum{{"\n"}}` +
		`{{range $.GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range $.EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	out, err := run("list", "-deps", "-tags="+strings.Join(tags, ","), "-f", files, Program)
	return strings.Fields(out), err
}

func run(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, failed.Stderr)
	}
	return string(out), err
}
