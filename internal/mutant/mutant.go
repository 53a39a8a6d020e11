package mutant

import "fmt"

// Name names a mutant.
type Name string

// Variable is the environment variable that names the active mutant of a process, "" for none.
const Variable = "FLOTILLA_MUTANT"

// Mutant is one planted fault.
type Mutant struct {
	Name Name
	// Breaks says what is wrong when it is active.
	Breaks string
	// Package is where it is planted, relative to the module.
	Package string
	// Killer is the cheapest test that notices: package, blank, test.
	Killer string
	// Also are the broad proofs that are known to notice, too.
	Also Proof
}

// Proof is a set of the broad proofs.
type Proof uint8

// The broad proofs: every transcript of the core, simulated groups of cores, the core beside go.etcd.io/raft, simulated
// clusters of whole hosts.
const (
	ByTranscripts Proof = 1 << iota
	ByCores
	ByComparison
	ByHosts
)

// Proofs returns those that look where m is planted, the cheapest first.
func (m *Mutant) Proofs() []Proof {
	switch m.Package {
	case "raft", "raft/membership":
		return []Proof{ByTranscripts, ByCores, ByComparison, ByHosts}
	case "raft/multiraft", "epoch", "catalog", "kv":
		return []Proof{ByHosts}
	}
	return nil
}

// Find returns the mutant called n.
func Find(n Name) (Mutant, bool) {
	for _, m := range All() {
		if m.Name == n {
			return m, true
		}
	}
	return Mutant{}, false
}

// named checks what the environment says.
func named(s string) (Name, error) {
	if s == "" {
		return "", nil
	}
	if _, known := Find(Name(s)); !known {
		return "", fmt.Errorf("no mutant is called %q; internal/mutant/table*.go have them", s)
	}
	return Name(s), nil
}
