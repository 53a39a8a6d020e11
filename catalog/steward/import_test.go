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
