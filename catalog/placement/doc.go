// Package placement decides who replicates which group, and how a group gets there (docs/adr/0006). It hides nothing but
// rules, all pure functions of the catalog: what the metadata leader wants (Plan), what the leader of a group does
// next about it (Next), what replicas a node makes and destroys (Replicas), whether a node may leave (CanRemove).
// Nobody keeps a plan in memory: who takes over looks at the catalog and goes on.
//
// It guarantees that each step moves one voter at most, meant for the membership it was decided on and no other; that a
// replica whose disk was lost is taken out before it is added again, and none is made before the change that adds it is
// reported (N8); that voters are only ever added by way of learners (D44, D60), and nobody is sent away before all that are
// wanted vote and the alive ones of those that stay are a majority (D62); that planning and carrying out come to an
// end, after which Plan returns nothing.
//
//	for _, change := range placement.Plan(catalog.View()) {
//		propose(change.Append(nil)) // in this order: each is meant for the topology that the one before makes
//	}
package placement
