package catalog

import (
	"fmt"

	"flotilla/raft/wire"
)

// Outcome is what came of a command. Values never change.
type Outcome uint8

// The outcomes. All but the first two are refusals: nothing was changed.
const (
	// Done: applied.
	Done Outcome = 1
	// Unchanged: everything was as asked for already.
	Unchanged Outcome = 2
	// RefusedGeneration: another data directory holds the node's identity. The refused one must not serve.
	RefusedGeneration Outcome = 3
	// RefusedUnknown: no such node or group.
	RefusedUnknown Outcome = 4
	// RefusedRemoved: the node was removed; its id does not come back.
	RefusedRemoved Outcome = 5
	// RefusedVersion: the topology or routing has changed since the command was decided on.
	RefusedVersion Outcome = 6
	// RefusedTerm: the command belongs to another term than the entry that carries it.
	RefusedTerm Outcome = 7
	// RefusedInvalid: the command asks for what must not be.
	RefusedInvalid Outcome = 8
	// RefusedQuorum: too few voters of the group would be left.
	RefusedQuorum Outcome = 9

	maxOutcome = RefusedQuorum
)

// String returns the outcome in words.
func (o Outcome) String() string {
	if o == 0 || o > maxOutcome {
		return fmt.Sprintf("outcome %d", uint8(o))
	}
	return [...]string{
		Done: "done", Unchanged: "unchanged", RefusedGeneration: "refused: another data directory holds this node's identity",
		RefusedUnknown: "refused: no such node or group, or not any more", RefusedRemoved: "refused: the node was removed from the cluster",
		RefusedVersion: "refused: changed meanwhile", RefusedTerm: "refused: of another term", RefusedInvalid: "refused: invalid",
		RefusedQuorum: "refused: too few voters of the group would be left",
	}[o]
}

// Refused reports whether the command changed nothing although it asked for a change.
func (o Outcome) Refused() bool { return o > Unchanged }

// Result is the answer to one command, the same on every node.
type Result struct {
	Outcome Outcome
	// Value is what the command's comment says; after a refusal the number that caused it.
	Value uint64
}

// Append appends r as [outcome, value].
func (r Result) Append(dst []byte) []byte {
	return wire.AppendUint(wire.AppendUint(wire.AppendArray(dst, 2), uint64(r.Outcome)), r.Value)
}

// ParseResult reads what Append appends.
func ParseResult(b []byte) (Result, error) {
	r := wire.NewReader(b)
	r.Array(2)
	res := Result{Outcome: Outcome(r.UintMax(0xff)), Value: r.Uint()}
	if r.Err() == nil && (res.Outcome == 0 || res.Outcome > maxOutcome) {
		r.Fail("outcome", wire.ErrInvalid)
	}
	if err := r.Done(); err != nil {
		return Result{}, fmt.Errorf("metadata result: %w", err)
	}
	return res, nil
}
