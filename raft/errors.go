package raft

import (
	"errors"
	"fmt"

	"flotilla/raft/wire"
)

// Sentinels of Step and New, found with errors.Is.
var (
	// ErrMisdirected says that a message is for another group or another node (D58).
	ErrMisdirected = errors.New("message for somebody else")
	// ErrMalformed says that a message contradicts itself or what its sender was told.
	ErrMalformed = errors.New("message malformed")
	// ErrTwoLeaders says that a second node claims to lead the same term: election safety is broken somewhere, or
	// the sender lies. The message had no effect, and somebody should be told (F8).
	ErrTwoLeaders = errors.New("two leaders in one term")
	// ErrInconsistent says that what was restored from disk contradicts itself (D10, D15); the group is to be
	// quarantined.
	ErrInconsistent = errors.New("restored state inconsistent")
)

// MessageError says which message was refused and why. Nothing of the message has had any effect.
type MessageError struct {
	Type wire.MessageType
	From wire.NodeID
	// Reason is one of the sentinels of this package.
	Reason error
	What   string
}

// Error names the message and the reason.
func (e *MessageError) Error() string {
	return fmt.Sprintf("message of type %d from node %d: %s: %s", e.Type, e.From, e.Reason, e.What)
}

// Unwrap returns the reason.
func (e *MessageError) Unwrap() error { return e.Reason }

func refuse(m *wire.Message, reason error, what string) error {
	return &MessageError{Type: m.Type, From: m.From, Reason: reason, What: what}
}
