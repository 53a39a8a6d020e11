package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// web is the HTTP side of a fake node.
type web struct {
	*fakeHost
	server *Server
	http   *httptest.Server
}

func newWeb(t *testing.T, cfg Config) *web {
	t.Helper()
	return newWebWith(t, &fakeHost{id: 1, b: newBackend(2)}, cfg)
}

// newWebOver is the HTTP side of a node there is.
func newWebOver(t *testing.T, h *fakeHost) *web {
	t.Helper()
	return newWebWith(t, h, Config{})
}

func newWebWith(t *testing.T, h *fakeHost, cfg Config) *web {
	t.Helper()
	w := &web{fakeHost: h}
	w.server = newServer(w.fakeHost, cfg, defaultLimits())
	w.http = httptest.NewServer(w.server.Handler())
	t.Cleanup(func() {
		w.http.Close()
		if err := w.server.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return w
}

// do sends one request and returns status, body and headers.
func (w *web) do(t *testing.T, method, path, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, w.http.URL+path, strings.NewReader(body)))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp := must[*http.Response](t)(w.http.Client().Do(r))
	defer resp.Body.Close()
	return resp.StatusCode, string(must[[]byte](t)(io.ReadAll(resp.Body))), resp.Header
}

// problem checks that body is a JSON error of exactly the four fields.
func problem(t *testing.T, body string) protocol.Problem {
	t.Helper()
	var fields map[string]string
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	for _, k := range []string{"code", "class", "message", "hint"} {
		if _, ok := fields[k]; !ok || len(fields) != 4 {
			t.Errorf("error %s: has not exactly code, class, message and hint", body)
		}
	}
	return protocol.Problem{Code: fields["code"], Message: fields["message"], Hint: fields["hint"]}
}

func TestHTTPKeys(t *testing.T) {
	w := newWeb(t, Config{})
	long := strings.Repeat("k", protocol.MaxKeyBytes)
	rev := ""
	for i, test := range []struct {
		method, path, body string
		status             int
		code, want         string
	}{
		{"GET", "/v1/kv/a", "", 404, "not_found", ""},
		{"DELETE", "/v1/kv/a", "", 404, "not_found", ""},
		{"PUT", "/v1/kv/a?expect_revision=5", "x", 412, "conflict", ""},
		{"PUT", "/v1/kv/a?expect_revision=0", "one", 200, "", ""},
		{"PUT", "/v1/kv/a?expect_revision=0", "two", 412, "conflict", ""},
		{"PUT", "/v1/kv/a?expect_revision=REV", "two\x00\xff", 200, "", ""},
		{"GET", "/v1/kv/a", "", 200, "", "two\x00\xff"},
		{"GET", "/v1/kv/a?consistency=stale", "", 200, "", "two\x00\xff"},
		{"DELETE", "/v1/kv/a?expect_revision=77", "", 412, "conflict", ""},
		{"DELETE", "/v1/kv/a?expect_revision=REV", "", 200, "", ""},
		{"PUT", "/v1/kv/a/../b//c%2F%00%ff", "odd", 200, "", ""},
		{"GET", "/v1/kv/a/../b//c%2F%00%ff", "", 200, "", "odd"},
		{"PUT", "/v1/kv/" + long, "", 200, "", ""},
		{"GET", "/v1/kv/" + long, "", 200, "", ""},
		{"PUT", "/v1/kv/" + long + "k", "", 413, "too_large", ""},
		{"GET", "/v1/kv/" + strings.Repeat("%41", 2*protocol.MaxKeyBytes), "", 413, "too_large", ""},
		{"GET", "/v1/kv/", "", 400, "bad_request", ""},
		{"PUT", "/v1/kv/big", strings.Repeat("v", protocol.MaxValueBytes), 200, "", ""},
		{"PUT", "/v1/kv/big", strings.Repeat("v", protocol.MaxValueBytes+1), 413, "too_large", ""},
		{"PUT", "/v1/kv/a?expect_revision=x", "", 400, "bad_request", ""},
		{"PUT", "/v1/kv/a?expect_revision=-1", "", 400, "bad_request", ""},
		{"PUT", "/v1/kv/a?expect=1", "", 400, "bad_request", ""},
		{"GET", "/v1/kv/a?consistency=maybe", "", 400, "bad_request", ""},
		{"POST", "/v1/kv/a", "", 405, "method", ""},
		{"GET", "/v1/nothing", "", 404, "no_such_path", ""},
	} {
		status, body, header := w.do(t, test.method, strings.ReplaceAll(test.path, "REV", rev), test.body)
		if status != test.status {
			t.Fatalf("%d: %s %.60s: %d %.100q, want %d", i, test.method, test.path, status, body, test.status)
		}
		if test.code != "" {
			if p := problem(t, body); p.Code != test.code {
				t.Errorf("%d: %s %.60s: code %q, want %q", i, test.method, test.path, p.Code, test.code)
			}
			continue
		}
		if rev = header.Get("X-Flotilla-Revision"); rev == "" || rev == "0" {
			t.Errorf("%d: no revision", i)
		}
		if test.method == "GET" && body != test.want {
			t.Errorf("%d: value %q, want %q", i, body, test.want)
		}
		if test.method != "GET" && !strings.Contains(body, `"revision":`+rev) {
			t.Errorf("%d: %s", i, body)
		}
	}
}

