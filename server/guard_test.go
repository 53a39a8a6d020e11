package server

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flotilla/quictransport/pki"
)

// status returns the status of a GET with the given Host header, 0 when the handshake fails.
func status(t *testing.T, c *http.Client, url, host string) int {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	r.Host = host
	resp, err := c.Do(r)
	if err != nil {
		if !strings.Contains(err.Error(), "tls: ") {
			t.Fatal(err)
		}
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Without a token only this machine is asked: a web page whose name was made to point at loopback (DNS rebinding) is of the
// server's own origin, and tells itself by that name (D77).
func TestForeignNamesAreRefused(t *testing.T) {
	w := newWeb(t, Config{LocalNames: true})
	for host, want := range map[string]int{
		"": 404, "127.0.0.1:7480": 404, "[::1]:7480": 404, "localhost:7480": 404, "LOCALHOST": 404, "10.1.2.3": 404,
		"evil.example": 401, "evil.example:7480": 401, "localhost.evil.example": 401, "127.0.0.1.evil.example:80": 401,
	} {
		if got := status(t, w.http.Client(), w.http.URL+"/v1/kv/k", host); got != want {
			t.Errorf("host %q: status %d, want %d", host, got, want)
		}
		if got := status(t, w.http.Client(), w.http.URL+"/livez", host); got != 200 {
			t.Errorf("health check by host %q: status %d", host, got)
		}
	}
	guarded := newWeb(t, Config{LocalNames: true, Token: []byte("secret")})
	if code, _, _ := guarded.do(t, http.MethodGet, "/v1/kv/k", "", "Authorization", "Bearer secret"); code != 404 {
		t.Errorf("with the token: status %d", code)
	}
}

// Each kind of caller against each kind of path of a listener off loopback that has no token (D77).
func TestClientCertificates(t *testing.T) {
	ca, foreign := must[*pki.Authority](t)(pki.CreateCA("test")), must[*pki.Authority](t)(pki.CreateCA("test"))
	own := must[*pki.Bundle](t)(ca.IssueNode("test", 1, []string{"127.0.0.1"}, time.Hour))
	show := func(b *pki.Bundle, err error) []tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{must[*pki.Credentials](t)(b.Credentials()).Certificate}
	}
	w := newWeb(t, Config{ClientCerts: true})
	srv := httptest.NewUnstartedServer(w.server.Handler())
	srv.TLS = pki.NewSource(must[*pki.Credentials](t)(own.Credentials())).HTTPConfig()
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	for name, c := range map[string]struct {
		certs      []tls.Certificate
		keys, live int
	}{
		"nobody":             {nil, 401, 200},
		"client":             {show(ca.IssueClient("test", time.Hour)), 404, 200},
		"node":               {show(ca.IssueNode("test", 2, nil, time.Hour)), 404, 200},
		"of another cluster": {show(ca.IssueClient("other", time.Hour)), 0, 0},
		"of another CA":      {show(foreign.IssueClient("test", time.Hour)), 0, 0},
	} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // whom the client asks is not the point
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c.certs == nil {
					return &tls.Certificate{}, nil
				}
				return &c.certs[0], nil
			},
		}}}
		for path, want := range map[string]int{"/v1/kv/k": c.keys, "/v1/kv/k?consistency=stale": c.keys, "/livez": c.live, "/": c.live} {
			if got := status(t, client, srv.URL+path, ""); got != want {
				t.Errorf("%s, GET %s: status %d, want %d", name, path, got, want)
			}
		}
	}
}
