package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"flotilla"
	"flotilla/catalog"
	"flotilla/client"
	"flotilla/client/protocol"
	"flotilla/quictransport/pki"
	"flotilla/raft/logstore"
	"flotilla/raft/wire"
)

// TestClassify holds the table of exit codes: whatever happens ends with one of them, however deep it is wrapped.
func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code int
		name string
	}{
		{errors.New("a bug"), exitInternal, ""},
		{usagef("hint")("wrong"), exitUsage, ""},
		{&flotilla.ConfigError{Text: "x"}, exitUsage, ""},
		{flotilla.ErrNotBorn, exitUsage, ""},
		{&flotilla.ContradictionError{Setting: "groups"}, exitUsage, "contradiction"},
		{&catalog.InUseError{PID: 7}, exitUnavailable, "in_use"},
		{logstore.ErrInUse, exitUnavailable, "in_use"},
		{context.DeadlineExceeded, exitUnavailable, "timeout"},
		{&net.OpError{Op: "listen", Net: "udp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}, exitUnavailable, "port_busy"},
		{&net.OpError{Op: "dial", Net: "udp", Err: errors.New("no route")}, exitUnavailable, "network"},
		{&wire.Error{Code: wire.CodeNoLeader}, exitUnavailable, "no_leader"},
		{&wire.Error{Code: wire.CodeUnknownOutcome}, exitUnknown, "outcome_unknown"},
		{&wire.Error{Code: wire.CodeStaleEpoch}, exitRefused, "stale_epoch"},
		{&wire.Error{Code: wire.CodeTooLarge}, exitUsage, "too_large"},
		{&client.Error{Problem: protocol.Problem{Code: "not_found", Class: protocol.ClassPrecondition}}, exitPrecondition, "not_found"},
		{fmt.Errorf("%w: EIO", wire.ErrFenced), exitUnhealthy, "fenced_log"},
		{&pki.Error{Fault: pki.FaultKeyMode, Path: "x"}, exitAuth, "certificate"},
		{&flotilla.UnsafeError{What: "x"}, exitRefused, "unsafe"},
		{&catalog.FormatError{Found: 9}, exitRefused, "newer_format"},
		{&logstore.FormatError{File: "x"}, exitRefused, "format"},
		{&logstore.CorruptionError{File: "x"}, exitCorrupt, ""},
		{&catalog.CorruptionError{File: "x"}, exitCorrupt, ""},
		{fmt.Errorf("node 3: %w", flotilla.ErrRemoved), exitRemoved, ""},
		{context.Canceled, exitInterrupted, ""},
	} {
		e := classify(fmt.Errorf("open: %w", errors.Join(tc.err, nil)))
		if e.code != tc.code || e.name != tc.name {
			t.Errorf("%v: exit code %d named %q, want %d named %q", tc.err, e.code, e.name, tc.code, tc.name)
		}
		if className(e.code) == "" || className(e.code)[:min(6, len(className(e.code)))] == "class_" {
			t.Errorf("exit code %d has no class", e.code)
		}
	}
}