// TestHTTPTells: a key that is no text comes back whole, and a mistake in a request names no group and has a next step.
func TestHTTPTells(t *testing.T) {
	w := newWeb(t, Config{})
	_, body, _ := w.do(t, "PUT", "/v1/kv/%ff%fe", "x")
	if !strings.Contains(body, `"key":"//4="`) || !strings.Contains(body, `"key_encoding":"base64"`) {
		t.Errorf("key ff fe is told as %s", body)
	}
	for _, path := range []string{"/v1/kv/a?expect_revision=x", "/v1/kv/" + strings.Repeat("k", protocol.MaxKeyBytes+1), "/v1/nothing"} {
		_, body, _ := w.do(t, "PUT", path, "x")
		if p := problem(t, body); strings.Contains(p.Message, "group") || p.Hint == "" {
			t.Errorf("PUT %.40s: %s", path, body)
		}
	}
}

// TestHTTPErrors: each kind of failure has its status; only what may have happened says so (N7, D36).
func TestHTTPErrors(t *testing.T) {
	w := newWeb(t, Config{})
	var f fault
	w.b.fault = func(wire.NodeID, wire.GroupID) fault { return f }
	for _, test := range []struct {
		fault  fault
		status int
		code   string
		retry  bool // the caller is told when to try again
	}{
		{faultNoLeader, 503, "no_leader", true},
		{faultOverload, 503, "overloaded", true},
		{faultUnknownApplied, 503, "outcome_unknown", false}, // twice may be once too often
		{faultInternal, 500, "internal", false},
	} {
		f = test.fault
		status, body, header := w.do(t, "PUT", "/v1/kv/a", "x")
		if p := problem(t, body); status != test.status || p.Code != test.code || test.retry != (header.Get("Retry-After") != "") {
			t.Errorf("%d %s, want %d %s", status, body, test.status, test.code)
		}
	}
	w.refusal.Store(&wire.Error{Code: wire.CodeStaleEpoch})
	if status, body, _ := w.do(t, "PUT", "/v1/kv/a", "x"); status != 409 || problem(t, body).Code != "stale_epoch" {
		t.Errorf("stale epoch: %d %s", status, body)
	}
	before := w.b.proposals.Load()
	w.refusal.Store(&wire.Error{Code: wire.CodeNoLeader, Detail: "not ready"}) // P13
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if status, body, _ := w.do(t, method, "/v1/kv/a", ""); status != 503 {
			t.Errorf("%s before ready: %d %s", method, status, body)
		}
	}
	if w.b.proposals.Load() != before {
		t.Error("a request reached the groups before the latch")
	}
}

