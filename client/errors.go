package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/quic-go/quic-go"

	"flotilla/client/protocol"
	"flotilla/raft/wire"
)

// What an *Error matches with errors.Is.
var (
	// ErrNotFound: the key does not exist.
	ErrNotFound = errors.New("key not found")
	// ErrPrecondition: the key does not have the expected revision; nothing was written.
	ErrPrecondition = errors.New("precondition failed")
	// ErrUnavailable: the cluster did not answer in time; nothing was written.
	ErrUnavailable = errors.New("unavailable")
	// ErrOutcomeUnknown: the write happened once or not at all, or may yet happen once.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrAuth: certificates were refused, here or there.
	ErrAuth = errors.New("authentication failed")
	// ErrUsage: the request makes no sense or is over a documented limit.
	ErrUsage = errors.New("bad request")
	// ErrClosed: the client has been closed.
	ErrClosed = errors.New("client closed")
)

var sentinels = map[protocol.Class]error{
	protocol.ClassUnavailable: ErrUnavailable, protocol.ClassOutcomeUnknown: ErrOutcomeUnknown,
	protocol.ClassAuth: ErrAuth, protocol.ClassUsage: ErrUsage,
}

// Error is how an operation failed. Every error of a Client's methods is one.
type Error struct {
	// Problem is what to show: code, class, message, hint.
	protocol.Problem
	// Op and Key say what was attempted on what.
	Op  string
	Key string
	// Revision is the key's present one when a precondition failed.
	Revision protocol.Revision
	// Err is the cause: the last thing that went wrong. It may be nil.
	Err error
}

// Error says what was attempted on what, and what came of it.
func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s: %s", e.Op, e.Message)
	}
	return fmt.Sprintf("%s %q: %s", e.Op, e.Key, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the sentinels of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Code == codeNotFound
	case ErrPrecondition:
		return e.Code == codeConflict
	case ErrClosed:
		return e.Code == codeClosed
	}
	return sentinels[e.Class] == target
}

// ExitCode returns the exit code of a command that ends with e.
func (e *Error) ExitCode() int { return e.Class.ExitCode() }

// Retryable reports whether the same call may succeed later. After Ambiguous a repeated write may happen twice.
func (e *Error) Retryable() bool {
	return e.Class == protocol.ClassUnavailable || e.Class == protocol.ClassOutcomeUnknown || e.Class == protocol.ClassFenced
}

// Ambiguous reports whether the write may have happened.
func (e *Error) Ambiguous() bool { return e.Class == protocol.ClassOutcomeUnknown }

// The codes that have no wire code.
const (
	codeNotFound = "not_found"
	codeConflict = "conflict"
	codeClosed   = "closed"
	codeTLS      = "tls"
	codeCanceled = "canceled"
	codeTimeout  = "timeout"
	codeUnknown  = "outcome_unknown"
)

// certain makes the error of an operation that had no effect, from the last thing that went wrong.
func certain(op string, key []byte, err error) *Error {
	e := &Error{Op: op, Key: string(key), Err: err, Problem: protocol.Problem{Class: protocol.ClassUnavailable, Message: err.Error()}}
	var w *wire.Error
	switch {
	case isAuth(err):
		e.Code, e.Class, e.Hint = codeTLS, protocol.ClassAuth, "check the certificates: flotilla cert inspect FILE"
	case errors.Is(err, ErrClosed):
		e.Code = codeClosed
	case errors.Is(err, context.Canceled):
		e.Code = codeCanceled
	case errors.As(err, &w):
		e.Problem = protocol.ProblemOf(w)
		if w.Ambiguous() { // of a read, or of a session that nobody will use
			e.Class = protocol.ClassUnavailable
		}
		e.Message = err.Error()
	default:
		e.Code, e.Hint = codeTimeout, "check endpoints and cluster: flotilla status"
	}
	return e
}

// uncertain makes the error of a write that may have happened.
func uncertain(op string, key []byte, err error) *Error {
	p := protocol.ProblemOf(&wire.Error{Code: wire.CodeUnknownOutcome})
	p.Message = "the write may have happened: " + err.Error()
	return &Error{Op: op, Key: string(key), Err: err, Problem: p}
}

// refused makes the error of an outcome that is no success, of a request that demanded require.
func refused(op string, key []byte, o protocol.Outcome, present protocol.Revision, require protocol.Precondition) *Error {
	e := &Error{Op: op, Key: string(key), Revision: present, Problem: protocol.Problem{Class: protocol.ClassPrecondition}}
	switch o {
	case protocol.OutcomeConflict:
		e.Code, e.Message = codeConflict, fmt.Sprintf("the key's revision is %d", present)
		if present == 0 {
			e.Message = "the key does not exist"
		}
		switch expected, ok := require.Revision(); {
		case ok && expected == 0:
			e.Message += ", it was expected not to exist"
		case ok:
			e.Message += fmt.Sprintf(", revision %d was expected", expected)
		}
		e.Hint = "read the key and decide anew"
	case protocol.OutcomeNotFound:
		e.Code, e.Message = codeNotFound, "no such key"
	case protocol.OutcomeInvalid:
		e.Problem = protocol.ProblemOf(&wire.Error{Code: wire.CodeTooLarge})
		e.Message = "refused by the state machine: key or value over a limit"
	default:
		e.Problem = protocol.ProblemOf(&wire.Error{Code: wire.CodeInternal, Detail: fmt.Sprintf("unexpected outcome %d", o)})
	}
	return e
}

// isAuth reports whether err is a refusal of certificates, by us or by the other side.
func isAuth(err error) bool {
	var t *quic.TransportError
	return errors.As(err, &t) && t.ErrorCode.IsCryptoError()
}
