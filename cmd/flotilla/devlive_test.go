package main

import "testing"

// TestCallName: what dev tells people to type must work in the terminal they have.
func TestCallName(t *testing.T) {
	for _, c := range []struct {
		arg0, want, because string
	}{
		{"/tmp/go-build123/b001/exe/flotilla", "go run ./cmd/flotilla", "go run's binary goes when it ends"},
		{"flotilla", "flotilla", "the shell found it"},
		{"./flotilla", "./flotilla", "that is how it was called"},
	} {
		if got := callName(c.arg0); got != c.want {
			t.Errorf("%s: %q, want %q: %s", c.arg0, got, c.want, c.because)
		}
	}
}