// TestHealth: liveness is about this process alone, readiness about serving (P13, N13).
func TestHealth(t *testing.T) {
	w := newWeb(t, Config{})
	check := func(path string, status int, contains string) {
		t.Helper()
		if got, body, _ := w.do(t, "GET", path, ""); got != status || !strings.Contains(body, contains) {
			t.Errorf("%s: %d %q, want %d with %q", path, got, body, status, contains)
		}
	}
	check("/livez", 200, "ok")
	check("/readyz", 200, "ok")
	check("/readyz?verbose", 200, "[+] serving ok")
	w.refusal.Store(&wire.Error{Code: wire.CodeNoLeader, Detail: "no leader of group 0"})
	check("/livez", 200, "ok")
	check("/readyz", 503, "not ready")
	check("/readyz?verbose", 503, "[-] serving: group 0: no leader known: no leader of group 0")
	w.refusal.Store(nil)
	w.health.Store(&Health{Checks: []Check{{Name: "leaders", Note: "none known of group 4"}, {Name: "progress", Err: errors.New("group 3 stands still")}}})
	check("/livez", 200, "ok")
	check("/readyz?verbose", 503, "[+] leaders ok: none known of group 4\n[-] progress: group 3 stands still")
	w.health.Store(&Health{Alive: errors.New("disk writer is stuck")})
	check("/livez", 503, "disk writer")
	check("/readyz", 503, "")
}

func TestStatusVersionMetricsAndPage(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := newWeb(t, Config{Metrics: registry, Registerer: registry, Version: Version{Version: "v1", WireMin: 1, WireMax: 2}})
	status, body, header := w.do(t, "GET", "/v1/status", "")
	want := `{"cluster":"test","cluster_id":"00000000000000000000000000000000","epoch":7,"node":1,"nodes":[],"groups":[` +
		`{"id":0,"leader":0,"term":1,"commit":0,"applied":0,"voters":[1],"learners":[],"kind":"","wanted_voters":[],"wanted_learners":[],"preferred":0,"moving":false},`
	if status != 200 || !strings.HasPrefix(body, want) || header.Get("Content-Type") != "application/json" {
		t.Errorf("status: %d\ngot  %s\nwant %s", status, body, want)
	}
	if !strings.HasSuffix(body, `],"transfers":[]}`+"\n") {
		t.Errorf("status without transfers: %s", body)
	}
	if status, body, _ := w.do(t, "GET", "/version", ""); status != 200 || strings.TrimSpace(body) != `{"version":"v1","commit":"","go":"","wire_min":1,"wire_max":2}` {
		t.Errorf("version: %d %s", status, body)
	}
	w.do(t, "PUT", "/v1/kv/a", "")
	w.do(t, "GET", "/v1/kv/", "")
	if _, body, _ := w.do(t, "GET", "/metrics", ""); !strings.Contains(body, `flotilla_client_requests_total{outcome="ok"} 1`) || !strings.Contains(body, `flotilla_client_requests_total{outcome="bad_request"} 1`) {
		t.Errorf("metrics:\n%s", body)
	}
	status, body, header = w.do(t, "GET", "/", "")
	if status != 200 || !strings.Contains(body, "<title>flotilla</title>") || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("page: %d", status)
	}
	for _, outside := range []string{"http://", "https://", "innerHTML", "<link", " src="} {
		if strings.Contains(body, outside) {
			t.Errorf("the page contains %q: it must be self-contained, and show text as text", outside)
		}
	}
	if status, _, _ := w.do(t, "GET", "/debug/pprof/", ""); status != 404 {
		t.Errorf("profiles without debug: %d", status)
	}
	debug := newWeb(t, Config{Debug: true})
	if status, _, _ := debug.do(t, "GET", "/debug/pprof/", ""); status != 200 {
		t.Errorf("profiles with debug: %d", status)
	}
}

