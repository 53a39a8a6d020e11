package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFuzzScript: scripts/fuzz.sh fails with everything that go said when a target fails, and runs a target again, three
// times at most, when all go said is that its time was over.
func TestFuzzScript(t *testing.T) {
	const (
		over    = "--- FAIL: FuzzX (2.05s)\n    context deadline exceeded\nFAIL\nexit status 1"
		finding = "--- FAIL: FuzzX (0.05s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:9: context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/771e"
		slow    = "--- FAIL: FuzzX (2.05s)\n    x_test.go:9:\n    context deadline exceeded"
	)
	for name, c := range map[string]struct {
		runs []string // what go says, run by run; "" for ok
		ok   bool
	}{
		"passes":              {[]string{""}, true},
		"over, then passes":   {[]string{over, ""}, true},
		"over thrice":         {[]string{over, over, over, ""}, true},
		"always over":         {[]string{over, over, over, over}, false},
		"over, then finding":  {[]string{over, over, finding}, false},
		"finding":             {[]string{finding}, false},
		"fails of a deadline": {[]string{slow}, false},
		"does not build":      {[]string{"x_test.go:1:1: expected 'package'"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, said := range c.runs {
				write(t, filepath.Join(dir, "run"+string(rune('1'+i))), said, 0o600)
			}
			// It takes the next run's text as its own, and fails if there is any.
			write(t, filepath.Join(dir, "go"), `#!/bin/sh
echo . >>"$0.calls"
said=$(dirname "$0")/run$(($(wc -l <"$0.calls")))
cat "$said" || echo "go ran once too often"
[ ! -s "$said" ]
`, 0o700)
			cmd := exec.Command("../../scripts/fuzz.sh", "raft/logstore/boltfile")
			cmd.Env = append(cmd.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if (err == nil) != c.ok || strings.Contains(string(out), "once too often") {
				t.Errorf("%v, want ok %v:\n%s", err, c.ok, out)
			}
			for _, said := range c.runs {
				if !strings.Contains(string(out), said) {
					t.Errorf("this was not shown:\n%s\nin:\n%s", said, out)
				}
			}
		})
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
