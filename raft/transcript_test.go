package raft_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"flotilla/raft/rafttest/script"
)

// TestTranscripts replays the situations of testdata/*.txt. To write one, give the commands with "----"
// below each and run the test with -rewrite; then read every line of what came out.
//
//	go test ./raft -run TestTranscripts -rewrite
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		run := script.New()
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) (out string) {
			defer func() {
				if p := recover(); p != nil {
					out = fmt.Sprintf("panic: %v\n", p)
				}
			}()
			args := make([]script.Arg, len(d.CmdArgs))
			for i, a := range d.CmdArgs {
				args[i] = script.Arg{Key: a.Key, Vals: a.Vals}
			}
			return run.Run(d.Cmd, args)
		})
		if err := run.Violation(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	})
}

var namedTranscript = regexp.MustCompile(`\]\(([a-z0-9_]+\.txt)\)`)

// TestMapOfTranscripts: every transcript that testdata/README.md names is there, and each of its rows names one.
func TestMapOfTranscripts(t *testing.T) {
	raw, err := os.ReadFile("testdata/README.md")
	if err != nil {
		t.Fatalf("read the map of the transcripts: %v", err)
	}
	rows := 0
	for line := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| their situation") {
			continue
		}
		rows++
		named := namedTranscript.FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			t.Errorf("testdata/README.md has a row without a transcript: %s", line)
		}
		for _, m := range named {
			if _, err := os.Stat("testdata/" + m[1]); err != nil {
				t.Errorf("testdata/README.md names %s, which is not there", m[1])
			}
		}
	}
	if rows != 28 { // the files of go.etcd.io/raft/v3's testdata
		t.Errorf("testdata/README.md maps %d situations, want 28", rows)
	}
}
