package main

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestClusterScriptUsage: wrong calls of scripts/cluster.sh end with usage and 2, or say what is missing; nothing starts.
func TestClusterScriptUsage(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "up|down"},
		{[]string{"start"}, 2, "up|down"},
		{[]string{"kill"}, 2, "up|down"},
		{[]string{"kill", "9"}, 2, "no node 9: 1 to 3"},
		{[]string{"down", "--wipes"}, 2, "up|down"},
		{[]string{"signal", "1"}, 2, "up|down"},
		{[]string{"signal", "1", "HUP"}, 1, "node 1 is not running"},
		{[]string{"status"}, 1, "no cluster in " + dir + ": scripts/cluster.sh up"},
	} {
		cmd := exec.Command("../../scripts/cluster.sh", c.args...)
		cmd.Env = append(cmd.Environ(), "FLOTILLA_CLUSTER_DIR="+dir, "FLOTILLA_NODES=3")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(string(out), c.want) || strings.Contains(string(out), "unbound") {
			t.Errorf("cluster.sh %v: %v, want exit %d with %q:\n%s", c.args, err, c.code, c.want, out)
		}
	}
	for _, script := range []string{"cluster", "members", "chaos-kill", "snapshots", "model", "fuzz"} { // asked for, it is no mistake
		if out, err := exec.Command("../../scripts/"+script+".sh", "--help").Output(); err != nil || !strings.Contains(string(out), "scripts/"+script+".sh") {
			t.Errorf("%s.sh --help: %v:\n%s", script, err, out)
		}
	}
}

// TestClusterScriptUp: the command that the script says to try works as it stands, and changes nothing for a node that is
// started in the same shell.
func TestClusterScriptUp(t *testing.T) {
	base, err := freeBase()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Env = append(cmd.Environ(), "FLOTILLA_CLUSTER_DIR="+dir, "FLOTILLA_NODES=1", "FLOTILLA_BASE_PORT="+strconv.Itoa(base))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v:\n%s", name, args, err, out)
		}
		return string(out)
	}
	defer run("../../scripts/cluster.sh", "down", "--wipe")
	_, try, found := strings.Cut(run("../../scripts/cluster.sh", "up"), "try: ")
	if !found || strings.Contains(try, "export") {
		t.Fatalf("nothing to try, or an export: %q", try)
	}
	if out := run("bash", "-c", try); !strings.Contains(out, `"key":"greeting"`) {
		t.Errorf("%q printed %q", try, out)
	}
}
