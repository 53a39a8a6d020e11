package mutant

import (
	"os"
	"os/exec"
	"testing"
)

// TestNames: a name is used once, and an unknown one is no mutant.
func TestNames(t *testing.T) {
	seen := map[Name]bool{}
	for _, m := range All() {
		if seen[m.Name] || m.Name == "" || m.Breaks == "" || m.Package == "" || m.Killer == "" {
			t.Errorf("row %+v", m)
		}
		seen[m.Name] = true
		if n, err := named(string(m.Name)); n != m.Name || err != nil {
			t.Errorf("%s is not found: %v", m.Name, err)
		}
	}
	if _, err := named("no-such-mutant"); err == nil {
		t.Error("an unknown name was taken")
	}
	if n, err := named(""); n != "" || err != nil {
		t.Errorf("no name: %q, %v", n, err)
	}
}

// TestVariable runs this binary again: under the tag the named mutant is active, no other, and an unknown name ends the
// process before it does anything; without the tag the variable means nothing.
func TestVariable(t *testing.T) {
	if os.Getenv(Variable) == string(SkipFsync) {
		if Is(SkipFsync) != On || Is(TwoVotes) {
			t.Errorf("named %s: it is active: %v, two-votes: %v", SkipFsync, Is(SkipFsync), Is(TwoVotes))
		}
		return
	}
	for name, ok := range map[string]bool{string(SkipFsync): true, "no-such-mutant": !On} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestVariable$")
		if name != string(SkipFsync) {
			cmd.Args[1] = "-test.run=^TestNames$"
		}
		cmd.Env = append(os.Environ(), Variable+"="+name)
		if out, err := cmd.CombinedOutput(); (err == nil) != ok {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
