package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"flotilla/quictransport/quictest"
)

// cmdExit is "exit CODE program args...": the program must end with exactly this exit code.
func cmdExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %v: %v", args[1:], err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// cmdMode is "mode 0600 file...": the permission bits must be exactly these.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode BITS file...")
	}
	for _, file := range args[1:] {
		info, err := os.Stat(ts.MkAbs(file))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", file, got, args[0])
		}
	}
}

// nextBase keeps scripts that run at the same time on different ports.
var nextBase atomic.Int64

// freeBase returns a base port whose UDP and HTTP ports nobody listens on now.
func freeBase() (int, error) {
	const span = 2 * devHTTPOffset
	for range 200 {
		base := quictest.FirstPort + (os.Getpid()*7+int(nextBase.Add(1)))*span%(quictest.LastPort-quictest.FirstPort)
		if allFree(base) {
			return base, nil
		}
	}
	return 0, errors.New("no free ports")
}

func allFree(base int) bool {
	for i := range 3 {
		u, err := net.ListenPacket("udp", loopback(base+i))
		if err != nil {
			return false
		}
		l, err := net.Listen("tcp", loopback(base+devHTTPOffset+i))
		if err = errors.Join(err, u.Close()); err != nil {
			return false
		}
		if l.Close() != nil {
			return false
		}
	}
	return true
}

// cmdAwait is "await FILE REGEXP": the file must come to hold a match within 20 seconds.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await file regexp")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range 1000 {
		raw, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(raw) {
			return
		}
		<-ticker.C
	}
	raw, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Fatalf("%s never matched %q: %s %v", args[0], args[1], raw, err)
}

// cmdHTTP is "http STATUS METHOD URL [BODY [HEADER:VALUE...]]"; the answer's body goes to the file "body". HTTPS
// trusts ca/ca.crt alone.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http STATUS METHOD URL [BODY [HEADER:VALUE...]]")
	}
	args = append(args, "")
	req, err := http.NewRequest(args[1], args[2], strings.NewReader(args[3]))
	ts.Check(err)
	for _, h := range args[min(4, len(args)):] {
		if name, value, ok := strings.Cut(h, ":"); ok {
			req.Header.Set(name, value)
		}
	}
	client := http.DefaultClient
	if req.URL.Scheme == "https" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(ts.ReadFile("ca/ca.crt")))
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		defer transport.CloseIdleConnections()
		client = &http.Client{Transport: transport}
	}
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
	if strconv.Itoa(resp.StatusCode) != args[0] {
		ts.Fatalf("%s %s: %s, want %s: %s", args[1], args[2], resp.Status, args[0], body)
	}
}

// cmdNotify is "notify SOCKET FILE": listens like systemd and writes what it is told to the file.
func cmdNotify(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: notify socket file")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unixgram"})
	ts.Check(err)
	file, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close() })
	go func() {
		defer file.Close()
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintln(file, string(buf[:n]))
		}
	}()
}
