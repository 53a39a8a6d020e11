package server

import (
	"strings"
	"testing"
)

// TestPageOwnsUpToSilence: a page whose node hangs must say so and fade, not stay green over old numbers.
func TestPageOwnsUpToSilence(t *testing.T) {
	text := string(pageHTML)
	for what, want := range map[string]string{
		"a time limit on each request": "AbortSignal.timeout(",
		"the numbers fade":             `classList.toggle("old"`,
		"missing leaders stand out":    `mark("led"`,
		"missing nodes stand out":      `mark("up"`,
		"snapshots on their way":       "s.transfers.map(transfer)",
		"their progress":               `el("progress")`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s: the page lacks %q", what, want)
		}
	}
}
