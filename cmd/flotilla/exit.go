package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"flotilla"
	"flotilla/catalog"
	"flotilla/client"
	"flotilla/client/protocol"
	"flotilla/quictransport/pki"
	"flotilla/raft/logstore"
	"flotilla/raft/wire"
)

// The exit codes that scripts depend on (docs/INTERFACES.md). Up to 8 they are the classes of the protocol.
const (
	exitOK           = 0
	exitInternal     = int(protocol.ClassInternal)
	exitUsage        = int(protocol.ClassUsage)
	exitUnavailable  = int(protocol.ClassUnavailable) // or timed out; nothing was written
	exitPrecondition = int(protocol.ClassPrecondition)
	exitUnhealthy    = int(protocol.ClassUnhealthy)
	exitAuth         = int(protocol.ClassAuth)
	exitUnknown      = int(protocol.ClassOutcomeUnknown)
	exitRefused      = int(protocol.ClassFenced)
	exitCorrupt      = 9
	exitRemoved      = 10
	exitInterrupted  = 130
)

// className is a class as it stands in JSON.
func className(code int) string {
	switch code {
	case exitCorrupt:
		return "corrupt"
	case exitRemoved:
		return "removed"
	case exitInterrupted:
		return "interrupted"
	}
	return protocol.Class(code).String()
}

// exitError is an error that knows the process's exit code and the operator's next step.
type exitError struct {
	code int
	// name is the stable name of this very error; the class's when empty.
	name string
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
		name := e.name
		if name == "" {
			name = className(e.code)
		}
		_ = printJSON(w, struct {
			Code    string `json:"code"`
			Class   string `json:"class"`
			Message string `json:"message"`
			Hint    string `json:"hint"`
		}{name, className(e.code), e.Error(), e.hint})
		return
	}
	fmt.Fprintf(w, "flotilla: %s\n", strings.ReplaceAll(e.Error(), "\n", "\n  "))
	if e.hint != "" {
		fmt.Fprintf(w, "  -> %s\n", e.hint)
	}
}

// classify gives any error its exit code and its next step.
func classify(err error) *exitError {
	var (
		known      *exitError
		cert       *pki.Error
		asked      *client.Error
		remote     *flotilla.Error
		contradict *flotilla.ContradictionError
		config     *flotilla.ConfigError
		unsafe     *flotilla.UnsafeError
		corruptLog *logstore.CorruptionError
		corruptCat *catalog.CorruptionError
		format     *logstore.FormatError
		opErr      *net.OpError
		path       *fs.PathError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &cert):
		return certificateFault(err, cert)
	case errors.As(err, &asked):
		return askedFault(err, asked)
	case errors.As(err, &contradict):
		return &exitError{exitUsage, "contradiction", err, "a data directory that has an identity restarts from it: leave such flags away"}
	case errors.Is(err, flotilla.ErrNotBorn):
		return fail(exitUsage, err, "a first start needs --node-id N with --bootstrap, or --initial-cluster 1=h:p,2=h:p,3=h:p, or --join h:p; to try it out: flotilla dev")
	case errors.As(err, &config):
		return fail(exitUsage, err, "see: flotilla serve --help; to try it out: flotilla dev")
	case errors.As(err, &unsafe):
		return &exitError{exitRefused, "unsafe", err, ""}
	case errors.Is(err, flotilla.ErrUnfinished):
		return &exitError{exitRefused, "unfinished", err, "run the same 'flotilla snapshot restore' again, then start the node"}
	case errors.Is(err, catalog.ErrInUse), errors.Is(err, logstore.ErrInUse):
		return &exitError{exitUnavailable, "in_use", err, "stop the process that holds it, or choose another --data"}
	case errors.Is(err, catalog.ErrNewerFormat):
		return &exitError{exitRefused, "newer_format", err, "start it with the flotilla version that wrote it, or a newer one"}
	case errors.As(err, &format):
		return &exitError{exitRefused, "format", err, "start it with the flotilla version that wrote it, or a newer one"}
	case errors.Is(err, flotilla.ErrRemoved):
		return fail(exitRemoved, err, "a removed node does not come back: give the machine a new node id and an empty directory")
	case errors.Is(err, wire.ErrFenced), errors.Is(err, catalog.ErrFenced):
		return &exitError{exitUnhealthy, "fenced_log", err, "the disk failed a commit: check it, then start the node again"}
	case errors.As(err, &corruptLog), errors.As(err, &corruptCat):
		return fail(exitCorrupt, err, "look closer with: flotilla offline verify --data DIR")
	case errors.As(err, &remote):
		return remoteFault(err, remote)
	case errors.Is(err, context.Canceled):
		return fail(exitInterrupted, err, "")
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitUnavailable, "timeout", err, "raise --timeout, or look at: flotilla status"}
	case errors.Is(err, wire.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return &exitError{exitUnhealthy, "no_space", err, "make room on that disk, then start it again"}
	case errors.Is(err, syscall.EADDRINUSE):
		return &exitError{exitUnavailable, "port_busy", err, "another process listens there: stop it, or choose another port"}
	case errors.As(err, &opErr):
		return &exitError{exitUnavailable, "network", err, "check the address"}
	case errors.As(err, &path):
		return &exitError{exitUnavailable, "file", err, "check the path, its owner and its permissions"}
	}
	return fail(exitInternal, err, "this looks like a fault of flotilla: please report it with the command line")
}

// askedFault is how a request to the cluster failed, with next steps in the words of this program.
func askedFault(err error, e *client.Error) *exitError {
	hint := e.Hint
	switch {
	case errors.Is(e, client.ErrNotFound):
		hint = "see what there is: flotilla kv scan PREFIX ('' for all keys)"
	case e.Code == "timeout" && e.Class == protocol.ClassUnavailable:
		hint = "are --endpoints UDP addresses (--listen, not --http) of running nodes? more time: --timeout"
	}
	return &exitError{e.ExitCode(), e.Code, err, hint}
}

// remoteFault is what a node said, in the words of the protocol.
func remoteFault(err error, e *flotilla.Error) *exitError {
	p := protocol.ProblemOf(e)
	return &exitError{p.Class.ExitCode(), p.Code, err, p.Hint}
}

// certificateFlags are next steps that differ where there are flags.
var certificateFlags = map[pki.Fault]string{
	pki.FaultMissing:      "create it with `flotilla cert` and copy it here, or point --tls-dir at the right directory",
	pki.FaultWrongCluster: "check --cluster, or issue a certificate for this cluster",
	pki.FaultWrongNode:    "check --node-id, or issue a certificate with `flotilla cert node --node-id`",
}

// certificateFault puts the next step of a certificate's fault where the other errors have theirs. A directory that
// nobody named on the command line may be one meant for another command: the text says who named it.
func certificateFault(err error, e *pki.Error) *exitError {
	bare := *e
	bare.Path = "" // without it, the text leaves the next step out
	text, run := error(&bare), (*runError)(nil)
	if e.Path != "" {
		text = fmt.Errorf("%s: %w", e.Path, &bare)
	}
	if errors.As(err, &run) && run.settings.elsewhere("tls-dir") {
		text = fmt.Errorf("%w; %s says this directory", text, run.settings.find("tls-dir").where)
	}
	hint := e.Fault.Next()
	if s, ok := certificateFlags[e.Fault]; ok {
		hint = s
	}
	return &exitError{exitAuth, "certificate", text, hint}
}
