package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestConfirm: a person is asked and has to say yes; a script, which cannot be asked, goes on.
func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		attended bool
		answer   string
		goesOn   bool
	}{
		{true, "y\n", true},
		{true, "YES\n", true},
		{true, " y \n", true},
		{true, "\n", false},
		{true, "n\n", false},
		{true, "yeah\n", false},
		{true, "", false},
		{true, strings.Repeat(" ", 2*maxAnswer) + "y\n", false},
		{false, "n\n", true},
		{false, "", true},
	} {
		var said bytes.Buffer
		sh := &shell{in: strings.NewReader(c.answer), err: &said, attended: c.attended}
		err := sh.confirm(t.Context(), "really?")
		if (err == nil) != c.goesOn || err != nil && classify(err).code != exitRefused {
			t.Errorf("%q (attended %v): %v", c.answer, c.attended, err)
		}
		if strings.Contains(said.String(), "really?") != c.attended {
			t.Errorf("attended %v, said %q", c.attended, said.String())
		}
	}
}

// TestConfirmInterrupted: a signal ends the wait for an answer.
func TestConfirmInterrupted(t *testing.T) {
	nobody, keys := io.Pipe()
	defer keys.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sh := &shell{in: nobody, err: io.Discard, attended: true}
	if err := sh.confirm(ctx, "really?"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
