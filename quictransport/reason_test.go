package quictransport

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quic-go/quic-go"
)

// P34: every reason has its number, for ever, and its text; those that travel come back as they were sent.
func TestReasonTable(t *testing.T) {
	numbers := map[Reason]struct {
		n      uint8
		text   string
		travel bool
	}{
		ReasonShutdown: {1, "shutdown", true}, ReasonStaleEpoch: {2, "stale epoch", true}, ReasonWrongCluster: {3, "wrong cluster", true},
		ReasonDuplicate: {4, "duplicate", true}, ReasonBadFrame: {5, "bad frame", true}, ReasonOverload: {6, "overload", true},
		ReasonRemoved: {7, "removed", true}, ReasonVersion: {8, "version", true}, ReasonGeneration: {9, "generation", true},
		ReasonIdentity: {10, "identity", true}, ReasonSilence: {11, "silence", true}, ReasonRefused: {12, "refused", true},
		ReasonIdle: {13, "idle", false}, ReasonReset: {14, "reset", false}, ReasonKilled: {15, "killed", false}, ReasonOther: {16, "other", false},
	}
	if len(numbers) != numReasons-1 {
		t.Fatalf("%d reasons in the table, want %d", len(numbers), numReasons-1)
	}
	for r, want := range numbers {
		if uint8(r) != want.n || r.String() != want.text || r.travels() != want.travel {
			t.Errorf("reason %d is %q, travels %v; want %d, %q, %v", uint8(r), r, r.travels(), want.n, want.text, want.travel)
		}
		got := closeErrorOf(fmt.Errorf("wrapped: %w", &quic.ApplicationError{Remote: true, ErrorCode: quic.ApplicationErrorCode(r), ErrorMessage: "why"}))
		wantBack := r
		if !want.travel {
			wantBack = ReasonOther // nobody can make this side believe that its own socket was killed
		}
		if got.Reason != wantBack || !got.Remote || got.Text != "why" {
			t.Errorf("%v came back as %+v", r, got)
		}
	}
}

func TestForeignEndings(t *testing.T) {
	rows := map[Reason]error{
		ReasonReset:  &quic.StatelessResetError{},
		ReasonIdle:   &quic.IdleTimeoutError{},
		ReasonKilled: quic.ErrTransportClosed,
		ReasonOther:  errors.New("no route to host"),
	}
	for want, err := range rows {
		if got := closeErrorOf(err); got.Reason != want {
			t.Errorf("%v is %v, want %v", err, got.Reason, want)
		}
	}
	if got := closeErrorOf(&quic.ApplicationError{ErrorCode: 1 << 40}); got.Reason != ReasonOther {
		t.Errorf("an unknown code is %v", got.Reason)
	}
	if got := closeErrorOf(nil); got.Reason != ReasonOther {
		t.Errorf("no error is %v", got.Reason)
	}
}
