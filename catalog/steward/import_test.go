package steward

import (
	"context"
	"errors"
	"testing"

	"flotilla/catalog"
	"flotilla/raft/wire"
)

// oneView is group 0 that stands still.
type oneView struct{ v *catalog.Snapshot }

func (o oneView) View() *catalog.Snapshot { return o.v }

func (o oneView) ProposeMeta(context.Context, []byte) ([]byte, error) { return nil, nil }

// A replica that leads before its group is one, as what is imported does, takes no command: it may be taken back, and what was acknowledged with it.
func TestGateOpensForGroups(t *testing.T) {
	wrong := errors.New("wrong")
	v := &catalog.Snapshot{Imports: []catalog.Import{{ID: 3, Node: 1, Token: 1}}, Groups: []catalog.Group{{ID: 4, Deleted: true}, {ID: 5}}}
	s := New(Config{Meta: oneView{v}})
	vet := func(c []byte) error {
		if len(c) == 0 {
			return wrong
		}
		return nil
	}
	for _, id := range []wire.GroupID{3, 4, 6} {
		if s.Gate(id, nil)([]byte("x")) == nil {
			t.Errorf("group %d is open", id)
		}
	}
	if err := s.Gate(5, vet)([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := s.Gate(5, vet)(nil); !errors.Is(err, wrong) {
		t.Error(err)
	}
	if err := s.Gate(5, nil)(nil); err != nil {
		t.Error(err)
	}
}

// What is tried again ends with its caller, with the node, and with an answer that stays.
func TestAgainEnds(t *testing.T) {
	busy := &wire.Error{Code: wire.CodeNoLeader}
	left, leave := context.WithCancel(t.Context())
	leave()
	if err := New(Config{}).again(left, func() error { return busy }); !errors.Is(err, busy) {
		t.Error(err)
	}
	s := New(Config{})
	close(s.ended)
	if err := s.again(t.Context(), func() error { return busy }); !errors.Is(err, busy) {
		t.Error(err)
	}
	tries := 0
	final := &wire.Error{Code: wire.CodeQuarantined}
	err := New(Config{}).again(t.Context(), func() error {
		if tries++; tries < 3 {
			return busy
		}
		return final
	})
	if !errors.Is(err, final) || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
