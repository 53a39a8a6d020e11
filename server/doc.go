// Package server is a node's side towards clients: the native protocol over QUIC connections that the
// transport hands over, and HTTP with the key-value API, health, metrics, status and a live page.
//
// It hides shards, groups and the key-value machine's byte forms from clients, and clients from the host: requests are
// bounded, checked and timed here, and what a client does badly costs that client alone. It guarantees that nothing is
// served before the host's readiness latch (P13); that memory for one client is bounded whatever it sends and however
// slowly it reads; that every refusal is typed; and that Close joins every goroutine.
//
//	s := server.New(host, server.Config{Metrics: registry})
//	// Config.ClientConn of the host: s.ServeClientConn
//	// an http.Server's Handler: s.Handler()
//	err := s.Close(ctx)
package server
