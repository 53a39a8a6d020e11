package wire

import (
	"errors"
	"fmt"
)

// Code classes an Error. Codes travel between nodes and to clients; numbers never change.
type Code uint8

// The codes. "Not applied" means that the request has had and will have no effect.
const (
	// CodeInternal is a fault of this software.
	CodeInternal Code = 1
	// CodeNotLeader: not applied; Leader names the leader where known.
	CodeNotLeader Code = 2
	// CodeNoLeader: not applied; no leader is known, an election is likely under way.
	CodeNoLeader Code = 3
	// CodeOverloaded: not applied; a queue is full (back-pressure in bytes).
	CodeOverloaded Code = 4
	// CodeUnknownGroup: not applied; the group does not exist, or not on the node asked.
	CodeUnknownGroup Code = 5
	// CodeQuarantined: not applied; the group's replica was taken out of service after an error.
	CodeQuarantined Code = 6
	// CodeStopped: not applied; the node is stopping.
	CodeStopped Code = 7
	// CodeStaleEpoch: not applied; the sender's epoch is behind (P24, P25).
	CodeStaleEpoch Code = 8
	// CodeUnknownOutcome: may have been applied, or may be later (N7).
	CodeUnknownOutcome Code = 9
	// CodeTooLarge: not applied; over a documented limit.
	CodeTooLarge Code = 10
	// CodeUnreachable: not applied; the peer could not be reached before anything was sent.
	CodeUnreachable Code = 11
	// CodeNotApplied: not applied; the entry was superseded by another leader's.
	CodeNotApplied Code = 12
	// CodeStorage: not applied here; this node's disk refuses writes and the log is fenced.
	CodeStorage Code = 13
	// CodeBadRequest: not applied; the request cannot be understood.
	CodeBadRequest Code = 14
	// CodeTimeout: not applied; the deadline passed before the request was taken in.
	CodeTimeout Code = 15
	// CodeConflict: not applied; what the request names the version of has changed since it was looked at.
	CodeConflict Code = 16
	// CodeUnsafe: not applied; it would cost a group its quorum or a node its identity. The detail says what would do.
	CodeUnsafe Code = 17

	maxCode = CodeUnsafe
)

var codeText = [...]string{
	CodeInternal: "internal error", CodeNotLeader: "not the leader", CodeNoLeader: "no leader known",
	CodeOverloaded: "overloaded", CodeUnknownGroup: "unknown group", CodeQuarantined: "group quarantined",
	CodeStopped: "node stopping", CodeStaleEpoch: "stale epoch", CodeUnknownOutcome: "outcome unknown",
	CodeTooLarge: "too large", CodeUnreachable: "peer unreachable", CodeNotApplied: "not applied",
	CodeStorage: "storage refuses writes", CodeBadRequest: "bad request", CodeTimeout: "timed out before it was taken in",
	CodeConflict: "conflict", CodeUnsafe: "unsafe",
}

// String returns the code's text.
func (c Code) String() string {
	if int(c) < len(codeText) && codeText[c] != "" {
		return codeText[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Error is the typed outcome of a request that did not succeed. It crosses ports and the network.
type Error struct {
	Code  Code
	Group GroupID
	// Leader is the node to ask instead, for CodeNotLeader; NoNode otherwise.
	Leader NodeID
	// Detail says what was attempted on what, and the next step where there is one. At most 512 bytes.
	Detail string
	// Cause is local only; it does not travel.
	Cause error
}

// Error returns group, code and detail.
func (e *Error) Error() string {
	s := fmt.Sprintf("group %d: %s", e.Group, e.Code)
	if e.Leader != NoNode {
		s += fmt.Sprintf(" (leader is node %d)", e.Leader)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the local cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is matches another *Error with the same Code, so that errors.Is(err, &Error{Code: c}) classes err.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// Retryable reports whether the same request may succeed later or elsewhere.
func (e *Error) Retryable() bool {
	switch e.Code {
	case CodeNotLeader, CodeNoLeader, CodeOverloaded, CodeStopped, CodeStaleEpoch, CodeUnknownOutcome,
		CodeUnreachable, CodeNotApplied, CodeStorage, CodeQuarantined, CodeTimeout:
		return true
	}
	return false
}

// Ambiguous reports whether the request may have been applied. Only a session makes a retry safe then.
func (e *Error) Ambiguous() bool { return e.Code == CodeUnknownOutcome }

// CodeOf returns the Code of err's chain, or 0 when it holds no *Error.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// Sentinels of the LogReader and LogStore contracts.
var (
	// ErrCompacted says that an index lies before the log's start.
	ErrCompacted = errors.New("log compacted")
	// ErrUnavailable says that an index lies after the log's end.
	ErrUnavailable = errors.New("log entry unavailable")
	// ErrFenced says that a commit failed earlier: the store's outcome is unknown and it takes nothing more.
	ErrFenced = errors.New("log store fenced after a failed commit")
	// ErrNoSpace says that a commit was refused because the disk is nearly full. Nothing was attempted, the store is not
	// fenced, reads go on, and the same batch is taken once there is space again. State machines answer it likewise.
	ErrNoSpace = errors.New("no space left on the disk")
)
