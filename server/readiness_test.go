package server

import (
	"errors"
	"testing"

	"flotilla"
	"flotilla/raft"
	"flotilla/raft/wire"
)

// N13: what a node says of its groups. One without any leader it knows is not ready; nor is one that leads a group which
// makes no progress. A group in the middle of an election is named and no more.
func TestReadiness(t *testing.T) {
	led := func(id wire.GroupID, by wire.NodeID) flotilla.GroupStatus {
		return flotilla.GroupStatus{ID: id, Leader: by}
	}
	here := func(id wire.GroupID, stuck error) flotilla.GroupStatus {
		return flotilla.GroupStatus{ID: id, Leader: 1, Role: raft.Leader, Stuck: stuck}
	}
	broken := flotilla.GroupStatus{ID: 3, Leader: 2, Err: errors.New("quarantined")}
	many := func(stuck error) (all []flotilla.GroupStatus) {
		for id := wire.GroupID(30); id > 0; id-- {
			all = append(all, here(id, stuck))
			all[len(all)-1].Leader = wire.NoNode
		}
		return all
	}
	const sixteen = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16"
	for name, c := range map[string]struct {
		replicas          []flotilla.GroupStatus
		leaders, progress string
		note              string
	}{
		"nothing here":       {},
		"all led elsewhere":  {replicas: []flotilla.GroupStatus{led(0, 2), led(1, 3)}},
		"an election":        {replicas: []flotilla.GroupStatus{led(0, 2), led(1, 0)}, note: "none known of group 1"},
		"no leader":          {replicas: []flotilla.GroupStatus{led(0, 0), led(1, 0)}, leaders: "none known of groups 0, 1"},
		"no leader but lost": {replicas: []flotilla.GroupStatus{led(0, 0), broken}, leaders: "none known of group 0"},
		"many":               {replicas: many(nil), leaders: "none known of groups " + sixteen + " and 14 more"},
		"led here":           {replicas: []flotilla.GroupStatus{here(0, nil), led(1, 2)}},
		"stuck":              {replicas: []flotilla.GroupStatus{here(0, nil), here(1, errors.New("no space"))}, progress: "no space"},
		"stuck, two": {
			replicas: []flotilla.GroupStatus{here(0, errors.New("no space")), here(1, errors.New("hangs"))}, progress: "no space; so group 1",
		},
	} {
		text := func(c Check) string {
			if c.Err == nil {
				return ""
			}
			return c.Err.Error()
		}
		leaders, progress := leadersKnown(c.replicas), ledProgress(c.replicas)
		if text(leaders) != c.leaders || text(progress) != c.progress || leaders.Note != c.note {
			t.Errorf("%s: leaders %+v, progress %+v", name, leaders, progress)
		}
	}
}
