package script

import (
	"strings"
	"testing"
)

func words(line string) []Arg {
	var args []Arg
	for w := range strings.FieldsSeq(line) {
		key, val, found := strings.Cut(w, "=")
		a := Arg{Key: key}
		if found {
			a.Vals = strings.Split(strings.Trim(val, "()"), ",")
		}
		args = append(args, a)
	}
	return args
}

// A broken invariant shows in the transcript, once, and in Violation: here two forged votes make a leader that
// nobody has voted for.
func TestViolationShows(t *testing.T) {
	s := New()
	s.Run("nodes", words("3 disk=auto"))
	s.Run("elect", words("1 by=()"))
	s.Run("step", words("type=pre-vote-reply from=2 to=1 term=1"))
	out := s.Run("step", words("type=vote-reply from=2 to=1 term=1"))
	if !strings.Contains(out, "VIOLATION I1 election quorum broken") || s.Violation() == nil {
		t.Errorf("violation %v, output:\n%s", s.Violation(), out)
	}
	if out := s.Run("status", nil); strings.Contains(out, "VIOLATION") {
		t.Errorf("reported twice:\n%s", out)
	}
	s.Run("violated", nil)
	if err := s.Violation(); err != nil {
		t.Errorf("expected, and still %v", err)
	}
}

// Mistakes in a transcript are told, not passed over.
func TestMistakes(t *testing.T) {
	s := New()
	if out := s.Run("status", nil); !strings.Contains(out, "first command is nodes") {
		t.Error(out)
	}
	s.Run("nodes", words("2"))
	for line, want := range map[string]string{
		"fly 1":            "unknown command",
		"deliver 1->2":     "no such message",
		"change 1 paint 2": "unknown change",
		"sync 1":           "nothing is queued",
		"violated":         "no invariant is broken",
		"compact 1 9":      "has applied only 0",
	} {
		name, rest, _ := strings.Cut(line, " ")
		if out := s.Run(name, words(rest)); !strings.Contains(out, want) {
			t.Errorf("%s: %q, want %q", line, out, want)
		}
	}
}

// Cut links lose messages, held ones wait, both until they are let go.
func TestNetworkByHand(t *testing.T) {
	s := New()
	s.Run("nodes", words("3 disk=auto"))
	s.Run("cut", words("1 2"))
	s.Run("campaign", words("1"))
	if out := s.Run("hold", words("1->3")); !strings.Contains(out, "held 1->3 pre-vote") {
		t.Error(out)
	}
	if out := s.Run("deliver", words("full")); !strings.HasPrefix(out, "drop 1->2 pre-vote") || strings.Contains(out, "1->3") {
		t.Error(out)
	}
	s.Run("release", nil)
	if out := s.Run("settle", nil); !strings.Contains(out, "1 is leader, term 1") {
		t.Error(out)
	}
}
