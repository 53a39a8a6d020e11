package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"flotilla"

	"github.com/urfave/cli/v2"
)

func serveCommand(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "run one node of a cluster",
		Flags: serveFlags(),
		Action: action(func(ctx context.Context, s *settings) error {
			o := readServe(s)
			if err := s.err(); err != nil {
				return err
			}
			return serve(ctx, sh, s, o)
		}),
	}
}

// serve runs a node until a signal or its failure.
func serve(ctx context.Context, sh *shell, s *settings, o serveOptions) error {
	level := new(slog.LevelVar)
	level.Set(o.logLevel)
	log := newLogger(sh.err, o.logFormat, level)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	n, err := startUnlessStopped(ctx, o, log)
	if err != nil {
		return err
	}
	ready := n.host.Ready()
	for {
		select {
		case <-ready:
			ready = nil
			fmt.Fprintln(sh.out, n.readyLine())
			notify(log, "READY=1\nSTATUS="+n.readyLine())
		case <-n.host.Failed():
			err := n.host.Err()
			if errors.Is(err, flotilla.ErrSuperseded) { // its disk was lost, or what it needs on it
				log.Warn("this disk is given up, or another one is known to the cluster: joining anew", "reason", err)
				if err := n.stop(o.drain, signals, log); err != nil {
					return err
				}
				if n, err = startUnlessStopped(ctx, o, log); err != nil {
					return err
				}
				ready = n.host.Ready()
				continue
			}
			log.Error("node failed", "error", err)
			return errors.Join(err, n.stop(o.drain, signals, log))
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				reload(s, n, level, log)
				continue
			}
			log.Info("stopping", "signal", sig.String(), "drain_timeout", o.drain)
			notify(log, "STOPPING=1")
			return n.stop(o.drain, signals, log)
		}
	}
}

// startUnlessStopped is startNode, cut short by a signal: a node that joins waits for its cluster.
func startUnlessStopped(ctx context.Context, o serveOptions, log *slog.Logger) (*node, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	n, err := startNode(ctx, o, log)
	if err != nil && ctx.Err() != nil {
		return nil, fail(exitInterrupted, fmt.Errorf("stopped while starting: %w", err), "")
	}
	return n, err
}

// reload is what SIGHUP does: certificates are read anew, and the log level from environment and file.
func reload(s *settings, n *node, level *slog.LevelVar, log *slog.Logger) {
	if err := n.tls.Reload(); err != nil {
		log.Error("certificates not reloaded, the old ones stay", "error", err)
	} else {
		log.Info("certificates reloaded", "expires", n.tls.Current().Expires())
	}
	x, err := s.again("log-level")
	if err == nil {
		var l slog.Level
		if err = l.UnmarshalText([]byte(x.value)); err == nil {
			level.Set(min(l, level.Level())) // the line is to be seen either way
			log.Info("log level", "level", l, "from", x.origin)
			level.Set(l)
		}
	}
	if err != nil {
		log.Error("log level not reloaded, the old one stays", "error", err)
	}
}

func notify(log *slog.Logger, state string) {
	if err := sdNotify(state); err != nil {
		log.Warn("systemd not told", "state", state, "error", err)
	}
}

// newLogger writes to w in one of the formats.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
