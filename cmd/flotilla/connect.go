package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"flotilla/client"
	"flotilla/quictransport/pki"
	"flotilla/raft/wire"

	"github.com/urfave/cli/v2"
)

// clientFlags are common to the commands that talk to a cluster.
func clientFlags(more ...cli.Flag) []cli.Flag {
	return patientFlags("how long to try, a `DURATION`", more...)
}

// patientFlags are those of a command for which the timeout is something else.
func patientFlags(timeout string, more ...cli.Flag) []cli.Flag {
	return append(more,
		text("endpoints", "", "UDP addresses of nodes, `h:p[,h:p]` (default: those of a running dev in this directory)"),
		text("tls-dir", "", "`DIR` with ca.crt, client.crt, client.key (default: that of a running dev)"),
		text("timeout", "5s", timeout),
		outputFlag(), configFlag(),
	)
}

// connection is what a client command works with.
type connection struct {
	*client.Client
	// timeout is the time for one operation; the context handed to fn has it already.
	timeout time.Duration
	// base ends by a signal only.
	base context.Context
	mode string
}

// withClient connects, runs fn within the timeout, and closes. Faults of the settings found before it are reported
// first. SIGINT and SIGTERM end the context.
func withClient(ctx context.Context, sh *shell, s *settings, fn func(context.Context, connection) error) error {
	c := connection{timeout: s.duration("timeout", time.Millisecond, time.Hour), mode: outputMode(s.text("output"), sh)}
	endpoints, dir := s.addresses("endpoints"), s.text("tls-dir")
	if err := s.err(); err != nil {
		return err
	}
	endpoints, dir, err := findCluster(endpoints, dir)
	if err != nil {
		return err
	}
	credentials, err := pki.LoadClient(dir, "")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c.base = ctx
	timed, cancel := context.WithTimeoutCause(ctx, c.timeout, noAnswer(c.timeout))
	defer cancel()
	tls := pki.NewSource(credentials).DialNode(pki.ClientProtocol, wire.NoNode)
	if c.Client, err = client.Dial(timed, client.Config{Endpoints: endpoints, TLS: tls}); err == nil {
		err = errors.Join(fn(timed, c), c.Close())
	}
	if err != nil && ctx.Err() != nil {
		if err == ctx.Err() {
			return fail(exitInterrupted, errors.New("interrupted"), "")
		}
		return fail(exitInterrupted, fmt.Errorf("interrupted: %w", err), interruptedHint(err))
	}
	return err
}

// noAnswer is context.DeadlineExceeded in the user's words.
type noAnswer time.Duration

// Error says how long was waited.
func (d noAnswer) Error() string { return fmt.Sprintf("no answer within %v", time.Duration(d)) }

// Is matches context.DeadlineExceeded.
func (noAnswer) Is(target error) bool { return target == context.DeadlineExceeded }

func interruptedHint(err error) string {
	if errors.Is(err, client.ErrOutcomeUnknown) {
		return "a write was under way: read the key to see whether it happened"
	}
	return ""
}

// findCluster fills in what a running dev in the working directory knows.
func findCluster(endpoints []string, dir string) ([]string, string, error) {
	if len(endpoints) > 0 && dir != "" {
		return endpoints, dir, nil
	}
	dev, found, err := readDevFile()
	switch {
	case err != nil:
		return nil, "", err
	case !found && len(endpoints) == 0:
		return nil, "", usagef("give --endpoints h:p and --tls-dir DIR, or run this where flotilla dev runs")("no cluster to talk to")
	case !found:
		return nil, "", usagef("give --tls-dir DIR with ca.crt, client.crt, client.key")("no certificate to show")
	}
	if len(endpoints) == 0 {
		endpoints = dev.Endpoints
	}
	if dir == "" {
		dir = dev.TLSDir
	}
	return endpoints, dir, nil
}
