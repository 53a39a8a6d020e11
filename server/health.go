package server

import (
	"fmt"
	"net/http"
	"strings"
)

// livez answers whether the process works; peers have no say in it (N13).
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	if err := s.host.Health().Alive; err != nil {
		http.Error(w, "not alive: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	writeText(w, http.StatusOK, "ok\n")
}

// readyz answers whether the node serves: past the latch (P13), not draining, every check well (N13).
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	health := s.host.Health()
	checks := append([]Check{{Name: "alive", Err: health.Alive}, {Name: "serving", Err: s.serving()}}, health.Checks...)
	code := http.StatusOK
	var text strings.Builder
	for _, c := range checks {
		if c.Err != nil {
			code = http.StatusServiceUnavailable
			fmt.Fprintf(&text, "[-] %s: %v\n", c.Name, c.Err)
			continue
		}
		fmt.Fprintf(&text, "[+] %s ok", c.Name)
		if c.Note != "" {
			fmt.Fprintf(&text, ": %s", c.Note)
		}
		text.WriteByte('\n')
	}
	switch {
	case r.URL.Query().Has("verbose"):
		writeText(w, code, text.String())
	case code == http.StatusOK:
		writeText(w, code, "ok\n")
	default:
		writeText(w, code, "not ready; details: /readyz?verbose\n")
	}
}

// serving is the host's latch, and not closing.
func (s *Server) serving() error {
	if s.life.Err() != nil {
		return errClosed
	}
	return s.host.Serving()
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // a client that is gone is the only error
}
