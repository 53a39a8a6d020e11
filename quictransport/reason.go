package quictransport

import (
	"context"
	"errors"
	"fmt"

	"github.com/quic-go/quic-go"
)

// Reason is why a connection ended (P34). Reasons up to ReasonRefused travel as QUIC application error codes and
// never change; the others are this side's view of what happened.
type Reason uint8

// ReasonNone ends the stream of a snapshot whose owner is done with it. A connection never ends with it.
const ReasonNone Reason = 0

// The reasons that travel.
const (
	// ReasonShutdown: the node that closed is stopping on purpose.
	ReasonShutdown Reason = 1
	// ReasonStaleEpoch: the other side kept sending frames of an epoch that is over, or claimed an implausible one.
	ReasonStaleEpoch Reason = 2
	// ReasonWrongCluster: the other side belongs to another cluster.
	ReasonWrongCluster Reason = 3
	// ReasonDuplicate: another connection of the same pair of nodes is kept.
	ReasonDuplicate Reason = 4
	// ReasonBadFrame: the other side sent something that is not the protocol.
	ReasonBadFrame Reason = 5
	// ReasonOverload: the other side does not take what it is sent, or there are too many connections.
	ReasonOverload Reason = 6
	// ReasonRemoved: the other side is no longer a member of the cluster.
	ReasonRemoved Reason = 7
	// ReasonVersion: the ranges of wire versions are disjoint.
	ReasonVersion Reason = 8
	// ReasonGeneration: the other side's data directory is not the one known under its id (N8).
	ReasonGeneration Reason = 9
	// ReasonIdentity: the certificate and the preface name different nodes.
	ReasonIdentity Reason = 10
	// ReasonSilence: nothing was heard for too long.
	ReasonSilence Reason = 11
	// ReasonRefused: this node does not serve the protocol asked for.
	ReasonRefused Reason = 12
)

// The reasons that do not travel.
const (
	// ReasonIdle: QUIC's own idle timeout.
	ReasonIdle Reason = 13
	// ReasonReset: the other side's process is gone and a new one says so.
	ReasonReset Reason = 14
	// ReasonKilled: this transport was killed.
	ReasonKilled Reason = 15
	// ReasonOther: anything else, network errors above all.
	ReasonOther Reason = 16

	numReasons = 17
)

var reasonText = [numReasons]string{
	ReasonNone:     "done",
	ReasonShutdown: "shutdown", ReasonStaleEpoch: "stale epoch", ReasonWrongCluster: "wrong cluster",
	ReasonDuplicate: "duplicate", ReasonBadFrame: "bad frame", ReasonOverload: "overload", ReasonRemoved: "removed",
	ReasonVersion: "version", ReasonGeneration: "generation", ReasonIdentity: "identity", ReasonSilence: "silence",
	ReasonRefused: "refused", ReasonIdle: "idle", ReasonReset: "reset", ReasonKilled: "killed", ReasonOther: "other",
}

// String returns the reason in words, as it is labelled in metrics.
func (r Reason) String() string {
	if int(r) < len(reasonText) && reasonText[r] != "" {
		return reasonText[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// travels reports whether r may stand in a close frame.
func (r Reason) travels() bool { return r >= ReasonShutdown && r <= ReasonRefused }

// CloseError says how a connection ended.
type CloseError struct {
	Reason Reason
	// Remote is true when the other side closed.
	Remote bool
	// Text is what the side that closed said, for people.
	Text string
}

// Error names reason, side and text.
func (e *CloseError) Error() string {
	side := "closed here"
	if e.Remote {
		side = "closed by the peer"
	}
	s := fmt.Sprintf("connection %s: %s", side, e.Reason)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// closeErrorOf translates what QUIC says about the end of a connection.
func closeErrorOf(err error) *CloseError {
	var (
		app   *quic.ApplicationError
		reset *quic.StatelessResetError
		idle  *quic.IdleTimeoutError
	)
	switch {
	case errors.As(err, &app):
		r := ReasonOther
		if app.ErrorCode < numReasons && Reason(app.ErrorCode).travels() {
			r = Reason(app.ErrorCode)
		}
		return &CloseError{Reason: r, Remote: app.Remote, Text: app.ErrorMessage}
	case errors.As(err, &reset):
		return &CloseError{Reason: ReasonReset, Remote: true}
	case errors.As(err, &idle):
		return &CloseError{Reason: ReasonIdle, Text: err.Error()}
	case errors.Is(err, quic.ErrTransportClosed):
		return &CloseError{Reason: ReasonKilled}
	case err == nil:
		return &CloseError{Reason: ReasonOther}
	}
	return &CloseError{Reason: ReasonOther, Text: err.Error()}
}

// endOf returns how qc ended; call it once its context is done.
func endOf(qc *quic.Conn) *CloseError { return closeErrorOf(context.Cause(qc.Context())) }
