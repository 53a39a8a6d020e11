package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"flotilla"
	"flotilla/client/protocol"
	"flotilla/kv"
	"flotilla/quictransport/pki"
	"flotilla/server"
	"flotilla/server/metrics"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/quic-go/quic-go"
)

// node is one running node with its listeners: what serve runs once and dev several times.
type node struct {
	host    *flotilla.Host
	clients *server.Server
	http    *httpServer
	tls     *pki.Source
	cluster string
}

// startNode opens a node. The HTTP side answers at once, with 503 where readiness counts.
func startNode(ctx context.Context, o serveOptions, log *slog.Logger) (*node, error) {
	web, err := listenHTTP(o.http)
	if err != nil {
		return nil, err
	}
	n := &node{http: web}
	if err := n.open(ctx, o, log); err != nil {
		return nil, errors.Join(err, web.listener.Close())
	}
	return n, nil
}

func (n *node) open(ctx context.Context, o serveOptions, log *slog.Logger) error {
	token, err := readToken("HTTP token", o.http.tokenFile)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// Connections of clients can come before there is a server; they are refused until then.
	var clients atomic.Pointer[server.Server]
	c := o.node
	c.HTTPAddr, c.Logger, c.Version = n.http.addr(), log, versionInfo().Version
	c.NewMachine = func(flotilla.GroupID) flotilla.StateMachine { return kv.New() }
	c.Vet = kv.Vet
	c.ClientConn = func(conn *quic.Conn) {
		if s := clients.Load(); s != nil {
			s.ServeClientConn(conn)
			return
		}
		_ = conn.CloseWithError(quic.ApplicationErrorCode(protocol.CloseShutdown), "the node is starting")
	}
	if n.host, err = flotilla.Open(ctx, c); err != nil {
		return err
	}
	n.tls, n.cluster = n.host.TLS(), n.host.Status().Cluster
	registry.MustRegister(metrics.New(n.host))
	n.clients = server.New(n.host, server.Config{
		Metrics: registry, Registerer: registry, Token: token, Debug: o.http.debug, Version: versionInfo(),
		ClientCerts: o.http.tls && !isLoopback(o.http.addr), LocalNames: !o.http.tls && len(token) == 0,
		LeaderWait: 3 * c.ElectionTimeout,
	})
	clients.Store(n.clients)
	n.http.serve(o.http, n.tls, n.clients.Handler())
	return nil
}

// readyLine is the first line on stdout that scripts wait for.
func (n *node) readyLine() string {
	return fmt.Sprintf("ready node=%d cluster=%s epoch=%d listen=%s http=%s",
		n.host.NodeID(), n.cluster, n.host.Epoch(), n.host.Addr(), n.http.addr())
}

// close stops the node with every courtesy until ctx ends. The host goes first: it refuses what is new and finishes
// what is under way, whose callers are then still there to be answered.
func (n *node) close(ctx context.Context) error {
	return errors.Join(n.host.Close(ctx), n.clients.Close(ctx), n.http.close(ctx))
}

// stop closes the node within the drain time; a second signal ends the process at once.
func (n *node) stop(drain time.Duration, signals <-chan os.Signal, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- n.close(ctx) }()
	for {
		select {
		case err := <-done:
			if errors.Is(err, context.DeadlineExceeded) {
				log.Warn("not everything was finished within the drain timeout", "error", err)
				return nil // what is durable stays durable; the rest was refused or is unknown to its callers
			}
			log.Info("stopped")
			return err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				continue
			}
			return fail(exitInterrupted, fmt.Errorf("second %v: stopped at once", sig), "")
		}
	}
}
