package quorum

import (
	"slices"

	"flotilla/raft/wire"
)

// Verdict is how a vote stands.
type Verdict uint8

// The verdicts.
const (
	// Open: neither a majority for nor one against.
	Open Verdict = iota
	// Won: a majority granted.
	Won
	// Lost: so many refused that no majority can grant any more.
	Lost
)

// String returns the verdict's name.
func (v Verdict) String() string { return [...]string{"open", "won", "lost"}[v] }

// Tally collects the answers of one vote. The first answer of a node counts, whatever comes later. Answers of
// nodes that are no voters may be recorded and never count (F5). The zero value is an empty tally.
type Tally struct {
	granted, refused []wire.NodeID
}

// Reset forgets all answers and keeps the memory.
func (t *Tally) Reset() { t.granted, t.refused = t.granted[:0], t.refused[:0] }

// Grant records that n gave its vote.
func (t *Tally) Grant(n wire.NodeID) {
	if !t.answered(n) {
		t.granted = append(t.granted, n)
	}
}

// Refuse records that n did not give its vote.
func (t *Tally) Refuse(n wire.NodeID) {
	if !t.answered(n) {
		t.refused = append(t.refused, n)
	}
}

func (t *Tally) answered(n wire.NodeID) bool {
	return slices.Contains(t.granted, n) || slices.Contains(t.refused, n)
}

// Verdict says how the vote stands among voters, who may have changed since the answers came in. If there are
// outgoing ones, a majority of each half must grant, and one of either half may refuse.
func (t *Tally) Verdict(voters, outgoing []wire.NodeID) Verdict {
	v := t.verdict(voters)
	if len(outgoing) == 0 || v == Lost {
		return v
	}
	switch o := t.verdict(outgoing); {
	case o == Lost:
		return Lost
	case o == Won:
		return v
	}
	return Open
}

func (t *Tally) verdict(voters []wire.NodeID) Verdict {
	granted, refused := 0, 0
	for _, v := range voters {
		switch {
		case slices.Contains(t.granted, v):
			granted++
		case slices.Contains(t.refused, v):
			refused++
		}
	}
	switch need := Size(len(voters)); {
	case granted >= need:
		return Won
	case len(voters)-refused < need:
		return Lost
	}
	return Open
}
