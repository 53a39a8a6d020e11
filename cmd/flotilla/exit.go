package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"flotilla/quictransport/pki"
)

// The exit codes that scripts depend on (docs/INTERFACES.md).
const (
	exitOK           = 0
	exitInternal     = 1
	exitUsage        = 2
	exitUnavailable  = 3 // or timed out; nothing was written
	exitPrecondition = 4 // or not found
	exitUnhealthy    = 5
	exitAuth         = 6
	exitUnknown      = 7
	exitRefused      = 8
	exitCorrupt      = 9
	exitRemoved      = 10
	exitInterrupted  = 130
)

var classes = map[int]string{
	exitInternal: "internal", exitUsage: "usage", exitUnavailable: "unavailable", exitPrecondition: "precondition",
	exitUnhealthy: "unhealthy", exitAuth: "authentication", exitUnknown: "unknown_outcome", exitRefused: "refused",
	exitCorrupt: "corrupt", exitRemoved: "removed", exitInterrupted: "interrupted",
}

// exitError is an error that knows the process's exit code and the operator's next step.
type exitError struct {
	code int
	err  error
	hint string
}

// Error returns the cause's text; the hint is printed apart.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// fail makes an exitError.
func fail(code int, err error, hint string) *exitError {
	return &exitError{code: code, err: err, hint: hint}
}

// usagef makes a constructor of usage errors that share a hint: usagef(hint...)(text...).
func usagef(hint string, hintArgs ...any) func(format string, args ...any) error {
	h := fmt.Sprintf(hint, hintArgs...)
	return func(format string, args ...any) error { return fail(exitUsage, fmt.Errorf(format, args...), h) }
}

// print writes e for people, or as one JSON object for scripts.
func (e *exitError) print(w io.Writer, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(w).Encode(struct {
			Code    int    `json:"code"`
			Class   string `json:"class"`
			Message string `json:"message"`
			Hint    string `json:"hint"`
		}{e.code, classes[e.code], e.Error(), e.hint})
		return
	}
	fmt.Fprintf(w, "flotilla: %s\n", strings.ReplaceAll(e.Error(), "\n", "\n  "))
	if e.hint != "" {
		fmt.Fprintf(w, "  -> %s\n", e.hint)
	}
}

// classify gives any error its exit code. What urfave/cli itself refuses is wrong usage.
func classify(err error) *exitError {
	var e *exitError
	var cert *pki.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &cert):
		return certificateFault(cert)
	case errors.Is(err, context.Canceled):
		return fail(exitInterrupted, err, "")
	case errors.Is(err, context.DeadlineExceeded):
		return fail(exitUnavailable, err, "raise --timeout, or look at: flotilla status")
	}
	return fail(exitInternal, err, "this looks like a fault of flotilla: please report it with the command line")
}

// certificateFault puts the next step of a certificate's fault where the other errors have theirs.
func certificateFault(e *pki.Error) *exitError {
	bare := *e
	bare.Path = "" // without it, the text leaves the next step out
	text := error(&bare)
	if e.Path != "" {
		text = fmt.Errorf("%s: %w", e.Path, &bare)
	}
	return fail(exitAuth, text, e.Fault.Next())
}