// TestTokenGuardsEveryPath: without the token nothing but health and the empty page is shown, whatever the path looks
// like (D77).
func TestTokenGuardsEveryPath(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := newWeb(t, Config{Token: []byte("secret"), Metrics: registry, Debug: true})
	for _, p := range []struct{ method, path string }{
		{"GET", "/v1/status"},
		{"GET", "/version"},
		{"GET", "/metrics"},
		{"GET", "/readyz?verbose"},
		{"GET", "/readyz?a&verbose=1"},
		{"GET", "/v1/kv/a"},
		{"PUT", "/v1/kv/a"},
		{"DELETE", "/v1/kv/a"},
		{"GET", "/v1/kv/../../livez"},
		{"PUT", "/v1/kv//"},
		{"GET", "/debug/pprof/"},
		{"GET", "/debug/pprof/heap"},
		{"GET", "/anything"},
		{"POST", "/v1/status"},
	} {
		for name, header := range map[string][]string{
			"none": nil, "wrong": {"Authorization", "Bearer wrong"}, "prefix": {"Authorization", "Bearer secre"}, "longer": {"Authorization", "Bearer secrets"},
			"no scheme": {"Authorization", "secret"}, "basic": {"Authorization", "Basic secret"}, "empty": {"Authorization", "Bearer "},
		} {
			if status, body, h := w.do(t, p.method, p.path, "", header...); status != 401 || h.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with token %s: %d %s", p.method, p.path, name, status, body)
			}
		}
		if status, _, _ := w.do(t, p.method, p.path, "", "Authorization", "Bearer secret"); status == 401 {
			t.Errorf("%s %s with the token: %d", p.method, p.path, status)
		}
	}
	for _, path := range []string{"/", "/livez", "/readyz"} {
		if status, _, _ := w.do(t, "GET", path, ""); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// TestOtherSitesCannotWrite: a page in a browser must not write to a node on the same machine.
func TestOtherSitesCannotWrite(t *testing.T) {
	w := newWeb(t, Config{})
	if status, _, _ := w.do(t, "PUT", "/v1/kv/a", "x", "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("cross-site write: %d", status)
	}
	if status, _, _ := w.do(t, "PUT", "/v1/kv/a", "x", "Origin", "https://elsewhere.example"); status != 403 {
		t.Errorf("write of another origin: %d", status)
	}
	if status, _, _ := w.do(t, "PUT", "/v1/kv/a", "x"); status != 200 {
		t.Errorf("write of a script: %d", status)
	}
}

// FuzzKeyInPath: any key, escaped into a path, names the same key on the other side, and no path panics.
func FuzzKeyInPath(f *testing.F) {
	f.Add([]byte("a/../b//c"), "/v1/kv/%")
	f.Add([]byte{0, 0xff, '%', '?', '#'}, "/v1/kv/%2?expect_revision=;")
	host := &fakeHost{id: 1, b: newBackend(1)}
	h := newServer(host, Config{}, defaultLimits()).Handler()
	f.Fuzz(func(t *testing.T, key []byte, path string) {
		if u, err := url.ParseRequestURI(path); err == nil {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL = u
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		if len(key) == 0 || len(key) > protocol.MaxKeyBytes {
			return
		}
		target := "/v1/kv/" + url.PathEscape(string(key))
		put, get := httptest.NewRecorder(), httptest.NewRecorder()
		h.ServeHTTP(put, httptest.NewRequest("PUT", target, bytes.NewReader(key)))
		h.ServeHTTP(get, httptest.NewRequest("GET", target, nil))
		if put.Code != 200 || get.Code != 200 || !bytes.Equal(get.Body.Bytes(), key) {
			t.Fatalf("key %q: put %d, get %d %q", key, put.Code, get.Code, get.Body)
		}
	})
}

func ExampleServer_Handler() {
	host := &fakeHost{id: 1, b: newBackend(1)}
	h := Over(host, Config{}).Handler()
	put, get := httptest.NewRecorder(), httptest.NewRecorder()
	h.ServeHTTP(put, httptest.NewRequest("PUT", "/v1/kv/greeting", strings.NewReader("hello")))
	h.ServeHTTP(get, httptest.NewRequest("GET", "/v1/kv/greeting", nil))
	fmt.Println(get.Body, get.Header().Get("X-Flotilla-Revision"))
	// Output: hello 1
}
