package quictransport

import (
	"errors"
	"testing"
)

// An ordinary restart in which both sides dial at once is nothing to warn of.
func TestTroubleIsWhatSomebodyShouldLookAt(t *testing.T) {
	refused := func(r Reason) Event {
		return Event{Kind: EventRefused, Err: &CloseError{Reason: r, Remote: true}}
	}
	for _, c := range []struct {
		e    Event
		want bool
	}{
		{refused(ReasonDuplicate), false},
		{refused(ReasonWrongCluster), true},
		{Event{Kind: EventDialFailed, Err: errors.New("no route")}, true},
		{Event{Kind: EventSmallBuffer}, true},
		{Event{Kind: EventConnected}, false},
		{Event{Kind: EventClosed, Err: &CloseError{Reason: ReasonShutdown, Remote: true}}, false},
	} {
		if got := c.e.Trouble(); got != c.want {
			t.Errorf("%v %v: trouble %v want %v", c.e.Kind, c.e.Err, got, c.want)
		}
	}
}
