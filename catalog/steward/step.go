package steward

import (
	"context"
	"fmt"
	"slices"

	"flotilla/catalog"
	"flotilla/catalog/placement"
	"flotilla/raft/wire"
)

// tend makes the replicas that this node is to have and does not, and ends those that it is not to have.
func (s *Steward) tend(ctx context.Context, view *catalog.Snapshot, replicas []Replica) {
	here := make([]wire.GroupID, len(replicas))
	for i := range replicas {
		here[i] = replicas[i].Group
	}
	s.mend(ctx, view, replicas)
	s.callOff(ctx, view)
	create, destroy := placement.Replicas(view, s.cfg.Self, here)
	for _, id := range destroy {
		s.start(ctx, task{group: id}, "end the replica here", restAfterError, func(ctx context.Context) error {
			return s.cfg.Engine.Remove(ctx, id)
		})
	}
	for _, c := range placement.Ended(view, s.cfg.Self, here) {
		s.start(ctx, task{group: c.ID}, "tell that the replica here has ended", restAfterError, func(ctx context.Context) error {
			if err := s.cfg.Engine.Remove(ctx, c.ID); err != nil { // it may be on its way out still
				return err
			}
			c.Generation = view.Identity.Generation
			_, err := s.propose(ctx, c)
			return err
		})
	}
	for _, id := range create {
		g, _ := view.FindGroup(id)
		s.start(ctx, task{group: id}, "make a replica here", restAfterError, func(ctx context.Context) error {
			return s.cfg.Engine.Create(ctx, &g)
		})
	}
}

// mend has damaged replicas made anew from their peers: group 0 is told, takes them out, and what follows is as with any that left. Without
// its log of group 0, a node hears of nothing any more: its disk as a whole is replaced.
func (s *Steward) mend(ctx context.Context, view *catalog.Snapshot, replicas []Replica) {
	var damaged []wire.GroupID
	for i := range replicas {
		if replicas[i].Damaged {
			damaged = append(damaged, replicas[i].Group)
		}
	}
	if slices.Contains(damaged, wire.MetadataGroup) {
		if s.cfg.Replace != nil {
			s.start(ctx, task{kind: taskReplace}, "replace the disk here, which has lost the log of group 0", restAfterRefusal, s.cfg.Replace)
		}
		return
	}
	for _, c := range placement.Broken(view, s.cfg.Self, damaged) {
		s.start(ctx, task{group: c.ID}, "tell that the replica here is damaged", restAfterRefusal, func(ctx context.Context) error {
			c.Generation = view.Identity.Generation
			r, err := s.propose(ctx, c)
			if err == nil && r.Outcome.Refused() {
				err = &wire.Error{Code: wire.CodeUnsafe, Group: c.ID, Detail: "it stays as it is: " + r.Outcome.String()}
			}
			return err
		})
	}
}

// take takes the next step of a group that is led here.
func (s *Steward) take(ctx context.Context, r *Replica, step placement.Step) {
	id, members := r.Group, r.Members
	switch step.Kind {
	case placement.Report:
		s.start(ctx, task{group: id}, "report the members", restAfterError, func(ctx context.Context) error {
			return s.report(ctx, id, members)
		})
	case placement.Change:
		s.start(ctx, task{group: id}, "change the members", restAfterError, func(ctx context.Context) error {
			return s.cfg.Engine.Change(ctx, id, step.Changes)
		})
	case placement.Transfer:
		s.start(ctx, task{group: id}, fmt.Sprintf("hand leadership to node %d", step.To), restAfterTransfer, func(ctx context.Context) error {
			return s.cfg.Engine.Transfer(ctx, id, step.To)
		})
	}
}

// report tells group 0 that members are in effect. The empty entry before brings the commit index of their change to the
// disks of a majority: whoever destroys a replica because of the report leaves nobody behind who does not know why (ADR 0006).
func (s *Steward) report(ctx context.Context, id wire.GroupID, members wire.Membership) error {
	if err := s.cfg.Engine.Barrier(ctx, id); err != nil {
		return err
	}
	_, err := s.propose(ctx, catalog.ReportMembers{ID: id, Members: members})
	return err
}

// plan has what is wanted brought up to date. When the topology changed meanwhile the next look plans anew.
func (s *Steward) plan(ctx context.Context, view *catalog.Snapshot) {
	planned := task{kind: taskPlan}
	if view.Topology.Version == s.content || s.underWay(planned) {
		return
	}
	changes := placement.Plan(view)
	if len(changes) == 0 {
		s.content = view.Topology.Version
		return
	}
	s.start(ctx, planned, "plan placements", restAfterError, func(ctx context.Context) error {
		for _, c := range changes[:min(len(changes), maxPlanned)] {
			r, err := s.propose(ctx, c)
			switch {
			case err != nil || r.Outcome == catalog.RefusedVersion:
				return err
			case r.Outcome.Refused():
				return &wire.Error{Code: wire.CodeInternal, Detail: fmt.Sprintf("a plan of version %d: %s", view.Topology.Version, r.Outcome)}
			}
		}
		return nil
	})
}

func (s *Steward) underWay(t task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.busy[t]
}

// propose has group 0 apply c.
func (s *Steward) propose(ctx context.Context, c catalog.Change) (catalog.Result, error) {
	command, err := catalog.Encode(c)
	if err != nil {
		return catalog.Result{}, &wire.Error{Code: wire.CodeBadRequest, Cause: err}
	}
	reply, err := s.cfg.Meta.ProposeMeta(ctx, command)
	if err != nil {
		return catalog.Result{}, err
	}
	return catalog.ParseResult(reply)
}
