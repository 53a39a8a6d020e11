package raft_test

import (
	"fmt"
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
