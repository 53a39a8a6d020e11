package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// outputFlag is -o.
func outputFlag() cli.Flag {
	return text("output", "", "`FORMAT` of results: table or json (table on a terminal, json elsewhere)")
}

// outputMode is what to write: the mode asked for, else what out is made for.
func outputMode(asked string, sh *shell) string {
	switch {
	case asked != "":
		return asked
	case sh.terminal:
		return "table"
	}
	return "json"
}

// output reads -o.
func (s *settings) output(sh *shell, extra ...string) string {
	if s.given("output") {
		s.oneOf("output", append([]string{"table", "json"}, extra...)...)
	}
	return outputMode(s.text("output"), sh)
}

// errorsAsJSON reports whether the error that a command line ended with is written as JSON: as the command's results
// are; where there is no command to run, as results in general. A node writes a log instead, whose format decides.
func errorsAsJSON(v invocation, err error, sh *shell) bool {
	said := v.said
	if run := (*runError)(nil); errors.As(err, &run) {
		said = run.settings.text // the configuration file counts too
	}
	has := func(name string) bool { return v.cmd != nil && flagNamed(v.cmd.Flags, name) != nil }
	if has("log-level") && !has("output") { // serve and dev
		return has("log-format") && said("log-format") == "json"
	}
	return outputMode(said("output"), sh) == "json"
}

// printJSON writes one object and a line feed.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table writes rows in columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, heads ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.w, strings.ToUpper(strings.Join(heads, "\t")))
	return t
}

func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(t.w, strings.Join(texts, "\t"))
}

func (t *table) flush() error { return t.w.Flush() }

// list prints ids as "1 2 3", or "-".
func list[T any](ids []T) string {
	if len(ids) == 0 {
		return "-"
	}
	return strings.Trim(fmt.Sprint(ids), "[]")
}
