// Package steward brings what is and what group 0's log says together, on every node (ADR 0006): it makes and destroys
// the replicas of this node, takes the next step of each group that is led here, and plans placements where group 0 is
// led. It serves what administrators ask of the cluster, and both sides of a join.
//
// It hides no state: whatever it was about to do is found again in the catalog and in the memberships in effect, so a
// crash of any node at any step costs time only. It decides nothing either; package placement does, as pure functions.
//
//	s := steward.New(steward.Config{Self: 1, Engine: engine, Meta: meta, Peers: connected})
//	go s.Run(ctx)
package steward
