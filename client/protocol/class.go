package protocol

import (
	"fmt"

	"flotilla/raft/wire"
)

// Class sorts errors by what a caller can do about them. Its number is the exit code of the command line.
type Class uint8

// The classes (interfaces: exit codes).
const (
	// ClassInternal: a fault of this software.
	ClassInternal Class = 1
	// ClassUsage: the request makes no sense or is over a documented limit.
	ClassUsage Class = 2
	// ClassUnavailable: not possible now, and nothing was written.
	ClassUnavailable Class = 3
	// ClassPrecondition: a precondition failed, or the key does not exist.
	ClassPrecondition Class = 4
	// ClassUnhealthy: the cluster is not well.
	ClassUnhealthy Class = 5
	// ClassAuth: authentication or TLS.
	ClassAuth Class = 6
	// ClassOutcomeUnknown: the write may have happened, or may happen later.
	ClassOutcomeUnknown Class = 7
	// ClassFenced: refused as fenced or unsafe.
	ClassFenced Class = 8

	maxClass = ClassFenced
)

var classText = [...]string{
	ClassInternal: "internal", ClassUsage: "usage", ClassUnavailable: "unavailable", ClassPrecondition: "precondition",
	ClassUnhealthy: "unhealthy", ClassAuth: "auth", ClassOutcomeUnknown: "outcome_unknown", ClassFenced: "fenced",
}

// String returns the class's name, as it stands in JSON.
func (c Class) String() string {
	if int(c) < len(classText) && classText[c] != "" {
		return classText[c]
	}
	return fmt.Sprintf("class_%d", uint8(c))
}

// ExitCode returns the exit code of a command that ends with an error of this class.
func (c Class) ExitCode() int { return int(c) }

// MarshalText returns the class's name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Problem is an error as callers outside of Go see it: the JSON of HTTP and of the command line.
type Problem struct {
	// Code is a stable name of this very error.
	Code    string `json:"code"`
	Class   Class  `json:"class"`
	Message string `json:"message"`
	// Hint is the next step; it may be empty.
	Hint string `json:"hint"`
}

// kindOfCode says for each code of the wire how callers see it.
type kindOfCode struct {
	name  string
	class Class
	hint  string
}

var codeKinds = map[wire.Code]kindOfCode{
	wire.CodeInternal:       {"internal", ClassInternal, "see the node's log"},
	wire.CodeNotLeader:      {"not_leader", ClassUnavailable, "ask the leader, or try again"},
	wire.CodeNoLeader:       {"no_leader", ClassUnavailable, "an election is under way, or too few nodes are up for one: see flotilla status, then try again"},
	wire.CodeOverloaded:     {"overloaded", ClassUnavailable, "try again later, with fewer requests at a time"},
	wire.CodeUnknownGroup:   {"unknown_group", ClassUnavailable, "the routing may have changed: try again"},
	wire.CodeQuarantined:    {"quarantined", ClassUnavailable, "this replica was taken out of service: see the node's log"},
	wire.CodeStopped:        {"stopping", ClassUnavailable, "ask another node"},
	wire.CodeStaleEpoch:     {"stale_epoch", ClassFenced, "the node missed a change of leadership: try again"},
	wire.CodeUnknownOutcome: {"outcome_unknown", ClassOutcomeUnknown, "read the key to see whether the write happened"},
	wire.CodeTooLarge:       {"too_large", ClassUsage, "keys have 1 to 4096 bytes, values at most 1 MiB"},
	wire.CodeUnreachable:    {"unreachable", ClassUnavailable, "check endpoints and network, then try again"},
	wire.CodeNotApplied:     {"not_applied", ClassUnavailable, "the leader changed: try again"},
	wire.CodeStorage:        {"storage", ClassUnavailable, "the node's disk refuses writes: see its log"},
	wire.CodeBadRequest:     {"bad_request", ClassUsage, "docs/INTERFACES.md lists paths, parameters and limits"},
	wire.CodeTimeout:        {"timeout", ClassUnavailable, "try again, with a longer timeout"},
	wire.CodeConflict:       {"conflict", ClassPrecondition, "look at it again, then decide again"},
	wire.CodeUnsafe:         {"unsafe", ClassFenced, "the message says what would be lost, and what would do"},
}

// ClassOf returns the class of a wire code; codes of a newer version count as internal.
func ClassOf(code wire.Code) Class {
	if k, ok := codeKinds[code]; ok {
		return k.class
	}
	return ClassInternal
}

// ProblemOf returns how callers see e.
func ProblemOf(e *wire.Error) Problem {
	k, ok := codeKinds[e.Code]
	if !ok {
		k = codeKinds[wire.CodeInternal]
	}
	p := Problem{Code: k.name, Class: k.class, Message: e.Error(), Hint: k.hint}
	if k.class == ClassUsage && e.Detail != "" {
		p.Message = e.Code.String() + ": " + e.Detail // no group has a part in it
	}
	return p
}
