package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"flotilla/internal/mutant"
)

// report prints the table and says whether every mutant was found by what the table names.
func report(out io.Writer, rows []row, took time.Duration) error {
	var bad []string
	fmt.Fprintf(out, "%-26s %8s  %-58s %s\n", "mutant", "seconds", "found by", "broad proofs")
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(out, "%-26s %8.2f  %-58s %s\n", r.mutant.Name, r.seconds, r.by(), proofs(r))
		switch {
		case r.killed == "":
			bad = append(bad, fmt.Sprintf("%s survives", r.mutant.Name))
		case len(r.missed) > 0:
			bad = append(bad, fmt.Sprintf("%s is not found by %s, as the table says", r.mutant.Name, strings.Join(r.missed, " and ")))
		}
	}
	fmt.Fprintf(out, "%d mutants, %d found as the table says, %.0f s\n", len(rows), len(rows)-len(bad), took.Seconds())
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "; "))
	}
	return nil
}

// by names the check that found the mutant.
func (r *row) by() string {
	if r.killed == "" {
		return "SURVIVES"
	}
	return r.killed
}

// proofs renders what the broad proofs said.
func proofs(r *row) string {
	var parts []string
	for _, p := range r.mutant.Proofs() {
		o, tried := r.broad[p]
		switch {
		case !tried:
		case o.killed:
			parts = append(parts, fmt.Sprintf("%s %.1f s", broad(p).name, o.seconds))
		default:
			parts = append(parts, broad(p).name+" -")
		}
	}
	return strings.Join(parts, ", ")
}

// jsonRow is a row as written to a file.
type jsonRow struct {
	Mutant  mutant.Name          `json:"mutant"`
	Breaks  string               `json:"breaks"`
	Package string               `json:"package"`
	Killed  string               `json:"found_by"` // "" for a survivor
	How     string               `json:"how"`
	Seconds float64              `json:"seconds"`
	Broad   map[string]jsonProof `json:"broad,omitempty"`
	Missed  []string             `json:"missed,omitempty"`
}

type jsonProof struct {
	Found   bool    `json:"found"`
	How     string  `json:"how,omitempty"`
	Seconds float64 `json:"seconds"`
}

func writeJSON(path string, rows []row) error {
	list := make([]jsonRow, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		j := jsonRow{
			Mutant: r.mutant.Name, Breaks: r.mutant.Breaks, Package: r.mutant.Package,
			Killed: r.killed, How: r.how, Seconds: r.seconds, Missed: r.missed,
		}
		for p, o := range r.broad {
			if j.Broad == nil {
				j.Broad = map[string]jsonProof{}
			}
			j.Broad[broad(p).name] = jsonProof{Found: o.killed, How: o.how, Seconds: o.seconds}
		}
		list = append(list, j)
	}
	raw, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
